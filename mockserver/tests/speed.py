"""Time measured in units of work, since machines differ and are shared."""

import sys
import time


def unit() -> float:
    """Processor time of a fixed piece of work, 17 ms on an idle machine; several times that while traced."""
    begun = time.thread_time()
    sorted([f"{number} {number}" for number in range(100_000)])
    return (time.thread_time() - begun) * (4 if sys.gettrace() else 1)
