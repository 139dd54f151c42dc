"""Conditions on a request, and rules that are tried in order."""
