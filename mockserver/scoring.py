"""Pure scores: settings, criterion and content in, the same number out on every machine and Python."""

from dataclasses import dataclass
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


def score(draw: Draw, criterion: str, version: int, content: bytes) -> float:
    """A score from 0 to 1 in steps of 0.01, evenly spread; `content` is a digest."""
    return number(draw, criterion, version, content) * (STEPS + 1) // 2**64 / STEPS


def unit(draw: Draw, criterion: str, version: int, content: bytes, use: str) -> float:
    """A number from 0 up to 1; those for different uses have nothing to do with each other."""
    return number(draw, f"{criterion}\x1f{use}", version, content) / 2**64


def number(draw: Draw, criterion: str, version: int, content: bytes) -> int:
    key = f"{draw.answers}\x1f{draw.seed}\x1f{criterion}\x1f{version}\x1f".encode() + content
    return int.from_bytes(blake2b(key, digest_size=8).digest())
