"""kdump-compressed memory of machines."""
