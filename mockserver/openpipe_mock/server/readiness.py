"""Whether the server may be asked: all its processes serve, and this one doesn't end yet."""

import asyncio
import mmap


class Readiness:
    """The processes of a server share `started`; `serving` is this process's own."""

    def __init__(self) -> None:
        self.started = mmap.mmap(-1, 1)  # forks share it
        self.serving = False

    def __call__(self) -> bool:
        return self.serving and self.started[0] == 1

    def start(self) -> None:
        """Say for all processes that each of them serves."""
        self.started[0] = 1

    async def watch(self) -> None:
        """A job of the server: it is begun once this process serves, and cancelled when it ends."""
        self.serving = True
        try:
            await asyncio.Event().wait()
        finally:
            self.serving = False
