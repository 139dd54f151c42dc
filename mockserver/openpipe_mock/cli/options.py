"""What several commands share: flags with an environment variable, and ending with an error."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_args

import click

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.secrets import without_secrets
from openpipe_mock.core.seeded import ANSWERS
from openpipe_mock.core.wording import listed, nearest, printable, printable_lines, quoted

_Command = TypeVar("_Command", bound=Callable[..., None])
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:  # older releases of click have no generic one
    _ParamType = click.ParamType
_SETTINGS = {field.name: field for field in fields(Settings)}


def variable(flag: str) -> str:
    """The environment variable of a flag: `OPENPIPE_MOCK_MAX_BODY_BYTES` for `--max-body-bytes`."""
    return "OPENPIPE_MOCK_" + flag.removeprefix("--").replace("-", "_").upper()


_PREFIX = variable("")
_OTHERS = ("OPENPIPE_MOCK_CONTROL_URL", "OPENPIPE_MOCK_VARIANT")
"""Variables that `exec` sets for its command, and that no flag reads."""


def warn_of_variables() -> None:
    """Tell of each environment variable that begins as those of flags do and belongs to none."""
    root = click.get_current_context().find_root().command
    known = {name.removeprefix(_PREFIX): name for name in (*_variables(root), *_OTHERS)}
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in known.values():
            near = nearest(name.removeprefix(_PREFIX), [*known])
            advice = f"; did you mean {known[near]}?" if near else "."
            say_aside(f"the environment variable {name} means nothing here{advice}")


def _variables(command: click.Command) -> Iterator[str]:
    """The environment variables of the flags of a command and of those below it."""
    yield from (param.envvar for param in command.params if isinstance(param.envvar, str))
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _variables(each)


def completing(names: Callable[[], Iterable[str]]) -> Callable[..., list[str]]:
    """What a shell may write for a flag or argument that takes one of these names, or several with commas."""

    def complete(_: click.Context, __: click.Parameter, written: str) -> list[str]:
        before, comma, last = written.rpartition(",")
        return [f"{before}{comma}{name}" for name in names() if name.startswith(last)]

    return complete


def option(flag: str, **settings: Any) -> Callable[[_Command], _Command]:
    """A flag that an environment variable `OPENPIPE_MOCK_…` can set too."""
    return click.option(flag, envvar=variable(flag), show_envvar=True, **settings)


class _Plain(_ParamType):
    """What a flag takes; any other value is refused with what was expected, in our words."""

    def expected(self) -> str:
        """What it takes, in a few words."""
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(self.refusal(value), param, ctx)

    def refusal(self, value: Any) -> str:
        """The sentence about another value."""
        return f"expected {self.expected()}, got {quoted(value)}."


def _in_range(noun: str, lowest: float | None, highest: float | None) -> str:
    if highest is None:
        return f"{noun} of at least {lowest}"
    return f"{noun} from {lowest} to {highest}"


class Whole(_Plain, click.IntRange):
    """Whole numbers within bounds."""

    def expected(self) -> str:
        return _in_range("a whole number", self.min, self.max)


class Number(_Plain, click.FloatRange):
    """Numbers within bounds."""

    def expected(self) -> str:
        return _in_range("a number", self.min, self.max)


class _AnyWhole(_Plain, click.types.IntParamType):
    def expected(self) -> str:
        return "a whole number"


class _AnyNumber(_Plain, click.types.FloatParamType):
    def expected(self) -> str:
        return "a number"


class Words(_Plain, click.Choice[str]):
    """Some words. `setting`: the name of the setting that they are of, if any."""

    def __init__(self, words: Iterable[str], setting: str = "") -> None:
        super().__init__(tuple(words))
        self.setting = setting

    def expected(self) -> str:
        return listed(map(quoted, self.choices), "or")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if self.setting and value not in self.choices:
            from openpipe_mock.config.file import schema

            gone = schema()["properties"][self.setting].get("goneMessages", {}).get(value)
            if gone:
                self.fail(f"{gone}.", param, ctx)
        return super().convert(value, param, ctx)


class UserPath(_Plain, click.Path):
    """Files, or folders, or both."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True, **options: Any) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path, **options)

    def expected(self) -> str:
        return "a file" if not self.dir_okay else "a folder" if not self.file_okay else "a file or a folder"

    def refusal(self, value: Any) -> str:
        if not os.path.exists(value):
            return f"expected {self.expected()}, and {value} isn't there."
        if not (self.dir_okay if os.path.isdir(value) else self.file_okay):
            return f"expected {self.expected()}, and {value} is {'a folder' if self.file_okay else 'a file'}."
        return f"{value} may not be read or written."


WHOLE, NUMBER = _AnyWhole(), _AnyNumber()
GENERATION = Whole(1, ANSWERS)
FILE = UserPath(dir_okay=False)
FOLDER = UserPath(file_okay=False)
_KINDS = {int: WHOLE, float: NUMBER}


def kind_of(python_type: Any) -> Any:
    """What a flag takes whose value is of this type."""
    return _KINDS.get(python_type, python_type)


def setting(flag: str, **more: Any) -> Callable[[_Command], _Command]:
    """A flag for the setting of its name; where it is left out, the config file's value holds.

    What may stand there and the default are those of the field of `Settings`.
    """
    field = _SETTINGS[flag.removeprefix("--").replace("-", "_")]
    # Of `Words | None` the words count: None is a flag that is left out.
    words = get_args(next((each for each in get_args(field.type) if get_args(each)), field.type))
    kind = Words(words, field.name) if words else kind_of(field.type)
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


def say_aside(line: str) -> None:
    """Print one line on standard error, marked as ours."""
    click.echo(f"openpipe-mock: {printable(line)}", err=True)


def fail(problem: str, code: int) -> NoReturn:
    """Print one line on standard error and exit with `code`."""
    warn(f"openpipe-mock: {printable(problem)}")
    sys.exit(code)


def fail_with(error: Exception, code: int) -> NoReturn:
    """Print an error's lines on standard error and exit with `code`."""
    warn(f"openpipe-mock: {error}")
    sys.exit(code)
