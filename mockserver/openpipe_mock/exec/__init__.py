"""Judging a client's command."""
