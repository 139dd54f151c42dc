"""How the process ends."""

import signal
from typing import NoReturn


def leave_calmly() -> None:
    """End with exit code 0 on Ctrl-C, SIGTERM and SIGHUP. Uvicorn drains first, then raises the signal again.

    Where SIGHUP was ignored from the start, as under `nohup`, it stays so.
    """

    def leave(*_: object) -> NoReturn:
        raise SystemExit(0)

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, leave)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        # Whoever handles SIGTERM by then, uvicorn or the first of several processes, handles this one too.
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
