"""Put a converted part into a whole OpenAPI document, tell where the two differ, and write documents down.

The part owns its components, its servers and the words of its operations. All else is the document's own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import yaml

Document = dict[str, Any]

HEADER = (
    "The API, as OpenAPI 3.1. What the documentation page says is generated with `make schemas`;",
    "the rest is written by hand, in this file. Comments don't survive: use a description or an x- member.",
)
# A line is broken after the first word that goes beyond, so lines end near 110.
WIDTH = 100
LONG = 80
MISSING = object()
# PyYAML reads these breaks back as other ones unless they are escaped.
ODD_BREAKS = frozenset("\x85\u2028\u2029")


def merge(document: Document, part: Document) -> Document:
    """Return the document with the part in it; the arguments stay as they are.

    Components are replaced or added by name, servers by URL, responses by status, the rest of an operation
    word by word. What the document has in addition stays: components, servers, paths, methods, statuses, and
    `x-` members of operations. Its `openapi` and `info` stay too. Its order is kept, new members come last.
    """
    merged = dict(document)
    for key, value in part.items():
        merged[key] = MERGERS.get(key, kept)(merged.get(key, MISSING), value)
    return copy.deepcopy(merged)


def differences(document: Document, part: Document) -> Iterator[str]:
    """Yield one sentence for each place where the document doesn't contain the part: pointer and values.

    Nothing is yielded when `merge(document, part)` and the document are the same JSON.
    """
    yield from contrasts(document, merge(document, part), "")


def dump(document: Document, *, header: tuple[str, ...] = HEADER) -> str:
    """Write a document as YAML behind the header's lines as comments; equal documents give equal text."""
    comment = "".join(f"# {line}\n" for line in header)
    body: str = yaml.dump(
        document,
        Dumper=DocumentDumper,
        sort_keys=False,
        width=WIDTH,
        allow_unicode=True,
        default_flow_style=False,
    )
    return comment + body


def kept(old: Any, new: Any) -> Any:
    return new if old is MISSING else old


def replaced(old: Any, new: Any) -> Any:
    return new


def by_name(merge_value: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A merger of mappings that keeps the names which only the old one has."""

    def merger(old: Any, new: dict[str, Any]) -> dict[str, Any]:
        found = as_mapping(old)
        return found | {key: merge_value(found.get(key, MISSING), value) for key, value in new.items()}

    return merger


def servers(old: Any, new: list[Any]) -> list[Any]:
    found = old if isinstance(old, list) else []
    urls = [as_mapping(server).get("url") for server in found]
    merged = list(found)
    for server in new:
        if server["url"] in urls:
            merged[urls.index(server["url"])] = server
        else:
            merged.append(server)
    return merged


def operation(old: Any, new: dict[str, Any]) -> dict[str, Any]:
    """The part says all of an operation but its extensions and further responses, so stale words go."""
    stays = {key: value for key, value in as_mapping(old).items() if key in new or key.startswith("x-")}
    return stays | {key: OPERATION.get(key, replaced)(stays.get(key), value) for key, value in new.items()}


def as_mapping(value: Any) -> dict[str, Any]:
    """What is written by hand may be anything; what is no mapping holds nothing that could stay."""
    return value if isinstance(value, dict) else {}


OPERATION = {"responses": by_name(replaced)}
MERGERS: dict[str, Callable[[Any, Any], Any]] = {
    "servers": servers,
    "paths": by_name(by_name(operation)),
    "components": by_name(by_name(replaced)),
}


def contrasts(found: Any, expected: Any, place: str) -> Iterator[str]:
    """Walk two JSON values and yield a sentence for each difference."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in expected | found:
            step = str(key).replace("~", "~0").replace("/", "~1")
            yield from contrasts(found.get(key, MISSING), expected.get(key, MISSING), f"{place}/{step}")
    elif isinstance(found, list) and isinstance(expected, list):
        for index in range(max(len(found), len(expected))):
            left, right = (values[index] if index < len(values) else MISSING for values in (found, expected))
            yield from contrasts(left, right, f"{place}/{index}")
    elif isinstance(found, bool) is not isinstance(expected, bool) or found != expected:
        yield f"{place}: expected {short(expected)}, found {short(found)}"


def short(value: Any) -> str:
    text = "nothing" if value is MISSING else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


class DocumentDumper(yaml.SafeDumper):
    """Writes no anchors, and long or broken texts as blocks. Pure Python: libyaml breaks lines elsewhere."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def block_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if ODD_BREAKS & set(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif len(text) > LONG and " " in text:
        style = ">"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


DocumentDumper.add_representer(str, block_text)
