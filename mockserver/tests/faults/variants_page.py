"""Writes the tables of `docs/variants.md` anew: `python -m tests.faults.variants_page`, in mockserver/."""

from collections.abc import Iterator, Mapping

from openpipe_mock.faults.allowed import FREEDOMS, MEMBERS, USUAL
from openpipe_mock.faults.variants import ONLY_NAMED, VARIANTS
from tests.environments import ROOT

PAGE = ROOT / "docs" / "variants.md"
_NAMES = {variant.name for variant in (*VARIANTS, *ONLY_NAMED)}


def made(text: str) -> str:
    """The page with its tables made anew."""
    for name, lines in (("variants", _on()), ("only-named", _off()), ("allowed", _allowed())):
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        text = "\n".join((before + begin, *lines, "", end + rest.partition(end)[2]))
    return text


def _on() -> Iterator[str]:
    yield "| variant | what is different | public reports of broken clients |"
    yield "| --- | --- | --- |"
    for variant in VARIANTS:
        yield f"| `{variant.name}` | {variant.sentence} | {', '.join(variant.bugs) or 'none is known'} |"


def _off() -> Iterator[str]:
    yield "| only by name | what is different | why it is off |"
    yield "| --- | --- | --- |"
    for variant in ONLY_NAMED:
        yield f"| `{variant.name}` | {variant.sentence} | {variant.unless_named} |"


def _allowed() -> Iterator[str]:
    reasons = dict.fromkeys(
        by for row in MEMBERS.values() for by in row.values() if by not in _NAMES | {USUAL}
    )
    letters = dict(zip(reasons, "abcdefghij", strict=False))
    yield "| freedom | what shows it |"
    yield "| --- | --- |"
    for kind, row in FREEDOMS.items():
        yield from (f"| {kind}: {freedom} | {_shown(by, {})} |" for freedom, by in row.items())
    yield ""
    yield "| member | its values, and what shows them |"
    yield "| --- | --- |"
    for member, row in MEMBERS.items():
        yield f"| `{member}` | {', '.join(f'{value}: {_shown(by, letters)}' for value, by in row.items())} |"
    yield ""
    yield from (f"- ({letter}) {reason}." for reason, letter in letters.items())


def _shown(by: str, letters: Mapping[str, str]) -> str:
    return f"`{by}`" if by in _NAMES else by if by not in letters else f"({letters[by]})"


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
