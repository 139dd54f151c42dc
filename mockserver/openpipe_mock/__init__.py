"""A local double of the OpenPipe API: a mock server and a contract-testing kit."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openpipe_mock.arrivals import Call as Call
    from openpipe_mock.arrivals import Calls as Calls
    from openpipe_mock.conduct import Lapse as Lapse
    from openpipe_mock.interception import patched as patched
    from openpipe_mock.liveserver import LiveMock as LiveMock
    from openpipe_mock.mocking import Mock as Mock
    from openpipe_mock.mocking import MockError as MockError
    from openpipe_mock.network_guard import NetworkRefused as NetworkRefused
    from openpipe_mock.respxrouter import respx_router as respx_router

__version__ = "0.1.0"

if not os.path.isdir(os.path.join(os.path.dirname(__file__), "contract_tests")):
    # In a checkout the suite lies in the repository's root; `openpipe_mock.contract_tests` is still its name.
    __path__.append(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))

PUBLIC = {
    "Call": "arrivals",
    "Calls": "arrivals",
    "Lapse": "conduct",
    "LiveMock": "liveserver",
    "Mock": "mocking",
    "MockError": "mocking",
    "NetworkRefused": "network_guard",
    "patched": "interception",
    "respx_router": "respxrouter",
}
"""What the package offers by name → the module that has it, imported when it is asked for."""


if not TYPE_CHECKING:  # a type checker shall know of no other names

    def __getattr__(name: str) -> Any:
        if name not in PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
