"""Summaries over many sources: a row for each, and what failed."""
