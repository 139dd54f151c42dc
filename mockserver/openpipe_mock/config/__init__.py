"""The config file, read into frozen settings; every mistake has its place."""
