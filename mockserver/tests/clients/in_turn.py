"""Runs Python scripts one after the other in one process, so that their client is imported once.

`in_turn.py '[[variables, [script, argument, …]], …]'` prints the list of what each of them prints.
"""

import contextlib
import io
import json
import os
import runpy
import sys

outputs = []
for variables, words in json.loads(sys.argv[1]):
    os.environ.update(variables)
    sys.argv = words
    with contextlib.redirect_stdout(io.StringIO()) as output:
        runpy.run_path(words[0], run_name="__main__")
    outputs.append(output.getvalue())
print(json.dumps(outputs))
