"""Routes of the control API: an operation, its method, and the pattern of its path."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openpipe_mock.control.listings import ROOT
from openpipe_mock.control.parameters import Order
from openpipe_mock.core.effects import Reply

if TYPE_CHECKING:
    from openpipe_mock.control.api import Control


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `path`: below `/_mock`, with at most one `{argument}`.

    `body`: `required`, `optional`, or "" for none. `parameters`: those of its query, beside `session`.
    """

    method: str
    path: str
    action: Callable[["Control", Order], Reply]
    body: str = ""
    parameters: tuple[str, ...] = ()


_SLASHED = ("/criteria/{id}",)
"""Paths whose argument may hold slashes."""


def pattern(path: str) -> re.Pattern[str]:
    """A pattern for whole paths of requests, whose group is the argument in a route's path."""
    argument = "(.+)" if path in _SLASHED else "([^/]+)"
    return re.compile(re.sub(r"\\\{\w+\\\}", lambda _: argument, re.escape(ROOT + path)), re.DOTALL)
