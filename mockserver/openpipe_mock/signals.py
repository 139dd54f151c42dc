"""How the process ends."""

import signal
from typing import NoReturn


def leave_calmly() -> None:
    """End with exit code 0 on Ctrl-C and SIGTERM. Uvicorn drains first, then raises the signal again."""

    def leave(*_: object) -> NoReturn:
        raise SystemExit(0)

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, leave)
