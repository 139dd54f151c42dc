"""Runs a Python program in processes that have run it once already: `warm.py SOCKET PROGRAM ARGUMENTS`.

A program that imports a client takes most of its time for that. Here it does so once, and each further run is
a fork of the process that did, with the environment, the arguments and the standard streams of whoever asks:
`ask.py`. It says `ready` when it is.
"""

import json
import os
import runpy
import socket
import sys
import traceback

MOST = 1 << 20


def serve(path, program):
    """Answer each connection with the exit code of a run of the program."""
    sys.argv = [program, *sys.argv[3:]]
    runpy.run_path(program, run_name="__main__")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    print("ready", flush=True)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            answer(connection, program)
            os._exit(0)
        connection.close()
        reap()


def reap():
    """Let those rest that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def answer(connection, program):
    child = os.fork()
    if child == 0:
        run(connection, program)
    _, status = os.waitpid(child, 0)
    connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))


def run(connection, program):
    """The program, as the one who asks would have run it."""
    asked, streams, _, _ = socket.recv_fds(connection, MOST, 2)
    environment, arguments = json.loads(asked)
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [program, *arguments]
    code = 0
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(*sys.argv[1:3])
