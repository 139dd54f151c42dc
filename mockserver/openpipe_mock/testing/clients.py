"""The client libraries whose requests a mock answers."""

import sys
from importlib.util import find_spec

from openpipe_mock.core.wording import listed

CLIENTS = {
    "httpx": "httpx_clients",
    "httpx2": "httpx_clients",
    "httpcore": "httpcore_clients",
    "httpcore2": "httpcore_clients",
    "aiohttp": "aiohttp_clients",
    "requests": "requests_clients",
    "urllib3": "urllib3_clients",
}
"""Client library → the module of this package whose `places(library)` says what is patched.

That module is imported once the library is.
"""
CLIENT_NAMES = listed([name for name in CLIENTS if not name.startswith("httpcore")], "and")
"""Their names for messages, without those that httpx sends by."""


def any_installed() -> bool:
    """Whether any of these libraries is installed."""
    return any(name in sys.modules or find_spec(name) for name in CLIENTS)
