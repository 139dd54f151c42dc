"""Replace keys in the environment by a dummy while there are mocks, and give them back."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(slots=True, eq=False)
class _Held:
    """What one mock put into one variable, and what it found there; None for no variable."""

    holder: object
    put: str | None
    found: str | None


@dataclass
class DummyKeys:
    """The variables that hold a dummy, and those that did. Mocks may end in any order.

    The process has one environment: where mocks in several threads disagree, the latest decides. A value that
    others put over the dummy stays; a variable that others removed comes back, since it may hold a real key.
    """

    dummy: str
    held: dict[str, list[_Held]] = field(default_factory=dict)
    """Variable → what the mocks did to it, in the order in which they were entered."""
    given_back: dict[str, str | None] = field(default_factory=dict)
    """Variable → its own value, for variables that no mock holds any more."""

    def put(self, holder: object, names: Collection[str]) -> None:
        """Put the dummy into these variables; others that hold a dummy get the user's own value back."""
        for name in dict.fromkeys((*names, *self.held)):
            stack = self.held.setdefault(name, [])
            found = os.environ.get(name)
            value = self.dummy if name in names else self.users(stack, found)
            stack.append(_Held(holder, value, found))
            _set(name, value)

    def users(self, stack: Iterable[_Held], found: str | None) -> str | None:
        """The user's own value of a variable, which the dummies replace."""
        values = [held.found for held in stack] + [found]
        return next((value for value in reversed(values) if value != self.dummy), self.dummy)

    def give_back(self, holder: object) -> None:
        """Give back the variables of a mock, unless others have changed them since."""
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
        """Remove dummies that others, restoring what they had seen, have put back after the mocks' end."""
        for name, value in self.given_back.items():
            if name not in self.held and os.environ.get(name) == self.dummy:
                _set(name, value)
        self.given_back.clear()


def _hand_over(stack: list[_Held], holder: object) -> None:
    """Remove a mock's entry; the next one then gives back what that mock had found."""
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
