"""Where `make test` puts what the tests run: this checkout's own command, and the clients' environments."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = Path(__file__).parent
CACHE = ROOT / ".cache"
CLIENTS = CACHE / "clients"


def found(path: Path, target: str = "test") -> Path:
    """The path itself. What is not set up fails a test, and never skips it. `target`: of make; sets it up."""
    if not path.exists():
        pytest.fail(f"{path.relative_to(ROOT)} is missing: run `make {target}`", pytrace=False)
    return path


def here(name: str) -> Path:
    """A command of the environment that the tests run in."""
    return found(Path(sys.executable).parent / name)


def installed(environment: str, command: str, target: str = "test") -> Path:
    """A command of a client's environment: `installed("wheel", "openpipe-mock")`."""
    return found(CLIENTS / environment / "bin" / command, target)


def node_modules() -> Path:
    """The packages of the Node client."""
    return found(CLIENTS / "node" / "node_modules")


def built(suffix: str) -> Path:
    """The freshly built distribution with this suffix."""
    return next(found(CACHE / "dist").glob(f"*{suffix}"))


def path_into(environment: Path, commands: Path) -> str:
    """A PATH on which `pip` and all commands are those of an environment that has no pip of its own.

    The pip is that of the tests, since installing one takes longer than all else. It is put into `commands`.
    """
    pip = commands / "pip"
    pip.parent.mkdir(exist_ok=True)
    pip.write_text(
        f'#!/bin/sh\nexec "{here("python")}" -m pip -qq --python "{environment}/bin/python" "$@"\n'
    )
    pip.chmod(0o755)
    return os.pathsep.join([str(commands), str(environment / "bin"), os.environ["PATH"]])
