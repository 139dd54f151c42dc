"""A value for any JSON Schema."""
