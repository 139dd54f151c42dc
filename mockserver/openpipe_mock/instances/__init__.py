"""Build a value for any JSON Schema that a user sends."""
