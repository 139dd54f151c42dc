"""Expressions that select names, like those of pytest's `-k`: "stream and not (role or usage)"."""

import re
from collections import deque
from collections.abc import Callable

_Selects = Callable[[str], bool]
"""A predicate: whether a name is selected."""

_TOKEN = re.compile(r"[()]|[^\s()]+")
_OPERATORS = ("and", "or", "not", "(", ")")


class BadExpression(ValueError):
    """An expression that makes no sense; the message says why."""


def expression(text: str) -> _Selects:
    """The predicate of an expression; a word selects the names that contain it. Raises BadExpression."""
    reader = _Reader(deque(_TOKEN.findall(text)))
    found = reader.either()
    if reader.tokens:
        raise BadExpression(f'"and" or "or" is missing before "{reader.tokens[0]}"')
    return found


# pytest's own reader of such expressions is private, and which pytest is installed is the user's choice.
class _Reader:
    """Reads tokens from the left: "not" binds closest, then "and", then "or"."""

    def __init__(self, tokens: deque[str]) -> None:
        self.tokens = tokens

    def either(self) -> _Selects:
        found = [self.both()]
        while self.takes("or"):
            found.append(self.both())
        return lambda name: any(selects(name) for selects in found)

    def both(self) -> _Selects:
        found = [self.one()]
        while self.takes("and"):
            found.append(self.one())
        return lambda name: all(selects(name) for selects in found)

    def one(self) -> _Selects:
        if self.takes("not"):
            inner = self.one()
            return lambda name: not inner(name)
        if self.takes("("):
            inner = self.either()
            if not self.takes(")"):
                raise BadExpression('a ")" is missing')
            return inner
        if not self.tokens or self.tokens[0] in _OPERATORS:
            raise BadExpression(f"a word is missing {self.place()}")
        word = self.tokens.popleft()
        return lambda name: word in name

    def takes(self, token: str) -> bool:
        fits = bool(self.tokens) and self.tokens[0] == token
        if fits:
            self.tokens.popleft()
        return fits

    def place(self) -> str:
        return f'before "{self.tokens[0]}"' if self.tokens else "at the end"
