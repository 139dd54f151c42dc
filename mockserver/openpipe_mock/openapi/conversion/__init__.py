"""Convert pages of the documentation site into OpenAPI, for maintainers."""
