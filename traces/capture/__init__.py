"""Memory of live processes → trace."""
