"""What the user asks of a run, and the server under test: base URL, key, and how careful to be."""

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

KEY_VARIABLE = "OPENPIPE_API_KEY"
_SERVICE_HOSTS = (".openpipe.ai",)
_SHORTEST_SECRET = 5


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asks of a run. None means a default that depends on where the server is.

    `rate` is in requests a second, `timeout` in seconds for one answer. `endpoint` is the only one to judge,
    "" for both; `jobs` is how many requests may be under way at once.
    """

    url: str = ""
    criteria: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()
    seed: int = 0
    level: str = "sdk"
    api_key: str | None = None
    send_key: bool = False
    max_requests: int | None = None
    rate: float | None = None
    timeout: float | None = None
    jobs: int | None = None
    endpoint: str = ""
    thorough: bool = False
    fuzz: int = 0
    large: bool = False
    only: tuple[str, ...] = ()
    match: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A server: its base URL without user information and trailing slash, and how to treat it."""

    url: str
    key: str = ""
    local: bool = True
    timeout: float = 10.0
    rate: float = 0.0
    max_requests: int = 400
    jobs: int = 1

    def __repr__(self) -> str:
        return f"Target({self.url!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that no report may contain: the key, if it has at least five characters."""
        # A key of a few letters would be found, and replaced, in any text.
        return (self.key,) if len(self.key) >= _SHORTEST_SECRET else ()


class UsageProblem(Exception):
    """What the user asked for can't be done; the message says why and what to do."""


_LOCAL_BUDGET, _PUBLIC_BUDGET = 400, 60
_LOCAL_TIMEOUT, _PUBLIC_TIMEOUT = 10.0, 60.0
_LOCAL_JOBS, _PUBLIC_JOBS = 4, 1
_BOUNDS = (
    ("timeout", "seconds", 0.001, 3600),
    ("rate", "requests a second", 0.01, 1e6),
    ("max_requests", "a number of requests", 1, 1e6),
    ("jobs", "a number of requests at once", 1, 64),
    ("fuzz", "a number of requests", 0, 1e5),
)
"""Options that are numbers, what they are, and between which bounds they make sense."""


def _check_numbers(options: RunOptions) -> None:
    """Raise UsageProblem for a number that is out of bounds, or none."""
    for name, noun, least, most in _BOUNDS:
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            flag = name.replace("_", "-")
            raise UsageProblem(f"--{flag} wants {noun}, from {least:,} to {most:,.0f}; got {value}")


def latest_versions(options: RunOptions) -> tuple[tuple[str, str], ...]:
    """Pairs of a criterion and its latest version, as `("criterion-1", "v2")`. Raises UsageProblem."""
    found = []
    for each in options.latest:
        name, _, version = each.partition("=")
        if not name or not re.fullmatch("v[0-9]+", version):
            raise UsageProblem(f"--latest wants ID=vN, as criterion-1=v2; got {each}")
        found.append((name, version))
    return tuple(found)


def target(options: RunOptions, environment: Mapping[str, str] = os.environ) -> Target:
    """The server to judge. By default a host that is neither here nor in a private network gets few requests.

    Raises UsageProblem for a URL, a key, numbers or versions that can't be used.
    """
    _check_numbers(options)
    latest_versions(options)
    url = _normal(options.url)
    local = is_local(url)
    key = _key_for(url, options, environment)
    if not key.isascii() or any(sign.isspace() or not sign.isprintable() for sign in key):
        raise UsageProblem("the key holds white space or signs that no header can carry")
    timeout, budget = (_LOCAL_TIMEOUT, _LOCAL_BUDGET) if local else (_PUBLIC_TIMEOUT, _PUBLIC_BUDGET)
    jobs = _LOCAL_JOBS if local else _PUBLIC_JOBS
    return Target(
        url,
        key,
        local,
        options.timeout or timeout,
        options.rate or 0.0,
        options.max_requests or budget,
        options.jobs or jobs,
    )


def _normal(url: str) -> str:
    """The base URL in its normal form. Raises UsageProblem where it is none."""
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise UsageProblem(f"the URL can't be read: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageProblem("the URL has to begin with http:// or https://, as http://127.0.0.1:6736/api/v1")
    if parts.username or parts.password:
        raise UsageProblem("the URL holds a user name or password; pass a key with --api-key instead")
    if parts.query or parts.fragment:
        raise UsageProblem("the URL has a query or a fragment; give the base URL alone")
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{host}:{port}" if port else host, parts.path.rstrip("/"), "", ""))


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_service(url: str) -> bool:
    """Whether the URL is one of the service itself, over https."""
    return url.startswith("https://") and _host_of(url).endswith(_SERVICE_HOSTS)


def is_loopback(url: str) -> bool:
    host = _host_of(url)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


def is_local(url: str) -> bool:
    """Whether the host has addresses, and all of them are loopback or private."""
    if is_loopback(url):
        return True
    if _host_of(url).endswith(_SERVICE_HOSTS):
        return False
    with suppress(OSError, UnicodeError, ValueError):
        addresses = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(_host_of(url), None)}
        return bool(addresses) and all(_private(address) for address in addresses)
    return False


def _private(address: str) -> bool:
    place = ip_address(address)
    return place.is_loopback or place.is_private or place.is_link_local


def _key_for(url: str, options: RunOptions, environment: Mapping[str, str]) -> str:
    """The given key, else the variable's for the service, for this machine, and on demand for any host."""
    if options.api_key is not None:
        return options.api_key
    if options.send_key or _is_service(url) or is_loopback(url):
        return environment.get(KEY_VARIABLE, "")
    return ""


def withheld(options: RunOptions, server: Target, environment: Mapping[str, str]) -> bool:
    """Whether the environment has a key that is not sent to this server."""
    return options.api_key is None and bool(environment.get(KEY_VARIABLE)) and not server.key
