"""The mock in a test's hands: fixtures, intercepted clients, assertions."""
