"""A mock that takes what this process sends to the service, without a socket: `openpipe_mock.patched()`.

Taken are the service's two known hosts, whatever `OPENPIPE_BASE_URL` and `OPENAI_BASE_URL` name, and OpenAI's
own host. No request with a real key leaves: dummy keys are set for the duration, and the other providers that
the official clients know are refused. Clients that the mock doesn't answer meet the guard of `network_guard`.
"""

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import wraps
from os import PathLike
from threading import RLock
from types import TracebackType
from typing import Any, Literal, Never, TypeVar, get_args

from openpipe_mock.config.settings import AutoTools, Clock, Ids, Repeat, Unknown, Validation
from openpipe_mock.core.resources import install_line
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.violations import listed, quoted
from openpipe_mock.service.service import ConfigFile, Service
from openpipe_mock.testing.answering import Catch
from openpipe_mock.testing.base_urls import host_of, parsed, path_below
from openpipe_mock.testing.calls import given
from openpipe_mock.testing.contexts import Active, Entry, Unclear
from openpipe_mock.testing.dummy_keys import DummyKeys
from openpipe_mock.testing.mock import Config, Mock, MockError, settings_of
from openpipe_mock.testing.network_guard import Guard, NetworkRefused, is_local
from openpipe_mock.testing.patches import Patches, any_installed

Providers = Literal["mock", "refuse", "pass"]
PROVIDERS: tuple[Providers, ...] = get_args(Providers)
Target = TypeVar("Target", bound=Callable[..., Any])

SERVICE = ("api.openpipe.ai", "app.openpipe.ai")
OPENAI = ("api.openai.com", "*.api.openai.com")
OTHERS = ("api.anthropic.com", "generativelanguage.googleapis.com", "*aiplatform.googleapis.com")
BASE_URLS = ("OPENPIPE_BASE_URL", "OPENAI_BASE_URL")
DUMMY_KEY = "op-local"
OWN_KEY, OPENAI_KEY = "OPENPIPE_API_KEY", "OPENAI_API_KEY"
KEYS = (OWN_KEY, OPENAI_KEY)
OTHER_KEYS = ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
PARAMETER = "openpipe_mock"
"""A decorated function that has this parameter gets the mock."""


class NothingToPatch(ImportError):
    """No client library is installed whose requests could be taken."""


def is_one_of(host: str, globs: Collection[str]) -> bool:
    return any(fnmatchcase(host, each) for each in globs)


@dataclass(frozen=True, eq=False, slots=True)
class Border:
    """Which requests a mock takes, which it refuses, which it lets pass. `bases`: as it found them."""

    mock: Mock
    providers: Providers
    block_network: bool
    bases: tuple[str, ...]
    keys: tuple[str, ...]

    def ours(self, url: Any) -> Catch | None:
        """What answers a request to a URL; None: it goes its way. Raises NetworkRefused."""
        host = host_of(url)
        if host in SERVICE:
            return str(url.path), self.mock
        path = self.path(url, host)
        if path is not None:
            return path, self.mock
        if self.providers != "pass" and is_one_of(host, (*OPENAI, *OTHERS)):
            raise NetworkRefused(
                f"a request to {quoted(host)} was refused, so that no test spends money: the mock takes the "
                f'service{" and OpenAI" if self.providers == "mock" else ""}; providers="pass" lets it go.'
            )
        return None

    def path(self, url: Any, host: str) -> str | None:
        """Where the mock has what a URL of another host names; None for what is none of its affair."""
        if is_one_of(host, OPENAI):
            return BASE + str(url.path).removeprefix("/v1") if self.providers == "mock" else None
        for base in (*self.bases, *base_urls()):
            found = path_below(url, base)
            if found is not None:
                return found
        return None

    def guards(self, host: str) -> bool:
        """Whether a host is for the mock, or refused, and so for no client that it doesn't answer."""
        if host in SERVICE:
            return True
        if is_one_of(host, (*OPENAI, *OTHERS)):
            return self.providers != "pass"
        bases = map(parsed, (*self.bases, *base_urls()))
        return not is_local(host) and any(base is not None and base.host == host for base in bases)


def base_urls() -> tuple[str, ...]:
    """The base URLs that the environment names."""
    return tuple(filter(None, map(os.environ.get, BASE_URLS)))


class Frontier:
    """The mocks that are active in this process, and what is patched while there are any.

    What is patched is patched once for all of them. They may end in any order.
    """

    def __init__(self) -> None:
        self.active: Active[Border] = Active()
        self.patches = Patches(self.ours)
        self.keys = DummyKeys(DUMMY_KEY)
        self.guard = Guard(self.guards, self.blocks)
        self.lock = RLock()

    @property
    def borders(self) -> tuple[Border, ...]:
        return tuple(entry.value for entry in self.active.entries)

    def enter(self, border: Border) -> Entry[Border]:
        with self.lock:
            self.patches.put_on()
            self.guard.put_on()
            entry = self.active.enter(border)
            self.keys.put(entry, border.keys)
            return entry

    def leave(self, entry: Entry[Border]) -> None:
        with self.lock:
            self.active.leave(entry)
            self.keys.give_back(entry)
            if not self.active.entries:
                self.patches.take_off()
                self.guard.take_off()

    def settle(self) -> None:
        """Take away what others have put back of ours after the end of all mocks, as `monkeypatch` does."""
        with self.lock:
            self.keys.settle()
            if not self.active.entries:
                self.patches.take_off()
                self.guard.take_off()

    def ours(self, url: Any) -> Catch | None:
        """What answers a request: the innermost mock that it is sent inside of. Raises NetworkRefused."""
        try:
            entry = self.active.innermost()
        except Unclear:
            self.let_pass(url)
            return None
        if entry is None:
            return None
        catch = entry.value.ours(url)
        if catch is None:
            keep_in(url, self.active.around(entry))
        return catch

    def let_pass(self, url: Any) -> None:
        """Nothing, for a request that none of several mocks takes or refuses. Raises NetworkRefused."""
        borders = self.borders
        if any(border.ours(url) for border in borders):
            raise NetworkRefused(
                f"a request to {quoted(host_of(url))} was refused: {len(borders)} mocks are active, and the "
                "thread or task that sent it is inside of none of them. Enter a mock there, or take the "
                "context along, as in executor.submit(contextvars.copy_context().run, function)."
            )
        keep_in(url, borders)

    def guards(self, host: str) -> bool:
        """Whether any mock keeps a host from clients that none answers."""
        return any(border.guards(host) for border in self.borders)

    def blocks(self) -> bool:
        return any(border.block_network for border in self.borders)


def keep_in(url: Any, borders: Iterable[Border]) -> None:
    """Raise NetworkRefused for a request to another host, where one of these mocks blocks the network."""
    if any(border.block_network for border in borders):
        raise NetworkRefused(
            f"a request to {quoted(host_of(url))} was refused: block_network keeps in all that isn't for the "
            "mock; mock that host too, or leave block_network out."
        )


FRONTIER = Frontier()


def key_names(providers: Providers) -> tuple[str, ...]:
    """The variables that hold a dummy key: of providers that may be reached the real one stays."""
    if providers == "pass":
        return (OWN_KEY,)
    return *KEYS, *(name for name in OTHER_KEYS if name in os.environ)


class patched:
    """A mock in this process: a context manager that gives a `Mock`, and a decorator.

        with openpipe_mock.patched(seed=7) as mock:
            mock.criterion("helpful").score(1)
            ...

    As a decorator it takes functions, async ones, generators, and classes, whose methods named `test…` it
    decorates, inherited ones too; where one has a parameter `openpipe_mock` it gets the mock, a new one at
    each call.

    `config`: a file, or its content as an object; `seed` and the other settings beat it. `variant`: the name
    of a way to say answers that is within the contract and unlike the usual (docs/variants.md).
    `providers`: whether requests to OpenAI's own host are answered (`mock`), refused or let pass; those to
    Anthropic's and Gemini's are refused unless all may pass. `block_network`: refuse every other host too.
    Patched are httpx, httpx2, aiohttp, requests and urllib3, as far as they are imported, also later; clients
    that exist already are caught as well. Other clients are refused those hosts, and the proxies of the
    environment (docs/fixtures.md).
    Raises ConfigError and Mistakes for settings that are wrong, NothingToPatch on entering.
    """

    def __init__(
        self,
        *misplaced: Never,
        config: Config = None,
        seed: int | None = None,
        validation: Validation | None = None,
        ids: Ids | None = None,
        clock: Clock | None = None,
        repeat: Repeat | None = None,
        auto_tools: AutoTools | None = None,
        magic: bool | None = None,
        unknown_criteria: Unknown | None = None,
        variant: str | None = None,
        providers: Providers = "mock",
        block_network: bool = False,
    ) -> None:
        if misplaced:
            raise TypeError(
                "patched takes its options by name, as in patched(seed=7), and to decorate it is called "
                "first: @openpipe_mock.patched()"
            )
        if providers not in PROVIDERS:
            raise MockError(f"providers: expected {listed(map(quoted, PROVIDERS), 'or')}, got {providers!r}.")
        if not isinstance(block_network, bool):
            raise MockError(f"block_network: expected True or False, got {block_network!r}.")
        self.overrides = given(
            seed=seed, validation=validation, ids=ids, clock=clock, repeat=repeat, auto_tools=auto_tools,
            magic=magic, unknown_criteria=unknown_criteria, variant=variant,
        )  # fmt: skip
        self.settings = settings_of(config, self.overrides)
        self.file = ConfigFile(str(config), 1) if isinstance(config, str | PathLike) else ConfigFile()
        self.providers = providers
        self.block_network = block_network
        self.entered: list[Entry[Border]] = []

    def __enter__(self) -> Mock:
        border = self.border()
        self.entered.append(FRONTIER.enter(border))
        return border.mock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        here = [entry for entry in self.entered if entry.is_here()]  # it may be entered in several threads
        entry = (here or self.entered)[-1]
        self.entered.remove(entry)
        FRONTIER.leave(entry)

    async def __aenter__(self) -> Mock:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def border(self) -> Border:
        """A new mock with these settings, and what it takes."""
        if not any_installed():
            raise NothingToPatch(
                "openpipe-mock takes the requests of httpx, httpx2, aiohttp, requests and urllib3, and none "
                f"of them is installed: {install_line('fixtures')}"
            )
        service = Service(self.settings, self.file)
        mock = Mock(service, base_url=f"https://{SERVICE[0]}{BASE}", overrides=self.overrides)
        return Border(mock, self.providers, self.block_network, base_urls(), key_names(self.providers))

    def fresh(self) -> "patched":
        """The same settings, entered on its own: a decorated function may be under way more than once."""
        twin = patched.__new__(patched)
        twin.__dict__.update(self.__dict__, entered=[])
        return twin

    def decorate(self, owner: type, name: str) -> None:
        """Decorate a class's test, its own or an inherited one."""
        found = inspect.getattr_static(owner, name)
        if isinstance(found, staticmethod | classmethod):
            setattr(owner, name, type(found)(self(found.__func__)))
        elif inspect.isfunction(found):
            setattr(owner, name, self(found))

    def __call__(self, target: Target) -> Target:
        if isinstance(target, type):
            for name in dir(target):
                if name.startswith("test"):
                    self.decorate(target, name)
            return target
        for applies, wrapping in WRAPPINGS:
            if applies(target):
                return shaped(wrapping(self, target), target)
        raise TypeError(f"expected a function or a class of tests, got {target!r}")


# Decorated functions.


def shaped(wrapper: Callable[..., Any], target: Target) -> Target:
    """The wrapper with all that tells of its target, but for the parameter that the mock is given in."""
    found = wraps(target)(wrapper)
    signature = inspect.signature(target)
    kept = [each for each in signature.parameters.values() if each.name != PARAMETER]
    found.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return found  # type: ignore[return-value]


def filled(target: Callable[..., Any], mock: Mock) -> Callable[..., Any]:
    """The function with its mock, if it wants it."""
    parameters = inspect.signature(target).parameters
    if PARAMETER not in parameters:
        return target
    place = list(parameters).index(PARAMETER)
    by_name = parameters[PARAMETER].kind is inspect.Parameter.KEYWORD_ONLY

    def calling(*args: Any, **kwargs: Any) -> Any:
        if by_name or len(args) < place or PARAMETER in kwargs:
            return target(*args, **{PARAMETER: mock, **kwargs})
        return target(*args[:place], mock, *args[place:], **kwargs)

    return calling


def around(self: patched, target: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with self.fresh() as mock:
            return filled(target, mock)(*args, **kwargs)

    return wrapper


def around_async(self: patched, target: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with self.fresh() as mock:
            return await filled(target, mock)(*args, **kwargs)

    return wrapper


def around_generator(self: patched, target: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with self.fresh() as mock:
            return (yield from filled(target, mock)(*args, **kwargs))

    return wrapper


def around_async_generator(self: patched, target: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with self.fresh() as mock:
            async with aclosing(filled(target, mock)(*args, **kwargs)) as inner:
                step = inner.asend(None)
                while True:
                    try:
                        value = await step
                    except StopAsyncIteration:
                        return
                    try:
                        step = inner.asend((yield value))
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # thrown into this one, meant for the inner one
                        step = inner.athrow(error)

    return wrapper


WRAPPINGS: tuple[tuple[Callable[[Any], bool], Callable[[patched, Callable[..., Any]], Any]], ...] = (
    (inspect.isasyncgenfunction, around_async_generator),
    (inspect.iscoroutinefunction, around_async),
    (inspect.isgeneratorfunction, around_generator),
    (callable, around),
)
"""Kind of function → what is put around it."""


def options() -> Mapping[str, inspect.Parameter]:
    """What `patched` takes."""
    parameters = inspect.signature(patched).parameters
    return {name: each for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY}
