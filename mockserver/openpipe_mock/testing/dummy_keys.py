"""Keys in the environment that mocks replace by a dummy, and give back in whatever order they end."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(slots=True, eq=False)
class _Held:
    """What one mock put into one variable, and what it found there; None: no such variable."""

    holder: object
    put: str | None
    found: str | None


@dataclass
class DummyKeys:
    """The variables that hold a dummy now, and those that lately did.

    The environment is one for the whole process: where mocks of several threads disagree, the one that was
    entered last decides. A value that somebody else put over the dummy is theirs, and stays; a variable that
    somebody took away comes back.
    """

    dummy: str
    held: dict[str, list[_Held]] = field(default_factory=dict)
    """Variable → what the mocks did to it, in the order in which they were entered."""
    given_back: dict[str, str | None] = field(default_factory=dict)
    """Variable → what it should be, now that no mock holds it."""

    def put(self, holder: object, names: Collection[str]) -> None:
        """Put the dummy into these variables, and into others that hold one what the user had there."""
        for name in dict.fromkeys((*names, *self.held)):
            stack = self.held.setdefault(name, [])
            found = os.environ.get(name)
            value = self.dummy if name in names else self.users(stack, found)
            stack.append(_Held(holder, value, found))
            _set(name, value)

    def users(self, stack: Iterable[_Held], found: str | None) -> str | None:
        """What the user has in a variable, beneath the dummies."""
        values = [held.found for held in stack] + [found]
        return next((value for value in reversed(values) if value != self.dummy), self.dummy)

    def give_back(self, holder: object) -> None:
        """Undo what was done for a mock, where its value still stands."""
        for name, stack in list(self.held.items()):
            latest = stack[-1]
            if latest.holder is holder:
                stack.pop()
                if os.environ.get(name) in (latest.put, None):
                    _set(name, latest.found)
                if not stack:
                    del self.held[name]
                    self.given_back[name] = latest.found
            else:
                _hand_over(stack, holder)

    def settle(self) -> None:
        """Take away dummies that others, who restore what they saw, have put back after the mocks' end."""
        for name, value in self.given_back.items():
            if name not in self.held and os.environ.get(name) == self.dummy:
                _set(name, value)
        self.given_back.clear()


def _hand_over(stack: list[_Held], holder: object) -> None:
    """Have what one mock found given back by the one that came after it."""
    for mine, later in pairwise(stack):
        if mine.holder is holder:
            if later.found == mine.put:
                later.found = mine.found
            stack.remove(mine)
            return


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
