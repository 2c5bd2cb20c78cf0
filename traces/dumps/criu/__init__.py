"""CRIU's checkpoints of processes."""
