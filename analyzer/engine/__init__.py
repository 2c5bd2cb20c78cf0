"""ksmd on plain arrays: no frames, no files, no clock, no randomness."""
