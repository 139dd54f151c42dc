"""Runs a program, as if it were this process, in one that is held ready: `ask.py SOCKET LOG PROGRAM …`.

That one, `warm.py` or `warm.mjs`, reads this process's environment. What the program prints is added to the
file LOG. This ends with the program's exit code, or with 70 where that one crashes. It imports next to
nothing, since it is started hundreds of times.
"""

import _socket
import sys
from posix import getpid

path, *words = sys.argv[1:]
asking = _socket.socket(_socket.AF_UNIX)
try:
    asking.connect(path)
    asking.send("\0".join([str(getpid()), *words]).encode())
    code = asking.recv(9)  # nothing comes from a run that has crashed
except OSError:
    code = b""
sys.exit(int(code or 70))
