"""Have the process end on a signal."""

import signal
from typing import NoReturn


def leave_calmly() -> None:
    """Have Ctrl-C, SIGTERM and SIGHUP end the process with exit code 0.

    While uvicorn serves it handles them: it finishes requests under way, then raises the signal again. Where
    SIGHUP is ignored, as under `nohup`, it stays ignored.
    """

    def leave(*_: object) -> NoReturn:
        raise SystemExit(0)

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, leave)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        # Whoever handles SIGTERM by then, uvicorn or the first of several processes, handles this one too.
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
