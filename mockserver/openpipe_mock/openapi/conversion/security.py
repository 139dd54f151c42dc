"""Turn a page's `security` into OpenAPI's security schemes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from openpipe_mock.openapi.conversion.refusals import ConversionError, child

_Scheme = dict[str, Any]

_LOCATIONS = ("path", "query", "header", "cookie")


def security_schemes(raw: Any, place: str) -> dict[str, _Scheme]:
    """The schemes, by name, that one entry of `security` demands together; {} if it demands none.

    Raises:
        ConversionError: a scheme at a place where it can't be, or a title that doesn't name each scheme once.
    """
    at = child(place, "title")
    found = list(by_location(raw["parameters"], child(place, "parameters")))
    titles = raw["title"].split(" & ") if found else []
    names = [re.sub(r"[^A-Za-z0-9._-]+", "", title) for title in titles]
    if "" in names or not len(names) == len(set(names)) == len(found):
        raise ConversionError(at, f'this names not just {len(found)} schemes; name each, joined by " & "')
    schemes = (_security_scheme(value, spot, location, key) for location, key, spot, value in found)
    return dict(zip(names, schemes, strict=True))


def by_location(raw: Any, place: str) -> Iterator[tuple[str, str, str, Any]]:
    """Yield location, name, place and value of each entry below path, query, header and cookie."""
    for location in _LOCATIONS:
        for name, value in raw.get(location, {}).items():
            yield location, name, child(place, location, name), value


def _security_scheme(raw: Any, place: str, location: str, name: str) -> _Scheme:
    found = {"type": raw["type"]} | _SCHEMES[raw["type"]](raw, place, location, name)
    return found | {key: raw[key] for key in ("description",) if key in raw}


def _http_scheme(scheme: _Scheme, place: str, location: str, name: str) -> _Scheme:
    if (location, name) != ("header", "Authorization"):
        raise ConversionError(place, "an http scheme travels in the header Authorization; make it an apiKey")
    return {"x-source": "documented", "scheme": scheme["scheme"]}


def _api_key(scheme: _Scheme, place: str, location: str, name: str) -> _Scheme:
    if location == "path":
        raise ConversionError(place, "a key can't travel in the path; move it to query, header or cookie")
    return {"x-source": "documented", "in": location, "name": name}


def _oauth2(scheme: _Scheme, place: str, location: str, name: str) -> _Scheme:
    """The scheme without any flows."""
    # OpenAPI demands flows, but the dialect doesn't keep them. None is better than an invented one.
    return {"x-source": "decision", "flows": {}}


_SCHEMES: dict[str, Callable[[_Scheme, str, str, str], _Scheme]] = {
    "http": _http_scheme,
    "apiKey": _api_key,
    "oauth2": _oauth2,
}
