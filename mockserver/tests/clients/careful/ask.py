"""Does, as if it were this process, a run that `warm.py` or `warm.mjs` holds ready: `ask.py SOCKET NUMBER`.

They read this process's environment. It imports next to nothing, since it is started hundreds of times.
"""

import _socket
import sys
from posix import getpid

path, number = sys.argv[1:]
asking = _socket.socket(_socket.AF_UNIX)
asking.connect(path)
asking.send(b"%d %s" % (getpid(), number.encode()))
sys.exit(int(asking.recv(9)))  # nothing came from a run that has crashed
