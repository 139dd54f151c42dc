"""What goes wrong, or otherwise, on purpose: fault kinds and variants."""
