"""requests: what is for the mock reaches urllib3, past requests-mock and responses.

requests-mock puts an adapter of its own onto each session, and responses stands where adapters send. A user's
own adapters keep their duty; urllib3 is behind them.
"""

from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

from openpipe_mock.testing.answering import Ours, url_of
from openpipe_mock.testing.layers import Original, Place, bound
from openpipe_mock.testing.patches import as_written, is_replaced

_NAME = "get_adapter"


def places(library: ModuleType) -> Iterator[Place]:
    yield library.Session, _NAME, partial(_Choice, library.adapters.HTTPAdapter)


class _Choice:
    """A session's choice of its adapter: a descriptor that isn't hidden by what is put onto the session."""

    def __init__(self, plain: type, original: Original, ours: Ours) -> None:
        self.plain = plain
        self.original = original
        self.ours = ours

    def __get__(self, session: Any, owner: type | None = None) -> Any:
        return self.original if session is None else partial(self.choose, session)

    def __set__(self, session: Any, choice: Original) -> None:
        vars(session)[_NAME] = choice

    def __delete__(self, session: Any) -> None:
        del vars(session)[_NAME]

    def choose(self, session: Any, url: str) -> Any:
        mounted = bound(self.original, session)
        adapter = mounted(url)
        if self.is_plain(adapter) and self.ours(url_of(url)):
            return _Direct(self.plain, adapter) if is_replaced(self.plain, "send") else adapter
        own = vars(session).get(_NAME, mounted)
        kept = isinstance(own, partial) and own.func == self.choose  # as somebody found it, and put it back
        return adapter if kept else own(url)

    def is_plain(self, adapter: Any) -> bool:
        """Whether it sends as the library's own do."""
        standing = getattr(type(adapter), "send", None)
        return standing is self.plain.__dict__["send"] and "send" not in vars(adapter)


class _Direct:
    """An adapter that sends as the library wrote it, whoever stands in its way."""

    def __init__(self, plain: type, adapter: Any) -> None:
        self.send = partial(as_written(plain, "send"), adapter)
