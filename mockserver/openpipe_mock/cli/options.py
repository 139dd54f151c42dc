"""Helpers for several commands: flags with an environment variable, and ending with an error."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., None])
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def variable(flag: str) -> str:
    """The environment variable of a flag: `OPENPIPE_MOCK_MAX_BODY_BYTES` for `--max-body-bytes`."""
    return "OPENPIPE_MOCK_" + flag.removeprefix("--").replace("-", "_").upper()


def option(flag: str, **settings: Any) -> Callable[[_Command], _Command]:
    """A flag that an environment variable `OPENPIPE_MOCK_…` can set too."""
    return click.option(flag, envvar=variable(flag), show_envvar=True, **settings)


def file_decides(flag: str, default: Any, **settings: Any) -> Callable[[_Command], _Command]:
    """A flag that overrides the config file. Where it is left out, the file's value holds."""
    return option(flag, show_default=f"as in the config file, else {default}", **settings)


def fail(problem: str, code: int) -> NoReturn:
    """Print one line on standard error and exit with `code`."""
    click.echo(f"openpipe-mock: {problem}", err=True)
    sys.exit(code)
