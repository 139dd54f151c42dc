"""A page of the documentation site turned into OpenAPI, for maintainers."""
