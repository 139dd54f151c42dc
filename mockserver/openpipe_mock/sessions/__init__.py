"""What is remembered: memory, journal and call log."""
