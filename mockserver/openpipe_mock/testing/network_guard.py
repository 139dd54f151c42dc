"""Keep clients that the mock doesn't answer from the service, the providers and the proxies.

The guard patches where Python resolves names, connects sockets and begins TLS: `socket` and `ssl`, which
asyncio, trio, anyio, urllib and http.client use too, and the event loops with sockets of their own, uvloop's
and asyncio's on Windows. It doesn't see clients that connect in C (pycurl, curl_cffi, grpc), nor other
processes.
"""

import _socket
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial, wraps
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any, NoReturn

from openpipe_mock.core.wording import quoted
from openpipe_mock.testing.base_urls import normal_host, parsed
from openpipe_mock.testing.clients import CLIENT_NAMES
from openpipe_mock.testing.layers import Layers, Original, Place, Wrapping, bound, is_passing

_CURE = f"the mock answers {CLIENT_NAMES}, but not the client that asked (urllib, http.client, …)."
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
"""Variables that name a proxy, in any case."""
_SOCKS = 1080


class NetworkRefused(OSError):
    """A request or connection was refused. The message says which, and what would let it pass."""

    # An OSError, as libraries expect of a connection: they close what they opened, and wrap it or pass it on.
    # asyncio loses an error of another kind when it tries several addresses.

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.strerror = message  # all that aiohttp shows of an OSError


class _HandshakeRefused(NetworkRefused, ssl.SSLError):
    """The same, as an error that event loops expect of a handshake."""


class NetworkGuard:
    """The guard, which is on while there is a mock.

    `guards(host)`: whether clients that no mock answers may not reach a host. `blocks()`: whether they may
    reach this machine only. Patches that others have put over the guard's stay when it is taken off: see
    `Layers`.
    """

    def __init__(self, guards: Callable[[str], bool], blocks: Callable[[], bool]) -> None:
        self.guards = guards
        self.blocks = blocks
        self.on = False
        self.layers = Layers(self)
        self.places: tuple[Place, ...] = ()

    def put_on(self) -> None:
        self.places = self.places or tuple(places())
        self.on = True
        self.layers.put_on(self.places)

    def take_off(self) -> None:
        self.on = False
        self.layers.take_off()

    def is_watching(self) -> bool:
        """Whether the current call has to be checked."""
        return self.on and not is_passing()

    def check_name(self, host: object, port: object = None) -> None:
        """Raise NetworkRefused for a name that may not be resolved. Addresses are left to `check_address`."""
        if self.is_watching() and not _is_address(normal_host(_text(host))):
            self.check(host, port)

    def check_address(self, sock: socket.socket, address: Any) -> None:
        """Raise NetworkRefused where a socket may not connect to an address."""
        if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            self.check(*address[:2])

    def check(self, host: object, port: object = None) -> None:
        """Raise NetworkRefused where a host, a name or an address, may not be connected to."""
        if not self.is_watching():
            return
        asked = _text(host)
        name = normal_host(asked)
        if self.guards(name):
            raise NetworkRefused(_refusal(asked))
        _check_proxy(name, port)
        if self.blocks() and not is_local_host(name):
            raise NetworkRefused(
                f"a connection to {quoted(asked)} was refused: block_network keeps in all that isn't for "
                "this machine; mock that host too, or leave block_network out."
            )

    def refusal_of_tls(self, server: str | None) -> NetworkRefused | None:
        """The error for TLS to a server's name, None where it may be."""
        # Here the host shows where a client had its address already, or connects by a proxy of its own.
        if server and self.is_watching() and self.guards(normal_host(server)):
            return _HandshakeRefused(_refusal(server))
        return None


def _text(host: object) -> str:
    """The text of a host as `socket` takes it; "" for this machine."""
    return bytes(host).decode("latin-1") if isinstance(host, bytes | bytearray) else str(host or "")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_local_host(host: str) -> bool:
    """Whether a host is this machine: loopback, or this machine's own name."""
    if not _is_address(host):
        own = socket.gethostname().lower()
        return host in ("", "localhost", own) or host.endswith(".localhost")
    address = ip_address(host)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _endpoint(host: str, port: object) -> tuple[str, str]:
    return ("localhost" if is_local_host(host) else host), str(port)


def _proxies() -> Iterator[tuple[str, tuple[str, str]]]:
    """Each variable that names a proxy, with the proxy's host and port."""
    for name in list(os.environ):
        value = os.environ.get(name) if name.lower() in _PROXIES else None
        proxy = parsed(value if "://" in value else f"http://{value}") if value else None
        if proxy is not None:
            yield name, _endpoint(proxy.host, _SOCKS if proxy.port is None else proxy.port)


# The patches. Each takes the function that it replaces, and checks before it calls that.


def _lookup(original: Original, guard: "NetworkGuard") -> Original | None:
    if getattr(original, "__module__", None) == "pytest_socket":
        return None  # it refuses everything, and restores the function only if its own is still on top

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        guard.check_name(host, args[0] if args else kwargs.get("port"))
        return original(host, *args, **kwargs)

    return lookup


def _checked(check: Callable[..., None]) -> Wrapping:
    """Make the wrapping of a method. `check` takes the guard, then what the method takes; may raise."""

    def wrapping(original: Original, guard: "NetworkGuard") -> Original:
        def checked(owner: Any, *args: Any, **kwargs: Any) -> Any:
            check(guard, owner, *args, **kwargs)
            return bound(original, owner)(*args, **kwargs)

        return checked

    return wrapping


def _check_tls(guard: NetworkGuard, context: Any, *args: Any, **kwargs: Any) -> None:
    problem = guard.refusal_of_tls(args[4] if len(args) > 4 else kwargs.get("server_hostname"))
    if problem is not None:
        raise problem


def _wrap_bio(original: Original, guard: "NetworkGuard") -> Original:
    def wrap_bio(context: Any, *args: Any, **kwargs: Any) -> Any:
        found = bound(original, context)(*args, **kwargs)
        problem = guard.refusal_of_tls(found.server_hostname)
        if problem is not None:
            # Event loops close the connection after a failed handshake, but leave it open if there was none.
            found.do_handshake = partial(_fail, problem)
        return found

    return wrap_bio


def _fail(problem: Exception, *_: Any) -> NoReturn:
    raise problem


def _loop_lookup(original: Original, guard: "NetworkGuard") -> Original:
    async def getaddrinfo(loop: Any, host: Any, port: Any, **kwargs: Any) -> Any:
        guard.check_name(host, port)
        if not is_passing():
            return await bound(original, loop)(host, port, **kwargs)
        # A thread of the loop's executor doesn't know by itself that the request may pass.
        resolve = partial(copy_context().run, socket.getaddrinfo, host, port, **kwargs)
        return await loop.run_in_executor(None, resolve)

    return getaddrinfo


def _check_sock(guard: NetworkGuard, loop: Any, sock: Any, address: Any) -> None:
    guard.check_address(sock, address)


def _check_lookup(guard: NetworkGuard, loop: Any, host: Any, port: Any, **_: Any) -> None:
    guard.check_name(host, port)


def _check_host(
    guard: NetworkGuard, loop: Any, factory: Any, host: Any = None, port: Any = None, **_: Any
) -> None:
    guard.check(host, port)


def _socket_class() -> type:
    """Python's own class of sockets, also while another tool has replaced `socket.socket`."""
    lowest = [each for each in socket.socket.__mro__ if each.__bases__ == (_socket.socket,)]
    return lowest[0] if lowest else socket.socket


def _named(wrapping: Wrapping) -> Wrapping:
    """The same wrapping, whose functions get the name and docstring of those that they replace."""

    def wrapped(original: Original, guard: "NetworkGuard") -> Original | None:
        found = wrapping(original, guard)
        return None if found is None else wraps(original)(found)

    return wrapped


def places() -> Iterator[Place]:
    from asyncio.base_events import BaseEventLoop
    from asyncio.proactor_events import BaseProactorEventLoop

    yield _socket, "getaddrinfo", _named(_lookup)  # `from socket import getaddrinfo` ends up here
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        yield socket, name, _named(_lookup)
    for name in ("connect", "connect_ex"):
        yield _socket_class(), name, _named(_checked(NetworkGuard.check_address))
    yield ssl.SSLContext, "wrap_socket", _named(_checked(_check_tls))
    yield ssl.SSLContext, "wrap_bio", _named(_wrap_bio)
    yield BaseEventLoop, "getaddrinfo", _named(_loop_lookup)
    yield BaseProactorEventLoop, "sock_connect", _named(_checked(_check_sock))
    if find_spec("uvloop"):  # also where nothing has imported it yet: a test may
        import uvloop

        yield uvloop.Loop, "getaddrinfo", _named(_checked(_check_lookup))
        yield uvloop.Loop, "create_connection", _named(_checked(_check_host))


def _refusal(host: str) -> str:
    return (
        f"a connection to {quoted(host)} was refused, so that no test's key leaves: {_CURE} Send by one of "
        'those, or to the base_url of openpipe_server; providers="pass" lets go what isn\'t for OpenPipe.'
    )


def _check_proxy(host: str, port: object) -> None:
    asked = _endpoint(host, port)
    for variable, proxy in _proxies():
        by_name_alone = not port and proxy[0] == asked[0] != "localhost"
        if proxy == asked or by_name_alone:
            raise NetworkRefused(
                f"a connection to the proxy {quoted(host)} of {variable} was refused, so that no test's key "
                f"leaves by it: {_CURE} Send by one of those, or unset {variable} in the test."
            )
