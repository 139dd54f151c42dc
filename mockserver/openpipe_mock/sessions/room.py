"""The room that a mock's journals and logs of calls share: one number of bytes for the process."""

import sys
from collections.abc import Callable, Iterable
from typing import Protocol

_Sessions = Callable[[], Iterable[Iterable["Keeper"]]]


class Keeper(Protocol):
    """A journal or a log of calls. `bytes`: what it holds. `dropped`: how many of its entries are gone."""

    bytes: int
    dropped: int

    def drop_oldest(self) -> int:
        """Drop the oldest entry and return its bytes, 0 without one."""


class Room:
    """How many bytes all journals and logs may hold together.

    `most`: that number. `sessions`: returns the journal and the logs of each session. `taken`: what they hold
    at most, since what is dropped or forgotten is only noticed when the room seems full.
    """

    def __init__(self, sessions: _Sessions = tuple, most: int = sys.maxsize) -> None:
        self.sessions = sessions
        self.most = most
        self.taken = 0

    def add(self, size: int) -> None:
        """Count bytes that a journal or log holds now, and make room where they are too many."""
        self.taken += size
        if self.taken > self.most:
            self.make_room()

    def make_room(self) -> None:
        """Count anew what is held. If it is too much, the session that then holds most drops its oldest."""
        shares = [list(keepers) for keepers in self.sessions()]
        sizes = [sum(keeper.bytes for keeper in keepers) for keepers in shares]
        self.taken = sum(sizes)
        # A little more than needed is dropped, so that not every request comes here.
        most = self.most - self.most // 256 if self.taken > self.most else self.most
        while self.taken > most:
            largest = sizes.index(max(sizes))
            freed = max(shares[largest], key=lambda keeper: keeper.bytes).drop_oldest()
            sizes[largest] -= freed
            self.taken -= freed
