"""Patch the client libraries together, also those that are imported later, and undo it."""

import sys
from collections.abc import Callable, Collection
from functools import cache, partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from threading import RLock
from types import FunctionType, ModuleType
from typing import Any
from warnings import catch_warnings, simplefilter

from openpipe_mock.testing.answering import Ours
from openpipe_mock.testing.clients import CLIENTS
from openpipe_mock.testing.layers import Layers, Original, Place


@cache
def places_in(name: str, library: ModuleType) -> tuple[Place, ...]:
    """The places to patch in a library. Raises AttributeError for a stub."""
    return tuple(import_module(f"{__package__}.{CLIENTS[name]}").places(library))


# Patches of others.

_UNPROXIED = (FunctionType, staticmethod, classmethod)


def is_tracer(standing: Any) -> bool:
    """Whether a method is a proxy around the one before it, as tracers make them: requests go through it."""
    # Not `isinstance`: the proxy's `__class__` says that it is a function.
    return type(standing) not in _UNPROXIED and hasattr(standing, "__wrapped__")


def is_replaced(owner: type, name: str) -> bool:
    """Whether another mock has replaced a library's method: it is neither the library's own nor a tracer."""
    standing, module = owner.__dict__[name], sys.modules[owner.__module__]
    return getattr(standing, "__globals__", None) is not vars(module) and not is_tracer(standing)


@cache
def as_written(owner: type, name: str) -> Original:
    """A library's own method, read from its source again, whatever has replaced it by now."""
    spec = sys.modules[owner.__module__].__spec__
    assert spec is not None
    assert spec.loader is not None
    again = module_from_spec(spec)
    with catch_warnings():
        simplefilter("ignore")  # the library has warned at its first import
        spec.loader.exec_module(again)
    found: Original = vars(again)[owner.__name__].__dict__[name]
    return found


class Patches:
    """The patches of all client libraries. `ours`: says for each request what answers it.

    Patches that others have put over ours stay when ours are taken off: see `Layers`.
    """

    def __init__(self, ours: Ours) -> None:
        self.layers = Layers(ours)
        self.watcher = _ImportWatcher(CLIENTS, self.imported)
        self.lock = RLock()

    def put_on(self) -> None:
        with self.lock:
            if self.watcher not in sys.meta_path:
                sys.meta_path.insert(0, self.watcher)
            for name in CLIENTS:
                library = sys.modules.get(name)
                if isinstance(library, ModuleType):
                    self.patch(name, library)

    def take_off(self) -> None:
        with self.lock:
            if self.watcher in sys.meta_path:
                sys.meta_path.remove(self.watcher)
            self.layers.take_off()

    def imported(self, library: ModuleType) -> None:
        """Patch a library that was imported while the patches are on."""
        with self.lock:
            if self.watcher in sys.meta_path:
                self.patch(library.__name__, library)

    def patch(self, name: str, library: ModuleType) -> None:
        try:
            places = places_in(name, library)
        except AttributeError:  # somebody's stub under the library's name
            return
        self.layers.put_on(places)


class _ImportWatcher:
    """A finder of modules that finds none itself: it calls `imported` for these once they were imported."""

    def __init__(self, names: Collection[str], imported: Callable[[ModuleType], None]) -> None:
        self.names = names
        self.imported = imported

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self.names:
            return None
        for finder in sys.meta_path:
            found = None if finder is self else finder.find_spec(name, path, target)
            if found is not None:
                self.watch(found)
                return found
        return None

    def watch(self, spec: ModuleSpec) -> None:
        """Have `imported` called once the module was executed."""
        execute = getattr(spec.loader, "exec_module", None)
        if execute is not None:
            spec.loader.exec_module = partial(self.execute, execute)  # type: ignore[union-attr,method-assign]

    def execute(self, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
        execute(module)
        self.imported(module)
