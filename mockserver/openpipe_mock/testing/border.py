"""Decide which requests of this process a mock takes, refuses or lets pass, and keep all active mocks."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import RLock
from typing import Any, Literal, get_args

from openpipe_mock.core.wording import quoted
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.testing.answering import Catch
from openpipe_mock.testing.base_urls import host_of, parsed, path_below
from openpipe_mock.testing.contexts import Active, Entered, Unclear
from openpipe_mock.testing.dummy_keys import DummyKeys
from openpipe_mock.testing.layers import is_passing
from openpipe_mock.testing.mock import Mock
from openpipe_mock.testing.network_guard import NetworkGuard, NetworkRefused, is_local_host
from openpipe_mock.testing.patches import Patches

Providers = Literal["mock", "refuse", "pass"]
PROVIDERS: tuple[Providers, ...] = get_args(Providers)
SERVICE = ("api.openpipe.ai", "app.openpipe.ai")
_OPENAI = ("api.openai.com", "*.api.openai.com")
_OTHERS = ("api.anthropic.com", "generativelanguage.googleapis.com", "*aiplatform.googleapis.com")
BASE_URLS = ("OPENPIPE_BASE_URL", "OPENAI_BASE_URL")
DUMMY_KEY = "op-local"
OWN_KEY, OPENAI_KEY = "OPENPIPE_API_KEY", "OPENAI_API_KEY"
KEY_VARIABLES = (OWN_KEY, OPENAI_KEY)
OTHER_KEYS = ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")


@dataclass(frozen=True, eq=False, slots=True)
class Border:
    """Decides which requests a mock takes, refuses or lets pass.

    `bases`: the base URLs in the environment when the mock was made. `keys`: the variables that it sets to a
    dummy key.
    """

    mock: Mock
    providers: Providers
    block_network: bool
    bases: tuple[str, ...]
    keys: tuple[str, ...]

    def ours(self, url: Any) -> Catch | None:
        """What answers a request to a URL; None for one that may pass. Raises NetworkRefused."""
        host = host_of(url)
        if host in SERVICE:
            return str(url.path), self.mock
        path = self.path(url, host)
        if path is not None:
            return path, self.mock
        if self.providers != "pass" and _is_one_of(host, (*_OPENAI, *_OTHERS)):
            raise NetworkRefused(
                f"a request to {quoted(host)} was refused, so that no test spends money: the mock takes the "
                f'service{" and OpenAI" if self.providers == "mock" else ""}; providers="pass" lets it go.'
            )
        return None

    def path(self, url: Any, host: str) -> str | None:
        """The mock's path for a URL of OpenAI or below a base URL; None for a URL that isn't for the mock."""
        if _is_one_of(host, _OPENAI):
            return BASE + str(url.path).removeprefix("/v1") if self.providers == "mock" else None
        for base in (*self.bases, *base_urls()):
            found = path_below(url, base)
            if found is not None:
                return found
        return None

    def guards(self, host: str) -> bool:
        """Whether clients that the mock doesn't answer may not reach a host: it is the mock's, or refused."""
        if host in SERVICE:
            return True
        if _is_one_of(host, (*_OPENAI, *_OTHERS)):
            return self.providers != "pass"
        bases = map(parsed, (*self.bases, *base_urls()))
        return not is_local_host(host) and any(base is not None and base.host == host for base in bases)


def base_urls() -> tuple[str, ...]:
    """The base URLs that the environment names."""
    return tuple(filter(None, map(os.environ.get, BASE_URLS)))


def key_names(providers: Providers) -> tuple[str, ...]:
    """The variables that are set to a dummy key; those of providers that may be reached keep their own."""
    if providers == "pass":
        return (OWN_KEY,)
    return *KEY_VARIABLES, *(name for name in OTHER_KEYS if name in os.environ)


def _is_one_of(host: str, globs: Collection[str]) -> bool:
    return any(fnmatchcase(host, each) for each in globs)


class _Frontier:
    """The mocks that are active in this process, and the patches, guard and dummy keys that they share.

    Mocks may end in any order.
    """

    def __init__(self) -> None:
        self.active: Active[Border] = Active()
        self.patches = Patches(self.ours)
        self.keys = DummyKeys(DUMMY_KEY)
        self.guard = NetworkGuard(self.guards, self.blocks)
        self.lock = RLock()

    @property
    def borders(self) -> tuple[Border, ...]:
        return tuple(entry.value for entry in self.active.entries)

    def enter(self, border: Border) -> Entered[Border]:
        with self.lock:
            self.patches.put_on()
            self.guard.put_on()
            entry = self.active.enter(border)
            self.keys.put(entry, border.keys)
            return entry

    def leave(self, entry: Entered[Border]) -> None:
        with self.lock:
            self.active.leave(entry)
            self.keys.give_back(entry)
            self.take_off()

    def settle(self) -> None:
        """Remove dummy keys and patches that others, as `monkeypatch` does, put back after the mocks' end."""
        with self.lock:
            self.keys.settle()
            self.take_off()

    def take_off(self) -> None:
        """Take patches and guard off where no mock is active."""
        if not self.active.entries:
            self.patches.take_off()
            self.guard.take_off()

    def ours(self, url: Any) -> Catch | None:
        """What answers a request: the innermost mock around the code that sends it. Raises NetworkRefused."""
        if is_passing():
            return None
        try:
            entry = self.active.innermost()
        except Unclear:
            self.let_pass(url)
            return None
        if entry is None:
            return None
        catch = entry.value.ours(url)
        if catch is None:
            _keep_in(url, self.active.around(entry))
        return catch

    def let_pass(self, url: Any) -> None:
        """Raise NetworkRefused for a request from outside of all mocks that one of them takes or refuses."""
        borders = self.borders
        if any(border.ours(url) for border in borders):
            raise NetworkRefused(
                f"a request to {quoted(host_of(url))} was refused: {len(borders)} mocks are active, and the "
                "thread or task that sent it is inside of none of them. Enter a mock there, or take the "
                "context along, as in executor.submit(contextvars.copy_context().run, function)."
            )
        _keep_in(url, borders)

    def guards(self, host: str) -> bool:
        """Whether clients that no mock answers may not reach a host."""
        return any(border.guards(host) for border in self.borders)

    def blocks(self) -> bool:
        """Whether any mock blocks the network."""
        return any(border.block_network for border in self.borders)


def _keep_in(url: Any, borders: Iterable[Border]) -> None:
    """Raise NetworkRefused for a request to another host, where one of these mocks blocks the network."""
    if any(border.block_network for border in borders):
        raise NetworkRefused(
            f"a request to {quoted(host_of(url))} was refused: block_network keeps in all that isn't for the "
            "mock; mock that host too, or leave block_network out."
        )


FRONTIER = _Frontier()
