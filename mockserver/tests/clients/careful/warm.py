"""Runs Python programs in processes that have imported what they need: `warm.py SOCKET PROGRAM…`.

A program that imports a client takes most of its time for that. Here it does so once: each PROGRAM, written
with its arguments and spaces between, is run in the beginning, and then `ready` is printed. Each run that
`ask.py` asks for is a fork of this process, with the environment of whoever asks.
"""

import gc
import os
import runpy
import signal
import socket
import sys
import traceback

MOST = 1 << 16


def serve(path, programs):
    """Answer each connection, which tells a program, with its exit code."""
    for program in programs:
        play(program.split())
    gc.freeze()  # else a collection in a fork copies all pages of memory
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    print("ready", flush=True)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            answer(connection)
        connection.close()


def play(words):
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")


def answer(connection):
    """Run a program as the one who asks would have done it, and end."""
    process, log, *words = connection.recv(MOST).decode().split("\0")
    with open(log, "ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    with open(f"/proc/{process}/environ", "rb") as environment:
        variables = [variable.split(b"=", 1) for variable in environment.read().split(b"\0")[:-1]]
    os.environb.clear()
    os.environb.update(variables)
    try:
        play(words)
        code = b"0"
    except Exception:
        traceback.print_exc()
        code = b"1"
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(code)
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
