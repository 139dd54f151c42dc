"""What the commands' options share."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., None])
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def variable(flag: str) -> str:
    return "OPENPIPE_MOCK_" + flag.removeprefix("--").replace("-", "_").upper()


def option(flag: str, **settings: Any) -> Callable[[Command], Command]:
    """A flag that an environment variable `OPENPIPE_MOCK_…` can set too."""
    return click.option(flag, envvar=variable(flag), show_envvar=True, **settings)


def file_decides(flag: str, default: Any, **settings: Any) -> Callable[[Command], Command]:
    """A flag that beats the config file; left out, the file decides."""
    return option(flag, show_default=f"as in the config file, else {default}", **settings)


def fail(problem: str, code: int) -> NoReturn:
    """End with one line on standard error."""
    click.echo(f"openpipe-mock: {problem}", err=True)
    sys.exit(code)
