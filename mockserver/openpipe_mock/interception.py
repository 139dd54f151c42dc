"""A mock that takes what this process sends to the service, without a socket: `openpipe_mock.patched()`.

Taken are the service's two known hosts, whatever `OPENPIPE_BASE_URL` and `OPENAI_BASE_URL` name, and OpenAI's
own host. No request with a real key leaves: dummy keys are set for the duration, and the other providers that
the official clients know are refused.
"""

import inspect
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache, wraps
from os import PathLike
from threading import RLock
from types import TracebackType
from typing import Any, Literal, Never, TypeVar, get_args
from urllib.parse import SplitResult, urlsplit

from openpipe_mock.answering import Catch
from openpipe_mock.arrivals import given
from openpipe_mock.config import AutoTools, Clock, Ids, Repeat, Unknown, Validation
from openpipe_mock.mocking import Config, Mock, MockError, settings_of
from openpipe_mock.patches import Patches, any_installed
from openpipe_mock.paths import BASE
from openpipe_mock.service import ConfigFile, Service
from openpipe_mock.violations import listed, quoted

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


class NetworkRefused(RuntimeError):
    """A request that was kept from leaving. The message says which, and what would let it go."""


class NothingToPatch(ImportError):
    """No client library is installed whose requests could be taken."""


@lru_cache
def split(base: str) -> SplitResult:
    return urlsplit(base)


def port_of(scheme: str, port: int | None) -> int | None:
    return port or {"https": 443, "http": 80}.get(scheme)


def path_below(url: Any, base: str) -> str | None:
    """Where the mock has what a URL names below a base URL; None for a URL that isn't below it.

    A base URL that ends as the mock's own does brings the paths of its control API with it.
    """
    parts = split(base)
    if (url.scheme, url.host) != (parts.scheme, parts.hostname):
        return None
    if port_of(url.scheme, url.port) != port_of(parts.scheme, parts.port):
        return None
    path, prefix = str(url.path), parts.path.rstrip("/")
    above = prefix.removesuffix(BASE)
    if prefix.endswith(BASE) and path.startswith(f"{above}/_mock/"):
        return path.removeprefix(above)
    return BASE + path.removeprefix(prefix) if path.startswith(f"{prefix}/") else None


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
        path = self.path(url)
        if path is not None:
            return path, self.mock
        host = url.host.rstrip(".")
        if self.providers != "pass" and is_one_of(host, (*OPENAI, *OTHERS)):
            raise NetworkRefused(
                f"a request to {quoted(host)} was refused, so that no test spends money: the mock takes the "
                f'service{" and OpenAI" if self.providers == "mock" else ""}; providers="pass" lets it go.'
            )
        return None

    def path(self, url: Any) -> str | None:
        """Where the mock has what a URL names; None for what is none of its affair."""
        host = url.host.rstrip(".")
        if host in SERVICE:
            return str(url.path)
        if is_one_of(host, OPENAI):
            return BASE + str(url.path).removeprefix("/v1") if self.providers == "mock" else None
        for base in (*self.bases, *base_urls()):
            found = path_below(url, base)
            if found is not None:
                return found
        return None


def base_urls() -> tuple[str, ...]:
    """The base URLs that the environment names."""
    return tuple(filter(None, map(os.environ.get, BASE_URLS)))


@dataclass
class Frontier:
    """The mocks that are active in this process, the innermost last, and what is patched while there are any.

    Mocks may end in any order: what is patched is kept for all of them, not once for each.
    """

    borders: list[Border] = field(default_factory=list)
    before: dict[str, str | None] = field(default_factory=dict)
    lock: Any = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self.patches = Patches(self.ours)

    def enter(self, border: Border) -> None:
        with self.lock:
            self.patches.put_on()
            self.borders.append(border)
            self.set_keys(border.keys)

    def leave(self, border: Border) -> None:
        with self.lock:
            self.borders.remove(border)
            self.set_keys(self.borders[-1].keys if self.borders else ())
            if not self.borders:
                self.patches.take_off()

    def ours(self, url: Any) -> Catch | None:
        """What answers a request: the innermost mock decides. Raises NetworkRefused."""
        active = tuple(self.borders)
        if not active:
            return None
        catch = active[-1].ours(url)
        if catch is None and any(border.block_network for border in active):
            raise NetworkRefused(
                f"a request to {quoted(url.host)} was refused: block_network keeps in all that isn't for the "
                "mock; mock that host too, or leave block_network out."
            )
        return catch

    def set_keys(self, names: Collection[str]) -> None:
        """Have dummies in these variables, and in the others that had one what was there before."""
        for name in names:
            self.before.setdefault(name, os.environ.get(name))
            os.environ[name] = DUMMY_KEY
        for name in self.before.keys() - set(names):
            value = self.before.pop(name)
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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
    that exist already are caught as well.
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
        self.entered: list[Border] = []

    def __enter__(self) -> Mock:
        border = self.border()
        FRONTIER.enter(border)
        self.entered.append(border)
        return border.mock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        FRONTIER.leave(self.entered.pop())

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
                "of them is installed: pip install 'openpipe-mock[fixtures]'"
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
