"""Reads the config's `cassette` section: when two requests are the same, and what no recording may hold."""

from dataclasses import dataclass

from openpipe_mock.core.reading import At, Json
from openpipe_mock.matching.conditions import BadPattern, regular_expression


@dataclass(frozen=True, slots=True)
class CassetteRules:
    """Rules for recordings.

    `headers`: names of headers, in lower case, that count when requests are compared. `ignore`: JSON pointers
    into the body that don't count; a step `*` stands for any item or member. `ignore_text`, `personal`:
    regular expressions; what the first match counts in no text, what the others match is replaced before a
    recording is written.
    """

    headers: tuple[str, ...] = ("op-criteria",)
    ignore: tuple[str, ...] = ("/user", "/metadata")
    ignore_text: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()


def read_cassette(value: Json, at: At) -> CassetteRules:
    """Build the rules from a `cassette` section whose shape is right."""
    for name in ("ignore_text", "personal"):
        for index, pattern in enumerate(value.get(name, ())):
            try:
                regular_expression(pattern)
            except BadPattern as error:
                at.at(name, index).wrong("matches", f"RE2 doesn't read this regular expression: {error}.")
    given = {name: tuple(members) for name, members in value.items()}
    if "headers" in given:
        given["headers"] = tuple(map(str.lower, given["headers"]))
    return CassetteRules(**given)


USUAL_RULES = CassetteRules()
