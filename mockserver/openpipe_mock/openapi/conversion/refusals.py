"""The error for a documentation page that can't be converted, and what holds a page against its schema.

A place is a JSON pointer into the page's YAML block, such as
`/request/body/application~1json/schemaArray/0`; errors show it without the leading `/paths`, which nearly all
places share.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from openpipe_mock.core.pointers import pointer_to
from openpipe_mock.core.resources import folder
from openpipe_mock.core.wording import listed, quoted, shown
from openpipe_mock.openapi.spec import load_document
from openpipe_mock.openapi.violations import SchemaPlace, violations_of


class ConversionError(ValueError):
    """A page can't be converted. The message is the place, what is wrong there and what to do."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place = place.removeprefix("/paths") if place.startswith("/paths/") else place or "/"
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


def child(place: str, *steps: str | int) -> str:
    """The pointer to which these steps lead from `place`."""
    return place + pointer_to(*steps)


def check_form(tree: Any) -> None:
    """Raise ConversionError where a page's tree breaks `schemas/page.schema.yaml`."""
    schema = load_document(folder("schemas") / "page.schema.yaml")
    found = next(violations_of(schema, tree, SchemaPlace(schema, noun="the page")), None)
    if found is not None:
        advice = "correct the page"
        if found.rule == "additionalProperties":
            advice += " or teach the converter the word"
        raise ConversionError(found.pointer, f"{found.sentence.removesuffix('.')}; {advice}")


def check_choice(value: str, place: str, known: Collection[str]) -> None:
    """Raise ConversionError for a word that is none of the known ones."""
    if value not in known:
        raise ConversionError(place, f"expected {listed(map(quoted, known), 'or')}, got {shown(value)}")


def only(found: list[Any], place: str) -> Any:
    """Return the one element of a list."""
    # Several are refused, because the dialect doesn't say how they combine.
    if len(found) != 1:
        raise ConversionError(
            place, f"expected one element, found {len(found)}; write them as one schema with anyOf"
        )
    return found[0]
