"""Merge a converted part into a whole OpenAPI document, tell where the two differ, and write documents.

The part decides its components, its servers and all of its operations except what is named in `merge`.
Everything else belongs to the document.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from openpipe_mock.openapi.conversion.refusals import child

_Document = dict[str, Any]

_HEADER = (
    "The API, as OpenAPI 3.1. What the documentation page says is generated with `make schemas`;",
    "the rest is written by hand, in this file. Comments don't survive: use a description or an x- member.",
)
# PyYAML breaks a line after the first word that exceeds the width, so lines end near 110.
_WIDTH = 100
_LONG = 80
_MISSING = object()
# PyYAML reads these breaks back as other ones unless they are escaped.
_ODD_BREAKS = frozenset("\x85\u2028\u2029")


def merge(document: _Document, part: _Document) -> _Document:
    """Return a copy of the document with the part in it.

    Components are replaced or added by name, servers by URL, responses by status. Of an operation all else is
    replaced. Whatever the document has in addition stays: components, servers, paths, methods, statuses, and
    `x-` members of operations. Its `openapi` and `info` stay too. Its order is kept, new members come last.
    """
    merged = dict(document)
    for key, value in part.items():
        merged[key] = _MERGERS.get(key, _kept)(merged.get(key, _MISSING), value)
    return copy.deepcopy(merged)


def differences(document: _Document, part: _Document) -> Iterator[str]:
    """Yield one sentence, with pointer and values, for each place where the document differs from the part.

    Yields nothing if `merge(document, part)` and the document are the same JSON.
    """
    yield from _contrasts(document, merge(document, part), "")


def dump(document: _Document, *, header: tuple[str, ...] = _HEADER) -> str:
    """Write a document as YAML, after the header's lines as comments. Equal documents give equal text."""
    comment = "".join(f"# {line}\n" for line in header)
    body: str = yaml.dump(
        document,
        Dumper=_DocumentDumper,
        sort_keys=False,
        width=_WIDTH,
        allow_unicode=True,
        default_flow_style=False,
    )
    return comment + body


def _kept(old: Any, new: Any) -> Any:
    return new if old is _MISSING else old


def _replaced(old: Any, new: Any) -> Any:
    return new


def _by_name(merge_value: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Make a merger of mappings that keeps the names that only the old one has."""

    def merger(old: Any, new: dict[str, Any]) -> dict[str, Any]:
        found = _as_mapping(old)
        return found | {key: merge_value(found.get(key, _MISSING), value) for key, value in new.items()}

    return merger


def _servers(old: Any, new: list[Any]) -> list[Any]:
    found = old if isinstance(old, list) else []
    urls = [_as_mapping(server).get("url") for server in found]
    merged = list(found)
    for server in new:
        if server["url"] in urls:
            merged[urls.index(server["url"])] = server
        else:
            merged.append(server)
    return merged


def _operation(old: Any, new: dict[str, Any]) -> dict[str, Any]:
    """Replace an operation, except its `x-` members and further responses."""
    stays = {key: value for key, value in _as_mapping(old).items() if key in new or key.startswith("x-")}
    return stays | {key: _OPERATION.get(key, _replaced)(stays.get(key), value) for key, value in new.items()}


def _as_mapping(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else {}: a document that is written by hand may have anything there."""
    return value if isinstance(value, dict) else {}


_OPERATION = {"responses": _by_name(_replaced)}
_MERGERS: dict[str, Callable[[Any, Any], Any]] = {
    "servers": _servers,
    "paths": _by_name(_by_name(_operation)),
    "components": _by_name(_by_name(_replaced)),
}


def _contrasts(found: Any, expected: Any, place: str) -> Iterator[str]:
    """Walk two JSON values and yield a sentence for each difference."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in expected | found:
            yield from _contrasts(found.get(key, _MISSING), expected.get(key, _MISSING), child(place, key))
    elif isinstance(found, list) and isinstance(expected, list):
        for index in range(max(len(found), len(expected))):
            left, right = (values[index] if index < len(values) else _MISSING for values in (found, expected))
            yield from _contrasts(left, right, f"{place}/{index}")
    elif isinstance(found, bool) is not isinstance(expected, bool) or found != expected:
        yield f"{place}: expected {_short(expected)}, found {_short(found)}"


def _short(value: Any) -> str:
    text = "nothing" if value is _MISSING else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


class _DocumentDumper(yaml.SafeDumper):
    """Writes no anchors, and writes long or broken texts as blocks."""

    # Pure Python on purpose: libyaml breaks lines at other places.
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _ODD_BREAKS & set(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif len(text) > _LONG and " " in text:
        style = ">"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_DocumentDumper.add_representer(str, _block_text)
