"""How fast the mock is: see docs/performance.md."""
