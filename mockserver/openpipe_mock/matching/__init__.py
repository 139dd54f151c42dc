"""Conditions on a request, and rules tried in order."""
