"""Physical memory: as it is, in ranges, in layers."""
