"""Many captures, each replayed on its own: one that fails does not end the others."""
