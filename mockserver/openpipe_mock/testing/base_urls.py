"""URLs of requests, and whether they lie below a base URL, in any of their spellings."""

import posixpath
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

from openpipe_mock.openapi.endpoints import BASE

DEFAULT_PORTS = {"https": 443, "http": 80}
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
"""The dots of other scripts, which separate a host's labels too."""


@dataclass(frozen=True, slots=True)
class Url:
    """Where a request goes. `port`: None where the URL names none; `path`: decoded, without query."""

    scheme: str
    host: str
    port: int | None
    path: str


def url_of(url: str) -> Url:
    parts = urlsplit(url)
    return Url(parts.scheme, parts.hostname or "", parts.port, unquote(parts.path))


def path_of(target: str) -> str:
    """The decoded path of a target such as `/a%20b?c=d`."""
    return unquote(target.partition("?")[0])


def path_below(url: Any, base: str) -> str | None:
    """The mock's path for a URL below a base URL; None for a URL that isn't below it.

    `url`: of httpx, or a `Url`. With a base URL that ends in `/api/v1`, its control API's paths are found
    too.
    """
    found = parsed(base)
    if found is None or (url.scheme, host_of(url)) != (found.scheme, found.host):
        return None
    if _normal_port(url.scheme, url.port) != found.port:
        return None
    path, prefix = _normal_path(str(url.path)), found.path
    above = prefix.removesuffix(BASE)
    if prefix.endswith(BASE) and path.startswith(f"{above}/_mock/"):
        return path.removeprefix(above)
    return BASE + path.removeprefix(prefix) if path.startswith(f"{prefix}/") else None


@lru_cache(maxsize=64)
def parsed(base: str) -> Url | None:
    """The normal form of a base URL, whose path has no slash at its end.

    None for a text that is no URL, which no client can send to.
    """
    try:
        found = url_of(base.strip())
        port = _normal_port(found.scheme, found.port)
    except ValueError:
        return None
    if not found.host:
        return None
    return Url(found.scheme, normal_host(found.host), port, _normal_path(found.path).rstrip("/"))


def host_of(url: Any) -> str:
    """The host of a client's URL in its normal form."""
    try:
        return normal_host(url.host)
    except UnicodeError:  # httpx raises it for an invalid international name
        return normal_host(url.raw_host.decode("ascii"))


@lru_cache(maxsize=1024)
def normal_host(host: str) -> str:
    """A host as it is looked up: in lower case, in ASCII if possible, without a dot at its end.

    IPv6 addresses get their shortest form.
    """
    if ":" in host:
        try:
            return ip_address(host).compressed.lower()
        except ValueError:
            return host.lower()
    decoded = ".".join(map(_decoded_label, host.lower().translate(_DOTS).rstrip(".").split(".")))
    try:
        return decoded if decoded.isascii() else decoded.encode("idna").decode()
    except UnicodeError:  # it can't be looked up either
        return decoded


def _decoded_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def _normal_path(decoded: str) -> str:
    """A path with `.` and `..` resolved."""
    if "/." not in decoded:
        return decoded
    return posixpath.normpath(decoded)


def _normal_port(scheme: str, port: int | None) -> int | None:
    return DEFAULT_PORTS.get(scheme) if port is None else port
