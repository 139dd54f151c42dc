"""Scores drawn from settings, criterion and content: the same number on every machine and Python."""

from functools import lru_cache
from hashlib import blake2b

STEPS = 100
"""Scores have two decimals: 0.00, 0.01, … 1.00."""
ANSWERS = 2
"""The newest generation of answers, whose texts, scores and ids never change once it is released."""
OLDEST_ANSWERS = 2
"""The oldest generation that is still given."""
EPOCH = 1_704_067_200
"""The start of 2024, in seconds since 1970: the time of every answer unless a clock is asked for."""


def digest(*parts: bytes) -> bytes:
    """A digest of 16 bytes for canonical JSON texts (or their digests) in this order."""
    return blake2b(b"\x1f".join(parts), digest_size=16).digest()


def step(seed: int, criterion: str, version: int, content: bytes) -> int:
    """A score as a whole number from 0 to STEPS, evenly spread; `content` is a `digest`."""
    return _number(seed, criterion, version, content) * (STEPS + 1) // 2**64


def draw_score(seed: int, criterion: str, version: int, content: bytes) -> float:
    """A score from 0 to 1 in steps of 0.01, evenly spread; `content` is a `digest`."""
    return step(seed, criterion, version, content) / STEPS


def unit(seed: int, criterion: str, version: int, content: bytes, use: str) -> float:
    """A number in [0, 1); the numbers for different values of `use` are independent of each other."""
    return _number(seed, f"{criterion}\x1f{use}", version, content) / 2**64


def _number(seed: int, criterion: str, version: int, content: bytes) -> int:
    """A number in [0, 2**64): the digest of everything that a score is drawn from."""
    state = begun(seed, criterion, version).copy()
    state.update(content)
    return int.from_bytes(state.digest())


DrawState = blake2b
"""An unfinished digest of everything that a score is drawn from, except the content."""


@lru_cache(maxsize=1024)
def begun(seed: int, criterion: str, version: int) -> DrawState:
    """The unfinished digest for a criterion. It is cached and shared: copy it before updating."""
    # The 1 was the number of the first generation. Without it each score would differ from those before.
    return blake2b(f"1\x1f{seed}\x1f{criterion}\x1f{version}\x1f".encode(), digest_size=8)


def step_of(state: DrawState, content: bytes) -> int:
    """As `step`, from a digest that `begun` returned."""
    state = state.copy()
    state.update(content)
    return int.from_bytes(state.digest()) * (STEPS + 1) // 2**64
