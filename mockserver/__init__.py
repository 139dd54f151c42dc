"""A local double of the OpenPipe API: a mock server and a contract-testing kit."""

__version__ = "0.1.0"
