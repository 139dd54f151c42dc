"""What a run asks for, and how: ids that the server knows, seed, bounds."""

from dataclasses import dataclass
from typing import Any

from openpipe_mock.contract.checks import decides

CRITERIA = ("criterion-1", "criterion-2")
MODELS = ("openai:gpt-4o-mini",)
"""The ids of the documentation's examples, for whoever names none."""

MOST_CHOICES = 3
MOST_TOKENS = 16
SMALL_RUNGS = 8192


@dataclass(frozen=True)
class Aim:
    """Frozen settings of a run.

    local   the server is on this machine or in a private network; others get the seat belt
    latest  pairs of a plain criterion id and the version that is its latest
    """

    criteria: tuple[str, ...] = CRITERIA
    models: tuple[str, ...] = MODELS
    latest: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    level: str = "sdk"
    local: bool = True
    thorough: bool = False
    fuzz: int = 0
    large: bool = False

    @property
    def criterion(self) -> str:
        return self.criteria[0]

    @property
    def model(self) -> str:
        return self.models[0]

    @property
    def longest(self) -> int:
        """Characters of the longest text to send."""
        return 2**20 if self.local or self.large else SMALL_RUNGS

    @property
    def choices(self) -> int:
        """How many choices to ask for where several are wanted."""
        return MOST_CHOICES

    def decides(self, level: str) -> bool:
        return decides(level, self.level)


def plain(criterion: str) -> str:
    """A criterion's id without its version."""
    return criterion.partition("@")[0]


def belted(aim: Aim, body: Any) -> Any:
    """A chat body as it may go to a paid service: few choices, few tokens. What is broken stays so."""
    if aim.local or not isinstance(body, dict):
        return body
    body = dict(body)
    number = body.get("n")
    if isinstance(number, int) and not isinstance(number, bool) and MOST_CHOICES < number <= 128:
        body["n"] = MOST_CHOICES
    if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
        body["max_tokens"] = MOST_TOKENS
    return body
