"""Many pools in one run: planned together, approved once, sent side by side."""
