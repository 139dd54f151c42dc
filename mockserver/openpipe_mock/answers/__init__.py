"""What the mock says: scorers, the judge, best of n, completions."""
