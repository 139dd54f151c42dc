"""The commands, and what joins rooms that don't know each other."""
