"""Pure scores: settings, criterion and content in, the same number out on every machine and Python."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

STEPS = 100
"""Scores have two decimals: 0.00, 0.01, … 1.00."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What a score is drawn from, beside the content."""

    answers: int
    seed: int


def digest(*parts: bytes) -> bytes:
    """Sixteen bytes that stand for canonical JSON texts, or digests of such, in their order."""
    return blake2b(b"\x1f".join(parts), digest_size=16).digest()


def step(draw: Draw, criterion: str, version: int, content: bytes) -> int:
    """A score from 0 to STEPS, evenly spread; `content` is a digest."""
    return _number(draw, criterion, version, content) * (STEPS + 1) // 2**64


def draw_score(draw: Draw, criterion: str, version: int, content: bytes) -> float:
    """A score from 0 to 1 in steps of 0.01, evenly spread."""
    return step(draw, criterion, version, content) / STEPS


def unit(draw: Draw, criterion: str, version: int, content: bytes, use: str) -> float:
    """A number from 0 up to 1; those for different uses have nothing to do with each other."""
    return _number(draw, f"{criterion}\x1f{use}", version, content) / 2**64


def _number(draw: Draw, criterion: str, version: int, content: bytes) -> int:
    """Eight bytes as a number: the digest of all that a score is drawn from."""
    state = begun(draw.answers, draw.seed, criterion, version).copy()
    state.update(content)
    return int.from_bytes(state.digest())


DrawState = blake2b
"""A digest of all that a score is drawn from but the content."""


@lru_cache(maxsize=1024)
def begun(answers: int, seed: int, criterion: str, version: int) -> DrawState:
    """The digest to go on from."""
    return blake2b(f"{answers}\x1f{seed}\x1f{criterion}\x1f{version}\x1f".encode(), digest_size=8)


def step_of(state: DrawState, content: bytes) -> int:
    """The same as `step`, from a digest that was begun."""
    state = state.copy()
    state.update(content)
    return int.from_bytes(state.digest()) * (STEPS + 1) // 2**64


ANSWERS = 1
"""The newest generation of answers. Texts, scores and ids belong to one; its bytes never change."""
EPOCH = 1_704_067_200
"""The start of 2024, in seconds since 1970: when everything happens as long as nobody brings a clock."""
