"""Runs Python programs in processes that have run them once already: `warm.py SOCKET LOG RUN…`.

A run is written as a program and its arguments, with spaces between. A program that imports a client takes
most of its time for that. Here it does so once, and each further run is a fork of the process that did, with
the environment of whoever asks: `ask.py`. What run 0 prints is added to the file LOG.0, and so on. It says
`ready` when it is.
"""

import gc
import os
import runpy
import signal
import socket
import sys
import traceback


def serve(path, log, runs):
    """Answer each connection, which names a run by its number, with the exit code of that run."""
    for words in runs:
        play(words.split())
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
            answer(connection, log, runs)
        connection.close()


def play(words):
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")


def answer(connection, log, runs):
    """Do a run as the one who asks would have done it, and end."""
    process, number = connection.recv(99).decode().split()
    with open(f"{log}.{number}", "ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    with open(f"/proc/{process}/environ", "rb") as environment:
        variables = [variable.split(b"=", 1) for variable in environment.read().split(b"\0")[:-1]]
    os.environb.clear()
    os.environb.update(variables)
    try:
        play(runs[int(number)].split())
        code = b"0"
    except Exception:
        traceback.print_exc()
        code = b"1"
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(code)
    os._exit(0)


if __name__ == "__main__":
    serve(*sys.argv[1:3], sys.argv[3:])
