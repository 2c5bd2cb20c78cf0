"""What this host's own ksmd does, moving, with a prediction beside it."""
