"""Widgets: they know keys and pixels, and are given plain data."""
