"""Where the folders that ship with the package lie."""

from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def folder(name: str) -> Path:
    """The folder `name` ("schemas"): inside the package in a wheel, in the repository's root in a checkout.

    Raises FileNotFoundError when neither place has it, which means a broken installation.
    """
    for parent in (PACKAGE, PACKAGE.parents[1]):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(f"openpipe-mock is installed without its folder {name!r}: reinstall it")
