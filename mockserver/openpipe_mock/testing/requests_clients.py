"""Patch requests: requests to the mock reach urllib3, where they are answered.

requests-mock puts an adapter of its own onto each session, and responses replaces the method by which
adapters send: requests to the mock bypass both. A user's own adapters are called as ever; urllib3 is behind
them.
"""

from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

from openpipe_mock.testing.answering import Ours
from openpipe_mock.testing.base_urls import url_of
from openpipe_mock.testing.layers import Original, Place, bound
from openpipe_mock.testing.patches import as_written, is_replaced

_NAME = "get_adapter"


def places(library: ModuleType) -> Iterator[Place]:
    """What is patched in requests."""
    yield library.Session, _NAME, partial(_Choice, library.adapters.HTTPAdapter)


class _Choice:
    """`Session.get_adapter` as a data descriptor, which an attribute of the session doesn't hide."""

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
        # Somebody may have read this choice from the session and put it back there.
        kept = isinstance(own, partial) and own.func == self.choose
        return adapter if kept else own(url)

    def is_plain(self, adapter: Any) -> bool:
        """Whether an adapter sends by the library's own method."""
        standing = getattr(type(adapter), "send", None)
        return standing is self.plain.__dict__["send"] and "send" not in vars(adapter)


class _Direct:
    """An adapter that sends by the library's own method, whatever has replaced that."""

    def __init__(self, plain: type, adapter: Any) -> None:
        self.send = partial(as_written(plain, "send"), adapter)
