"""Servers that keep the contract, each its own way, and servers that break it once: the suite's proof."""
