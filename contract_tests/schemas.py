"""What a value breaks of a component of the contract."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from openpipe_mock.core.errors import Violation
from openpipe_mock.openapi.spec import contract

_MOST_NAMED = 3


def first_violations(component: str, value: Any, noun: str = "the answer") -> Iterator[Violation]:
    """The first three violations, since a server that breaks one rule often breaks it many times.

    `noun` is what sentences call the value.
    """
    checker = contract().checker(component)
    if not checker.is_valid(value):
        yield from islice(checker.violations(value, noun), _MOST_NAMED)
