"""A test's functions in place of scripted answers and scores, in process alone."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from openpipe_mock.core.effects import Effect, Invoke, Raised

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Function(Generic[Made]):
    """A function that a test gave, sync or async.

    `label`: how the test gave it, as `mock.completion(answer=tests.test_bot.reply)`. `read`: makes an answer
    or a score of what it returns; raises an error that names it.
    """

    function: Callable[..., Any]
    label: str
    read: Callable[[Any], Made]

    def __str__(self) -> str:
        return self.label

    def ask(self, *arguments: Any) -> Generator[Effect, Any, Made]:
        """What it makes of these arguments. Raises what it raises."""
        outcome = yield Invoke(partial(self.function, *arguments))
        if isinstance(outcome, Raised):
            if isinstance(
                outcome.error, StopIteration | StopAsyncIteration
            ):  # a generator can't pass those on
                raise RuntimeError(f"{self} has no answer left: it raised {outcome.error!r}")
            raise outcome.error
        return self.read(outcome)


def dotted_name(function: Callable[..., Any]) -> str:
    """The name of a function as `module.function`; of another callable that of its class."""
    while isinstance(function, partial):
        function = function.func
    named = (
        function if hasattr(function, "__module__") and hasattr(function, "__qualname__") else type(function)
    )
    return f"{named.__module__}.{named.__qualname__}"
