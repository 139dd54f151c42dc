"""Recordings of a real server: made, kept in folders, replayed in place of the mock's answers."""
