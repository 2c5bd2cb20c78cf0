"""Page records: how they are captured, written to a file and read back."""
