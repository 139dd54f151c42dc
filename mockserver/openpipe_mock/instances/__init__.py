"""Build a value for a JSON Schema that a user sends."""
