"""The mock on a socket: ASGI, HTTP protocol, workers, reload, signals."""
