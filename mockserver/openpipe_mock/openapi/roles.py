"""Roles of messages that several rooms tell apart."""

RESULTS = ("tool", "function")
"""Roles of messages that carry the result of a call."""
