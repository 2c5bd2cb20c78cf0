"""What QEMU and libvirt save of guests by themselves."""
