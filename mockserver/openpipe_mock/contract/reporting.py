"""What the reports of the suite and of `exec` share: page, tables, JUnit, JSON, and writing to a file."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from openpipe_mock import __version__
from openpipe_mock.core.secrets import without_secrets
from openpipe_mock.core.wording import printable_lines

MARKS = {"kept": "✓", "broken": "✗", "flaky": "~", "known": "k", "lenient": "+", "unchecked": "·"}
"""State → its sign."""

_STYLE = """
:root{color-scheme:light dark;--back:#fff;--fore:#1c2024;--muted:#5b6570;--line:#d8dde2;--card:#f4f6f8;
 --good:#1a7f37;--bad:#b42318;--odd:#8a5100;--link:#0b57d0}
@media(prefers-color-scheme:dark){:root{--back:#14171a;--fore:#e6e9ec;--muted:#9aa4ae;--line:#343a40;
 --card:#1d2125;--good:#4ac26b;--bad:#ff7b72;--odd:#e3a93c;--link:#8ab4f8}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:1rem;background:var(--back);color:var(--fore);
 font:1rem/1.5 system-ui,sans-serif}
h1,p,summary,li{overflow-wrap:anywhere}
h1{font-size:1rem;font-weight:normal;color:var(--muted);margin:0 0 .4rem}
h2{font-size:1.1rem;margin:1.6rem 0 .4rem}h3{font-size:.9rem;color:var(--muted);margin:.8rem 0 .2rem}
p{margin:.5rem 0}
code,pre{font:.82rem/1.45 ui-monospace,monospace}code{overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--card);padding:.6rem;border-radius:.4rem;
 margin:.2rem 0;max-height:24rem;overflow-y:auto}
a{color:var(--link)}
.verdict{position:sticky;top:0;z-index:1;border-left:.4rem solid var(--muted);padding:.4rem .8rem;
 margin:0 0 .6rem;background:var(--card);box-shadow:0 .1rem .3rem #0003}
.verdict span{display:block;font-size:.85rem;color:var(--muted)}
.verdict.is-broken{border-color:var(--bad)}.verdict.is-kept{border-color:var(--good)}
.verdict.is-inconclusive{border-color:var(--odd)}
:is(a,span):is(.broken,.fails){color:var(--bad)}span.kept{color:var(--good)}
.unchecked,.muted{color:var(--muted)}
:is(a,span):is(.flaky,.known,.lenient,.before,.reported){color:var(--odd)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}
td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left}
td code{overflow-wrap:normal}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.grid{display:flex;flex-wrap:wrap;gap:.25rem}
.grid>*{border:1px solid var(--line);border-radius:.3rem;padding:0 .4rem;text-decoration:none;
 font:.75rem/1.7 ui-monospace,monospace;overflow-wrap:anywhere}
.grid>.fails,.grid>.broken{border-color:var(--bad);background:color-mix(in srgb,var(--bad) 12%,var(--back))}
.grid>.kept{border-color:transparent;background:var(--card)}
ol.causes{margin:.4rem 0;padding-left:1.6rem}ol.causes li{margin:.25rem 0}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;padding:.4rem .7rem;
 scroll-margin-top:7rem}
summary{cursor:pointer}
dl{margin:.4rem 0}dt{color:var(--muted);font-size:.85rem;margin-top:.5rem}dd{margin:0;overflow-wrap:anywhere}
button{font:inherit;font-size:.8rem;color:var(--fore);background:var(--card);border:1px solid var(--line);
 border-radius:.3rem;padding:.1rem .6rem;cursor:pointer}
@media(max-width:30rem){body{padding:.7rem;font-size:.95rem}td,th{padding:.2rem .25rem}
 table,td code{font-size:.7rem}td code{overflow-wrap:break-word}}
@media print{:root{--back:#fff;--fore:#000;--muted:#444;--line:#bbb;--card:#f4f4f4;--good:#060;--bad:#900;
 --odd:#630;--link:#000}html{font-size:11px}body{max-width:none}.verdict{position:static;box-shadow:none}
 pre{max-height:none}button{display:none}details,li{break-inside:avoid}}
"""
_SCRIPT = """
const unfold = () => {
  const aim = location.hash && document.getElementById(location.hash.slice(1));
  if (aim && aim.tagName === "DETAILS") { aim.open = true; aim.scrollIntoView(); }
};
const copied = async text => {
  try { await navigator.clipboard.writeText(text); return true; } catch {
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text; area.select();
    try { return document.execCommand("copy"); } finally { area.remove(); }
  }
};
addEventListener("hashchange", unfold);
addEventListener("beforeprint", () => {
  document.querySelectorAll("details.fails").forEach(each => each.open = true);
});
addEventListener("click", async event => {
  if (event.target.closest("a[href^='#']")) setTimeout(unfold);
  const button = event.target.closest("button");
  if (!button) return;
  const word = button.textContent;
  button.textContent = await copied(button.nextElementSibling.textContent) ? "copied" : "not copied";
  setTimeout(() => button.textContent = word, 1500);
});
document.querySelectorAll("button").forEach(each => each.hidden = false);
unfold();
"""


def page(title: str, verdict: str, words: str, facts: str, body: Iterable[str]) -> str:
    """An HTML page without external files, light and dark, for narrow and wide screens and for paper.

    `verdict` is kept, broken or inconclusive; `words` say it, and `facts` follow them; both stay in sight.
    `body` is HTML, the others are plain text.
    """
    lines = "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="verdict is-{verdict}"><strong>{escape(words)}.</strong>',
            f"<span>{escape(facts)} openpipe-mock {__version__}</span></p>",
            *body,
            f"<script>{_SCRIPT}</script></body></html>\n",
        )
    )
    return printable_lines(lines)


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
    """A named line of a report, `code` or plain text, and perhaps the beginning of a body of `size` bytes.

    `copy`: the text is a command, which a page lets one copy.
    """

    name: str
    text: str
    code: bool = False
    body: str = ""
    size: int = 0
    copy: bool = False


def details(
    summary: str,
    facts: Iterable[Fact],
    *,
    opened: bool = False,
    more: str = "",
    name: str = "",
    state: str = "",
) -> str:
    """Facts that unfold below a summary; `summary` and `more`, which follows the facts, are HTML.

    Links lead to the `name`. What has the state "fails" is printed unfolded.
    """
    shown = "\n".join(f"<dt>{fact.name}</dt><dd>{_whole(fact)}</dd>" for fact in facts)
    told = "".join(f' {key}="{escape(value)}"' for key, value in (("id", name), ("class", state)) if value)
    inner = f"<summary>{summary}</summary><dl>\n{shown}</dl>{more}"
    return f"<details{told}{' open' if opened else ''}>{inner}</details>"


def _whole(fact: Fact) -> str:
    text = escape("\n".join(filter(None, (fact.text, fact.body))))
    button = '<button type="button" hidden>copy</button>' if fact.copy else ""
    return f"{button}<pre>{text}</pre>" if fact.code else text


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
        found = Element("testcase", classname=self.classname, name=self.name)
        if self.seconds is not None:
            found.set("time", f"{self.seconds:.3f}")
        if self.state:
            SubElement(found, self.state, message=self.message).text = self.text
        if self.output:
            SubElement(found, "system-out").text = self.output
        return found


def junit(
    name: str, cases: Sequence[JUnitCase], seconds: float, properties: Mapping[str, str] | None = None
) -> str:
    """A JUnit document for CI services, with one suite. `properties` say more about the whole run."""
    suite = Element("testsuite", name=name, tests=str(len(cases)))
    for state, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.state == state for case in cases)))
    suite.set("time", f"{seconds:.3f}")
    if properties:
        told = SubElement(suite, "properties")
        for key, value in properties.items():
            SubElement(told, "property", name=key, value=value)
    suite.extend(case.element() for case in cases)
    whole = Element("testsuites")
    whole.append(suite)
    text = tostring(whole, encoding="unicode")
    return printable_lines(f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def json_text(value: Any, indent: int) -> str:
    """JSON in which characters that would steer a terminal are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent) + "\n"
    return text if text.isascii() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    return char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1]


def write(path: Path, report: str, *keys: bytes) -> str:
    """Write a report, without these and other secrets. Returns what went wrong, "" if nothing did."""
    try:
        path.write_text(without_secrets(report, *keys), "utf-8", errors="backslashreplace")
    except OSError as error:
        return f"{path} can't be written: {error.strerror or error}"
    return ""
