"""What several commands share: flags with an environment variable, and ending with an error."""

import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

import click

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.secrets import without_secrets
from openpipe_mock.core.seeded import ANSWERS
from openpipe_mock.core.wording import printable, printable_lines

_Command = TypeVar("_Command", bound=Callable[..., None])
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
GENERATION = click.IntRange(1, ANSWERS)
FILE = click.Path(dir_okay=False, path_type=Path)
_SETTINGS = {field.name: field for field in fields(Settings)}


def variable(flag: str) -> str:
    """The environment variable of a flag: `OPENPIPE_MOCK_MAX_BODY_BYTES` for `--max-body-bytes`."""
    return "OPENPIPE_MOCK_" + flag.removeprefix("--").replace("-", "_").upper()


def option(flag: str, **settings: Any) -> Callable[[_Command], _Command]:
    """A flag that an environment variable `OPENPIPE_MOCK_…` can set too."""
    return click.option(flag, envvar=variable(flag), show_envvar=True, **settings)


class _Words(click.Choice[str]):
    """The words of a setting; one that it has no more is refused with what to write in its place."""

    def __init__(self, name: str, words: tuple[str, ...]) -> None:
        super().__init__(words)
        self.setting = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            from openpipe_mock.config.file import schema

            gone = schema()["properties"][self.setting].get("goneMessages", {}).get(value)
            if gone:
                self.fail(f"{gone}.", param, ctx)
        return super().convert(value, param, ctx)


def setting(flag: str, **more: Any) -> Callable[[_Command], _Command]:
    """A flag for the setting of its name; where it is left out, the config file's value holds.

    What may stand there and the default are those of the field of `Settings`.
    """
    field = _SETTINGS[flag.removeprefix("--").replace("-", "_")]
    # Of `Words | None` the words count: None is a flag that is left out.
    words = get_args(next((each for each in get_args(field.type) if get_args(each)), field.type))
    kind = _Words(field.name, words) if words else field.type
    shown = f"as in the config file, else {field.default}"
    return option(flag, **{"type": kind, "show_default": shown, **more})


def config_option(told: str) -> Callable[[_Command], _Command]:
    """The flag `--config`. `told`: what the command does with the file."""
    where = "Without the flag: openpipe-mock.yaml or .yml, where the working folder has one."
    return option("--config", type=FILE, help=f"{told} {where}")


def presentable(text: str) -> str:
    """Lines that may quote anything, safe for a terminal and without secrets."""
    return printable_lines(without_secrets(text))


def say(text: str) -> None:
    """Print lines that may quote a file or a server."""
    click.echo(presentable(text))


def warn(text: str) -> None:
    """Print lines on standard error, if anybody is there: exit code and reports count for more."""
    try:
        click.echo(presentable(text), err=True)
    except OSError:
        sys.stderr = None  # else the interpreter tries once more at its end


def fail(problem: str, code: int) -> NoReturn:
    """Print one line on standard error and exit with `code`."""
    warn(f"openpipe-mock: {printable(problem)}")
    sys.exit(code)


def fail_with(error: Exception, code: int) -> NoReturn:
    """Print an error's lines on standard error and exit with `code`."""
    warn(f"openpipe-mock: {error}")
    sys.exit(code)
