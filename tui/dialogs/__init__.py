"""Small windows over the screen that ask or tell one thing."""
