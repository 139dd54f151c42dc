"""Templates: texts of answers with fields for what the request says, as in `You said {last_user}`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from openpipe_mock.core.reading import At
from openpipe_mock.core.wording import did_you_mean, listed, quoted
from openpipe_mock.matching.conditions import Subject, text_of

CALL = "call"
"""The field for the number of the request among those that meet its script's `when`."""
FIELDS: Mapping[str, Callable[[Subject], str]] = {
    "last_user": lambda subject: subject.last_user or "",
    "model": lambda subject: str(subject.body.get("model", "")),
    "tool_result": lambda subject: text_of(subject.last_result or {}),
}
"""Name of a field → a function that reads its text, "" where the request has none."""
_MOST_FIELDS = 1000
"""Fields of a template. More would keep other requests waiting, as each of up to 128 choices fills them."""
_PIECES = re.compile(r"(?P<text>[^{}]+|\{\{|\}\})|\{(?P<field>[^{}]*)\}|(?P<brace>[{}])")

Fill = Callable[[str], str]
"""Takes the name of a field, returns its text."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with fields. `written`: as the config has it. `pieces`: each a text and the field behind it."""

    written: str
    pieces: tuple[tuple[str, str], ...]

    @property
    def counts(self) -> bool:
        """Whether it has the number of the request."""
        return any(field == CALL for _, field in self.pieces)

    def filled(self, fill: Fill, most: int) -> str:
        """The text with its fields filled in, of which at most so many characters are made."""
        found: list[str] = []
        for text in self._texts(fill):
            found.append(text[:most])  # a request of 10 MB may stand behind each of many fields
            most -= len(found[-1])
            if not most:
                break
        return "".join(found)

    def _texts(self, fill: Fill) -> Iterator[str]:
        for text, field in self.pieces:
            yield text
            yield fill(field) if field else ""


def fill_from(subject: Subject, number: int) -> Fill:
    """What fills the fields of a template: a request, and its number among those that meet a `when`."""

    def fill(field: str) -> str:
        if field == CALL:
            return str(number)
        if field in FIELDS:
            return FIELDS[field](subject)
        return "".join(subject.body_value(field))

    return cache(fill)


def read_template(written: str, at: At) -> Template:
    """Read a template; note in `at` the fields that there aren't, and braces that stand alone."""
    pieces: list[tuple[str, str]] = []
    before = ""
    for piece in _PIECES.finditer(written):
        text, field = piece["text"], piece["field"]
        if text is not None:
            before += text[0] if text in ("{{", "}}") else text
        elif field is None:
            brace = piece["brace"]
            at.wrong("template", f"a {quoted(brace)} stands alone; write {brace * 2} for the character.")
        else:
            _check_field(field, at)
            pieces.append((before, field))
            before = ""
    if len(pieces) > _MOST_FIELDS:
        told = f"expected at most {_MOST_FIELDS:,} fields, got {len(pieces):,}."
        at.wrong("template", told)
    return Template(written, (*pieces, (before, "")))


def _check_field(field: str, at: At) -> None:
    known = [*FIELDS, CALL]
    if field.startswith("/") or field in known:
        return
    names = listed((f"{{{name}}}" for name in known), "and")
    told = f"there is no field {{{field}}}; there are {names}, and JSON pointers as {{/messages/0/content}}."
    at.wrong("template", f"{told}{did_you_mean(field, known)}")
