"""What the reports of the suite and of `exec` share: page, tables, JUnit, JSON, and writing to a file."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from openpipe_mock import __version__

MARKS = {"kept": "✓", "broken": "✗", "flaky": "~", "known": "k", "lenient": "+", "unchecked": "·"}
"""State → its sign."""

_STYLE = """
:root{color-scheme:light dark;--back:#fff;--fore:#1c2024;--muted:#5b6570;--line:#d8dde2;--card:#f4f6f8;
 --good:#1a7f37;--bad:#b42318;--odd:#9a5b00}
@media(prefers-color-scheme:dark){:root{--back:#14171a;--fore:#e6e9ec;--muted:#9aa4ae;--line:#343a40;
 --card:#1d2125;--good:#4ac26b;--bad:#ff7b72;--odd:#e3a93c}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--back);color:var(--fore);
 font:16px/1.5 system-ui,sans-serif}
h1,p,summary{overflow-wrap:anywhere}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}
code,pre{font:13px/1.45 ui-monospace,monospace}code{overflow-wrap:anywhere}
pre{overflow-x:auto;background:var(--card);padding:.6rem;border-radius:.4rem;margin:.2rem 0}
.verdict{border-left:.4rem solid var(--muted);padding:.4rem .8rem;background:var(--card)}
.verdict.is-broken{border-color:var(--bad)}.verdict.is-kept{border-color:var(--good)}
.verdict.is-inconclusive{border-color:var(--odd)}
.broken{color:var(--bad)}.kept{color:var(--good)}.flaky,.known,.lenient{color:var(--odd)}
.unchecked,.muted{color:var(--muted)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}
td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left}
td code{overflow-wrap:normal}
td.n{text-align:right;font-variant-numeric:tabular-nums}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;padding:.4rem .7rem}
summary{cursor:pointer}
dt{color:var(--muted);font-size:.85rem;margin-top:.5rem}dd{margin:0;overflow-wrap:anywhere}
"""


def page(title: str, verdict: str, words: str, facts: str, body: Iterable[str]) -> str:
    """An HTML page without external files, light and dark, for narrow and wide screens.

    `verdict` is kept, broken or inconclusive; `words` say it, and `facts` follow them. `body` is HTML, the
    others are plain text.
    """
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="verdict is-{verdict}"><strong>{words}.</strong>',
            f"{escape(facts)} openpipe-mock {__version__}</p>",
            *body,
            "</body></html>\n",
        )
    )


def table(heads: Iterable[str], rows: Iterable[Iterable[str | int]]) -> str:
    """A table. Heads are plain text; cells are numbers or HTML."""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    cells = (
        "".join(f'<td class="n">{each}</td>' if isinstance(each, int) else f"<td>{each}</td>" for each in row)
        for row in rows
    )
    whole = "\n".join(f"<tr>{each}</tr>" for each in (head, *cells))
    return f'<div class="wide"><table>{whole}</table></div>'


def section(title: str, entries: Sequence[str], empty: str) -> Iterator[str]:
    """A heading with the number of the entries, which are HTML, or `empty` where there are none."""
    yield f"<h2>{escape(title)} ({len(entries)})</h2>"
    yield from entries or [f'<p class="muted">{escape(empty)}</p>']


def mark(state: str, text: str = "", title: str = "") -> str:
    """A text in the colour of a state, by default the state's sign; `title` is shown on hovering."""
    told = f' title="{escape(title)}"' if title else ""
    return f'<span class="{state}"{told}>{escape(text or MARKS[state])}</span>'


@dataclass(frozen=True, slots=True)
class Fact:
    """A named line of a report, `code` or plain text, and perhaps the beginning of a body of `size` bytes."""

    name: str
    text: str
    code: bool = False
    body: str = ""
    size: int = 0


def details(summary: str, facts: Iterable[Fact], *, opened: bool) -> str:
    """Facts that unfold below a summary, which is HTML."""
    shown = "\n".join(f"<dt>{fact.name}</dt><dd>{_whole(fact)}</dd>" for fact in facts)
    return f"<details{' open' if opened else ''}><summary>{summary}</summary><dl>\n{shown}</dl></details>"


def _whole(fact: Fact) -> str:
    text = escape("\n".join(filter(None, (fact.text, fact.body))))
    return f"<pre>{text}</pre>" if fact.code else text


@dataclass(frozen=True, slots=True)
class JUnitCase:
    """A test case of a JUnit document. It passes where `state` is "". `output` is what it printed."""

    classname: str
    name: str
    state: Literal["", "failure", "error", "skipped"] = ""
    message: str = ""
    text: str = ""
    output: str = ""
    seconds: float | None = None

    def element(self) -> Element:
        found = Element("testcase", classname=self.classname, name=_xml_safe(self.name))
        if self.seconds is not None:
            found.set("time", f"{self.seconds:.3f}")
        if self.state:
            SubElement(found, self.state, message=_xml_safe(self.message)).text = _xml_safe(self.text)
        if self.output:
            SubElement(found, "system-out").text = _xml_safe(self.output)
        return found


def junit(name: str, cases: Sequence[JUnitCase], seconds: float) -> str:
    """A JUnit document for CI services, with one suite."""
    suite = Element("testsuite", name=name, tests=str(len(cases)))
    for state, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.state == state for case in cases)))
    suite.set("time", f"{seconds:.3f}")
    suite.extend(case.element() for case in cases)
    whole = Element("testsuites")
    whole.append(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(whole, encoding="unicode") + "\n"


_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml_safe(text: str) -> str:
    """The text with U+FFFD in place of characters that XML can't carry."""
    return _UNPRINTABLE.sub("\ufffd", text)


def json_text(value: Any, indent: int) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent) + "\n"


def write(path: Path, report: str) -> str:
    """Write a report. Returns what went wrong, "" if nothing did."""
    try:
        path.write_text(report, "utf-8", errors="backslashreplace")
    except OSError as error:
        return f"{path} can't be written: {error.strerror or error}"
    return ""
