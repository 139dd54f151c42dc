"""A local double of the OpenPipe API: a mock server and a contract-testing kit."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openpipe_mock.testing.calls import Call as Call
    from openpipe_mock.testing.calls import Calls as Calls
    from openpipe_mock.testing.conduct import Lapse as Lapse
    from openpipe_mock.testing.interception import patched as patched
    from openpipe_mock.testing.live import LiveMock as LiveMock
    from openpipe_mock.testing.mock import Mock as Mock
    from openpipe_mock.testing.mock import MockError as MockError
    from openpipe_mock.testing.network_guard import NetworkRefused as NetworkRefused
    from openpipe_mock.testing.respx_router import respx_router as respx_router

__version__ = "0.1.0"

if not os.path.isdir(os.path.join(os.path.dirname(__file__), "contract_tests")):
    # In a checkout the suite lies in the repository's root; `openpipe_mock.contract_tests` is still its name.
    __path__.append(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))

PUBLIC = {
    "Call": "testing.calls",
    "Calls": "testing.calls",
    "Lapse": "testing.conduct",
    "LiveMock": "testing.live",
    "Mock": "testing.mock",
    "MockError": "testing.mock",
    "NetworkRefused": "testing.network_guard",
    "patched": "testing.interception",
    "respx_router": "testing.respx_router",
}
"""Public name → the module that defines it. `__getattr__` imports the module on the first use of the name."""


if not TYPE_CHECKING:  # a type checker that saw `__getattr__` would accept any name

    def __getattr__(name: str) -> Any:
        if name in PUBLIC:
            return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
        if namesake := _namesake(name):  # `from openpipe_mock import x` would drop an AttributeError's words
            raise ImportError(
                f"the package openpipe_mock has no {name!r}. Did you mean that of {namesake}? "
                "The package has the same name and was imported first: rename your file."
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _namesake(name: str) -> str:
    """The path of a user's own module `openpipe_mock` from which `name` may have been meant; else ""."""
    from importlib.util import find_spec

    if name.startswith("_") or find_spec(f"{__name__}.{name}"):
        return ""
    modules = ("openpipe_mock.py", os.path.join("openpipe_mock", "__init__.py"))
    files = (os.path.join(folder, module) for folder in sys.path for module in modules)
    return next((file for file in files if os.path.isfile(file) and not os.path.samefile(file, __file__)), "")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
