"""A local double of the OpenPipe API: a mock server and a contract-testing kit."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.arrivals import Call as Call
    from mockserver.arrivals import Calls as Calls
    from mockserver.conduct import Lapse as Lapse
    from mockserver.interception import NetworkRefused as NetworkRefused
    from mockserver.interception import patched as patched
    from mockserver.liveserver import LiveMock as LiveMock
    from mockserver.mocking import Mock as Mock
    from mockserver.mocking import MockError as MockError
    from mockserver.respxrouter import respx_router as respx_router

__version__ = "0.1.0"

ROOT = os.path.dirname(os.path.dirname(__file__))
if os.path.isfile(os.path.join(ROOT, "contract_tests", "pytest.ini")):
    __path__.append(ROOT)  # in a checkout the suite lies beside the package, and is still a part of it

PUBLIC = {
    "Call": "arrivals",
    "Calls": "arrivals",
    "Lapse": "conduct",
    "LiveMock": "liveserver",
    "Mock": "mocking",
    "MockError": "mocking",
    "NetworkRefused": "interception",
    "patched": "interception",
    "respx_router": "respxrouter",
}
"""What the package offers by name → the module that has it, imported when it is asked for."""


if not TYPE_CHECKING:  # a type checker shall know of no other names

    def __getattr__(name: str) -> Any:
        if name not in PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"mockserver.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
