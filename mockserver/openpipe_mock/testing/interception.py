"""`openpipe_mock.patched()`: a mock that answers this process's requests to the service, without a socket.

It answers for the service's two hosts, the hosts that `OPENPIPE_BASE_URL` and `OPENAI_BASE_URL` name, and
OpenAI's own. No request with a real key leaves: dummy keys are set meanwhile, and requests to the other
providers that the official clients know are refused. `network_guard` stops clients that aren't patched.
"""

import inspect
from collections.abc import Callable
from contextlib import aclosing
from functools import wraps
from os import PathLike
from typing import Any, ClassVar, Never, TypeVar, Unpack

from openpipe_mock.config.file import ConfigFile
from openpipe_mock.config.settings import Overrides
from openpipe_mock.core.resources import install_line
from openpipe_mock.core.wording import listed, quoted
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.service.service import Service
from openpipe_mock.testing.border import (
    FRONTIER,
    PROVIDERS,
    SERVICE,
    Border,
    Providers,
    base_urls,
    key_names,
)
from openpipe_mock.testing.calls import not_none
from openpipe_mock.testing.cassettes import UPSTREAM, Record, tape_for
from openpipe_mock.testing.clients import CLIENT_NAMES, any_installed
from openpipe_mock.testing.contexts import Entered
from openpipe_mock.testing.mock import Config, Mock, MockError, settings_of

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_PARAMETER = "openpipe_mock"
"""A decorated function that has this parameter gets the mock."""


PATCHED_OPTIONS = (
    *("config", *Overrides.__annotations__, "providers", "block_network"),
    *("cassette", "record", "upstream"),
)
"""What `patched` takes, by name."""


class NothingToPatch(ImportError):
    """None of the client libraries that `patched` knows is installed."""


class patched:
    """A mock in this process: a context manager that gives a `Mock`, and a decorator.

        with openpipe_mock.patched(seed=7) as mock:
            mock.criterion("helpful").score(1)
            ...

    As a decorator it takes functions, async ones, generators, and classes, whose methods named `test…` it
    decorates, inherited ones too; where one has a parameter `openpipe_mock` it gets the mock, a new one at
    each call.

    `config`: a file's path, or its content as an object; `seed` and the other settings beat it. `variant`:
    the name of an unusual form of answers that keeps the contract (docs/variants.md). `providers`: whether
    requests to OpenAI's own host are answered (`mock`), refused (`refuse`) or sent (`pass`); those to
    Anthropic's and Gemini's are refused unless it is `pass`. `block_network`: refuse every other host too.
    `cassette`: a folder of recordings that answer first; `record`: when they are made, in vcrpy's words
    (`none`, `once`, `new_episodes`, `all`); `upstream`: the base URL of the server that is recorded.

    Patches httpx, httpx2, aiohttp, requests and urllib3, also where they are imported later; clients that
    exist already are answered too. Other client libraries can't connect to those hosts, nor to the proxies
    that the environment names (docs/fixtures.md).

    Raises ConfigError and Mistakes for settings that are wrong, NothingToPatch on entering.
    """

    __signature__: ClassVar[inspect.Signature]

    def __init__(
        self,
        *misplaced: Never,
        config: Config = None,
        providers: Providers = "mock",
        block_network: bool = False,
        cassette: str | PathLike[str] | None = None,
        record: Record = "none",
        upstream: str = UPSTREAM,
        **settings: Unpack[Overrides],
    ) -> None:
        if misplaced:
            raise TypeError(
                "patched takes its options by name, as in patched(seed=7), and to decorate it is called "
                "first: @openpipe_mock.patched()"
            )
        for name in settings:
            if name not in Overrides.__annotations__:
                raise TypeError(f"patched.__init__() got an unexpected keyword argument {name!r}")
        if providers not in PROVIDERS:
            raise MockError(f"providers: expected {listed(map(quoted, PROVIDERS), 'or')}, got {providers!r}.")
        if not isinstance(block_network, bool):
            raise MockError(f"block_network: expected True or False, got {block_network!r}.")
        self.overrides = not_none(**settings)
        self.settings = settings_of(config, self.overrides)
        self.file = ConfigFile(str(config), 1) if isinstance(config, str | PathLike) else ConfigFile()
        self.providers = providers
        self.block_network = block_network
        self.cassette, self.record, self.upstream = cassette, record, upstream
        self.entered: list[Entered[Border]] = []

    def __enter__(self) -> Mock:
        border = self.border()
        self.entered.append(FRONTIER.enter(border))
        return border.mock

    def __exit__(self, *_: object) -> None:
        here = [entry for entry in self.entered if entry.is_here()]  # it may be entered in several threads
        entry = (here or self.entered)[-1]
        self.entered.remove(entry)
        FRONTIER.leave(entry)
        source = entry.value.mock.service.source
        if source:
            source.close()

    async def __aenter__(self) -> Mock:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def border(self) -> Border:
        """A new mock with these settings, and the requests that it takes. Raises NothingToPatch."""
        if not any_installed():
            raise NothingToPatch(
                f"openpipe-mock takes the requests of {CLIENT_NAMES}, and none of them is installed: "
                f"{install_line('fixtures')}"
            )
        tape = None
        if self.cassette:  # in virtual time, so the recorded times cost none
            tape = tape_for(self.cassette, self.record, self.upstream, self.settings, timing=1.0)
        service = Service(self.settings, self.file, source=tape)
        mock = Mock(service, base_url=f"https://{SERVICE[0]}{BASE}", overrides=self.overrides)
        return Border(mock, self.providers, self.block_network, base_urls(), key_names(self.providers))

    def fresh(self) -> "patched":
        """A copy with nothing entered, for one call: a decorated function may be under way more than once."""
        twin = patched.__new__(patched)
        twin.__dict__.update(self.__dict__, entered=[])
        return twin

    def decorate(self, owner: type, name: str) -> None:
        """Decorate a method of a class of tests, its own or an inherited one."""
        found = inspect.getattr_static(owner, name)
        if isinstance(found, staticmethod | classmethod):
            setattr(owner, name, type(found)(self(found.__func__)))
        elif inspect.isfunction(found):
            setattr(owner, name, self(found))

    def __call__(self, target: _Decorated) -> _Decorated:
        if isinstance(target, type):
            for name in dir(target):
                if name.startswith("test"):
                    self.decorate(target, name)
            return target
        for applies, wrapping in _WRAPPINGS:
            if applies(target):
                return _shaped(wrapping(self, target), target)
        raise TypeError(f"expected a function or a class of tests, got {target!r}")


def _signature() -> inspect.Signature:
    """What `patched` takes, each setting by its name, as `help()` shows it."""
    by_name = inspect.Parameter.KEYWORD_ONLY
    known = {**inspect.signature(patched.__init__).parameters}
    for name, kind in Overrides.__annotations__.items():
        known[name] = inspect.Parameter(name, by_name, default=None, annotation=kind)
    return inspect.Signature([known[name] for name in PATCHED_OPTIONS])


patched.__signature__ = _signature()


def _shaped(wrapper: Callable[..., Any], target: _Decorated) -> _Decorated:
    """The wrapper with name, docstring and signature of its target, but without the mock's parameter."""
    found = wraps(target)(wrapper)
    signature = inspect.signature(target)
    kept = [each for each in signature.parameters.values() if each.name != _PARAMETER]
    found.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return found  # type: ignore[return-value]


def _filled(target: Callable[..., Any], mock: Mock) -> Callable[..., Any]:
    """The function with its mock, if it wants it."""
    parameters = inspect.signature(target).parameters
    if _PARAMETER not in parameters:
        return target
    place = list(parameters).index(_PARAMETER)
    by_name = parameters[_PARAMETER].kind is inspect.Parameter.KEYWORD_ONLY

    def calling(*args: Any, **kwargs: Any) -> Any:
        if by_name or len(args) < place or _PARAMETER in kwargs:
            return target(*args, **{_PARAMETER: mock, **kwargs})
        return target(*args[:place], mock, *args[place:], **kwargs)

    return calling


def _around(self: patched, target: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with self.fresh() as mock:
            return _filled(target, mock)(*args, **kwargs)

    return wrapper


def _around_async(self: patched, target: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with self.fresh() as mock:
            return await _filled(target, mock)(*args, **kwargs)

    return wrapper


def _around_generator(self: patched, target: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with self.fresh() as mock:
            return (yield from _filled(target, mock)(*args, **kwargs))

    return wrapper


def _around_async_generator(self: patched, target: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with self.fresh() as mock:
            async with aclosing(_filled(target, mock)(*args, **kwargs)) as inner:
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


_WRAPPINGS: tuple[tuple[Callable[[Any], bool], Callable[[patched, Callable[..., Any]], Any]], ...] = (
    (inspect.isasyncgenfunction, _around_async_generator),
    (inspect.iscoroutinefunction, _around_async),
    (inspect.isgeneratorfunction, _around_generator),
    (callable, _around),
)
"""A test for a kind of function, and the function that wraps it; the first that applies counts."""
