"""Find the folders that ship with the package, and the command that installs it with an extra."""

import shlex
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
_CHECKOUT = PACKAGE.parents[1]
SOURCE = "/path/to/openpipe-mock"
"""The argument of `pip install`: a checkout or a wheel; once an index has the package, "openpipe-mock"."""


@cache
def folder(name: str) -> Path:
    """The folder `name` ("schemas"): a wheel has it inside the package, a checkout in the repository's root.

    Raises FileNotFoundError when neither has it, which means a broken installation.
    """
    for parent in (PACKAGE, _CHECKOUT):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(f"openpipe-mock is installed without its folder {name!r}: reinstall it")


def install_line(extra: str) -> str:
    """The command that adds an extra, for error messages: `pip install '/path/to/openpipe-mock[contract]'`.

    If the package runs from a checkout, the command names that checkout.
    """
    if folder("schemas").parent == _CHECKOUT:
        return f"pip install --editable {shlex.quote(f'{_CHECKOUT}[{extra}]')}"
    note = "  # a checkout or a built wheel" if "/" in SOURCE else ""
    return f"pip install {shlex.quote(f'{SOURCE}[{extra}]')}{note}"
