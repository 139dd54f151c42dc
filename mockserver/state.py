"""What a session remembers, bounded and in memory: logged calls, cached completions, repeated requests."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

from mockserver.calls import CallLog
from mockserver.chat import Completion

Value = TypeVar("Value")
MOST_LOGS = 64
MOST_CACHED = 1000
MOST_CACHED_TOKENS = 1_000_000
MOST_COUNTED = 10_000


@dataclass
class Session:
    """The memory of one session. A key sees only what was logged and cached under the same key."""

    logs: OrderedDict[bytes, CallLog] = field(default_factory=OrderedDict)
    cache: OrderedDict[bytes, Completion] = field(default_factory=OrderedDict)
    asked: OrderedDict[bytes, int] = field(default_factory=OrderedDict)

    def log(self, credential: bytes) -> CallLog:
        """The calls logged under a credential, to add to."""
        return remember(self.logs, credential, self.read_log(credential), MOST_LOGS)

    def read_log(self, credential: bytes) -> CallLog:
        """The same to read: looking never makes another log go."""
        return self.logs.get(credential) or CallLog()

    def repeats(self, identity: bytes) -> int:
        """How often this very request came before; counts it."""
        before = self.asked.get(identity, 0)
        remember(self.asked, identity, before + 1, MOST_COUNTED)
        return before

    def forget(self) -> None:
        """Begin anew: what comes next is answered as in a new session."""
        for shelf in (self.logs, self.cache, self.asked):
            shelf.clear()

    def cached(self, key: bytes) -> Completion | None:
        """The completion stored under a key."""
        if key in self.cache:
            self.cache.move_to_end(key)
        return self.cache.get(key)

    def store(self, key: bytes, completion: Completion) -> None:
        """Keep a completion; the least recently used go when there are too many or they are too long."""
        remember(self.cache, key, completion, MOST_CACHED)
        weight = sum(stored.completion_tokens for stored in self.cache.values())
        while weight > MOST_CACHED_TOKENS and len(self.cache) > 1:
            weight -= self.cache.popitem(last=False)[1].completion_tokens


def remember(shelf: OrderedDict[bytes, Value], key: bytes, value: Value, most: int) -> Value:
    """Put a value on a shelf, whose least recently used one goes when it is full."""
    shelf[key] = value
    shelf.move_to_end(key)
    if len(shelf) > most:
        shelf.popitem(last=False)
    return value


def fingerprint(secret: bytes) -> bytes:
    """What stands for a key in memory: the key itself is never kept."""
    return blake2b(secret, digest_size=16).digest()
