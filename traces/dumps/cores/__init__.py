"""ELF cores: of processes, and of guests."""
