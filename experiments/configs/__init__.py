"""The experiments that ship, one file each."""
