"""Settings of a run: ids that the server knows, seed, level, bounds."""

from dataclasses import dataclass
from typing import Any

from openpipe_mock.contract.checks import decides

CRITERIA = ("criterion-1", "criterion-2")
MODELS = ("openai:gpt-4o-mini",)
"""The ids of the documentation's examples, used where the user names none."""

MOST_CHOICES = 3
MOST_TOKENS = 16
_LONGEST_ELSEWHERE = 8192


@dataclass(frozen=True)
class RunSettings:
    """Frozen settings of a run.

    local     the server is on this machine or in a private network; others get few choices and short texts
    latest    pairs of a plain criterion id and the version that is its latest
    endpoint  the only one to judge, "" for both
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
    endpoint: str = ""

    @property
    def criterion(self) -> str:
        return self.criteria[0]

    @property
    def model(self) -> str:
        return self.models[0]

    @property
    def longest(self) -> int:
        """Characters of the longest text to send."""
        return 2**20 if self.local or self.large else _LONGEST_ELSEWHERE

    @property
    def choices(self) -> int:
        """The `n` of requests for several choices."""
        return MOST_CHOICES

    def decides(self, level: str) -> bool:
        return decides(level, self.level)


def plain(criterion: str) -> str:
    """A criterion's id without its version."""
    return criterion.partition("@")[0]


def economical(settings: RunSettings, body: Any) -> Any:
    """A chat body; for a server elsewhere with few choices and tokens. Invalid values stay as they are."""
    if settings.local or not isinstance(body, dict):
        return body
    body = dict(body)
    number = body.get("n")
    if isinstance(number, int) and not isinstance(number, bool) and MOST_CHOICES < number <= 128:
        body["n"] = MOST_CHOICES
    if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
        body["max_tokens"] = MOST_TOKENS
    return body
