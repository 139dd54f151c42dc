"""HTTP as uvicorn speaks it, and one thing more: the application may drop a connection without an answer."""

from functools import partial

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mockserver.app import DROP


class DroppingProtocol(HttpToolsProtocol):
    """Offers each request the ASGI extension `DROP`."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # The task of the cycle has been made, but runs only after this.
        self.scope["extensions"] = {DROP: {"call": partial(self.drop, self.cycle)}}

    def drop(self, cycle: RequestResponseCycle) -> None:
        """Close the connection of a request once what was written is out; uvicorn then misses no answer."""
        cycle.disconnected = True
        self.transport.close()
