"""Decide who may use the control API and see the page: this machine, and whoever the flags let in.

The peer's address isn't enough: a proxy on this machine passes on the requests of others, and a web page may
resolve its own name to this machine (DNS rebinding). So the addresses in a proxy's headers count too, and the
`Host` must be `localhost`, an address, or a name that was allowed. Where a proxy says no address (`Via`), the
peer is unknown.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from openpipe_mock.core.effects import Head, Headers
from openpipe_mock.core.errors import Forbidden
from openpipe_mock.core.wording import quoted
from openpipe_mock.service.admission import has_foreign_origin

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network

_OPEN = ("/_mock/health", "/_mock/ready")
"""The paths that anybody may ask: health checks of containers come from anywhere and under any name."""
_TOLD_ONCE = (b"host", b"origin", b"x-forwarded-for", b"x-real-ip", b"forwarded", b"x-mock-token")
"""Headers by which the guard decides: every value that was sent has to count."""
_UNADDRESSED = (b"via", b"cf-connecting-ip", b"true-client-ip")
"""Headers of proxies that tell nobody's address in a form to trust: who asks is unknown then."""
_FOREIGN = "the control API answers no page of another site; ask it from this machine."
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]*))(?::[0-9]*)?")
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_PORTED = re.compile(r"\[(?P<v6>[^\]]*)\](?::[0-9]+)?|(?P<v4>[0-9.]+):[0-9]+")
_FORWARDED_FOR = re.compile(r"""(?i)(?:^|[;,\s])for\s*=\s*("[^"]*"|[^;,\s]*)""")


class UnfitFlag(ValueError):
    """A flag has an invalid value; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets in this machine, whoever sends the token, and whoever is in one of the networks.

    `token`: empty for none. `hosts`: further names, in lower case, that may stand in the `Host`.
    """

    token: bytes = field(default=b"", repr=False)
    networks: tuple[_Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    def called(self, host: str) -> "Guard":
        """This guard for a mock that listens on `host`, which then may stand in the `Host` too."""
        return replace(self, hosts=self.hosts | {host.lower()})

    def admit(self, head: Head) -> None:
        """Raise Forbidden for a request that may not. One without a peer comes from this process, and may."""
        if not head.peer:
            return
        if has_foreign_origin(head.headers) and not _is_its_own(head):
            raise Forbidden(_FOREIGN)
        if head.path in _OPEN or self.is_known(_sent_tokens(head.headers)):
            return
        for written in (head.peer, *_forwarded(head.headers)):
            if not self.is_near(address(written)):
                raise Forbidden(self.too_far(written, head.headers))
        for name in _UNADDRESSED:
            if name in head.headers:
                raise Forbidden(_unknown(name.decode()))
        if not self.is_own(head.headers.get(b"host")):
            raise Forbidden(_misnamed(head.headers[b"host"]))

    def is_known(self, tokens: Iterable[bytes]) -> bool:
        return bool(self.token) and any(compare_digest(token, self.token) for token in tokens)

    def is_near(self, found: _Address | None) -> bool:
        """Whether an address is this machine's or in a network that was let in."""
        return found is not None and (found.is_loopback or any(found in network for network in self.networks))

    def is_own(self, host: bytes | None) -> bool:
        """Whether the mock may be asked under this `Host`: a known name, an address, or none at all."""
        if host is None:  # no browser leaves it out
            return True
        name = _host_name(host)
        known = name == "localhost" or name.endswith(".localhost") or name in self.hosts
        # A page under an address was loaded from there, so no other site can pretend to have it.
        return known or address(name) is not None

    def too_far(self, written: str, headers: Headers) -> str:
        found = address(written)
        shown, flag = (str(found), str(found)) if found else (quoted(written), "CIDR")
        wrong = self.token and any(_sent_tokens(headers))
        told = f"and {shown} is another{', whose token is not that of --control-token' if wrong else ''}"
        advice = f"start the mock with --allow-control-from {flag}, or with --control-token and send that"
        return f"the control API answers this machine alone, {told}; {advice} as `x-mock-token`."


def guard(token: str | None = None, networks: Iterable[str] = (), hosts: Iterable[str] = ()) -> Guard:
    """The guard for `--control-token`, `--allow-control-from` and `--allowed-host`. Raises UnfitFlag."""
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise UnfitFlag("--control-token: expected printable ASCII characters without spaces, at least one")
    return Guard((token or "").encode(), tuple(map(_network, networks)), frozenset(map(_allowed_name, hosts)))


def joined(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, with each of `_TOLD_ONCE` that was sent several times joined into one."""
    names = [name for name, _ in headers if name in _TOLD_ONCE]
    if len(names) == len(set(names)):
        return headers
    sent = {each: b", ".join(value for name, value in headers if name == each) for each in names}
    return [*((name, value) for name, value in headers if name not in sent), *sent.items()]


def safe_headers(policy: str) -> dict[str, str]:
    """Headers that keep a browser from caching an answer, running it, or showing it inside another page.

    `policy`: what a page may load (`content-security-policy`).
    """
    return {
        "cache-control": "no-store",
        "content-security-policy": policy,
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


def _is_its_own(head: Head) -> bool:
    """Whether a page sent a request to the host that it was loaded from, whose name `is_own` judges."""
    scheme, _, host = head.headers[b"origin"].partition(b"://")
    return scheme in (b"http", b"https") and host.lower() == head.headers.get(b"host", b"").strip().lower()


def _sent_tokens(headers: Headers) -> tuple[bytes, bytes]:
    """The tokens that were sent, in `x-mock-token` and as a bearer; empty where none was."""
    scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
    bearer = bearer.strip() if scheme.lower() == b"bearer" else b""
    return headers.get(b"x-mock-token", b"").strip(), bearer


def _forwarded(headers: Headers) -> Iterator[str]:
    """The addresses of clients in the headers that proxies add."""
    for name in (b"x-forwarded-for", b"x-real-ip"):
        if name in headers:
            yield from headers[name].decode("latin-1").split(",")
    if b"forwarded" in headers:
        written = headers[b"forwarded"].decode("latin-1")
        yield from (found[1].strip('"') for found in _FORWARDED_FOR.finditer(written))


def address(written: str) -> _Address | None:
    """The address in a text from a socket or proxy, with or without a port; None for anything else."""
    written = written.strip()
    ported = _PORTED.fullmatch(written)
    if ported:
        written = ported["v6"] or ported["v4"] or ""
    try:
        found = ip_address(written.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _unknown(header: str) -> str:
    told = f"and the header `{header}` is that of a proxy, which says nobody's address"
    advice = "ask without it, or start the mock with --control-token and send that as `x-mock-token`"
    return f"the control API answers this machine alone, {told}; {advice}."


def _host_name(host: bytes) -> str:
    """The name or address in a `Host`, in lower case and without its port; "" for an invalid one."""
    found = _HOST.fullmatch(host.decode("latin-1").strip().lower())
    return (found["address"] or (found["name"] or "").removesuffix(".")) if found else ""


def _misnamed(host: bytes) -> str:
    name = _host_name(host)
    if not _NAME.fullmatch(name):
        return "the `Host` of the request is no name; ask the control API under localhost or an address."
    told = f"the control API doesn't go by the name {quoted(name)}, the request's `Host`"
    return f"{told}; ask for localhost or for an address, or start the mock with --allowed-host {name}."


def _network(written: str) -> _Network:
    """The network of `--allow-control-from`, or a single address. Raises UnfitFlag."""
    single = written.partition("/")[0]
    try:
        meant = ip_network(written, strict=False)
    except ValueError:
        expected = "expected an address or a network, as in 172.16.0.0/12"
        raise UnfitFlag(f"--allow-control-from {quoted(written)}: {expected}") from None
    if meant.network_address != ip_address(single):
        raise UnfitFlag(f"--allow-control-from {quoted(written)}: did you mean {meant}, or {single} alone?")
    return _unmapped(meant)


def _unmapped(found: _Network) -> _Network:
    """The IPv4 network that an IPv6 one maps, since peers are compared as IPv4."""
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    return ip_network((mapped, found.prefixlen - 96)) if mapped and found.prefixlen >= 96 else found


def _allowed_name(written: str) -> str:
    """The name of `--allowed-host`, in lower case. Raises UnfitFlag."""
    name = written.lower()
    if not _NAME.fullmatch(name):
        raise UnfitFlag(
            f"--allowed-host {quoted(written)}: expected a name without scheme and port, as in mock"
        )
    return name
