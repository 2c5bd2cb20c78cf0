"""Page digests that others computed."""
