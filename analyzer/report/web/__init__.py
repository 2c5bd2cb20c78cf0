"""The parts of the HTML report, one noun per file."""
