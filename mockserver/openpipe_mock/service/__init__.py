"""The seam: a request goes in, a reply comes out."""
