"""Runs, as if it were this process, a program that `warm.py` or `warm.mjs` holds ready.

`ask.py SOCKET ARGUMENTS`
"""

import json
import os
import socket
import sys

path, *arguments = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(path)
    socket.send_fds(connection, [json.dumps([dict(os.environ), arguments]).encode()], [1, 2])
    code, _, reason = connection.makefile(encoding="utf-8").read().partition("\n")
sys.stderr.write(reason)
sys.exit(int(code))
