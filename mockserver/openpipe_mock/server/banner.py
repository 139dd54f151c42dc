"""The text on the terminal: the banner at the start, and one line for each request."""

import logging
import re
from datetime import datetime
from typing import Any

import orjson

from openpipe_mock import __version__
from openpipe_mock.control.environment import PREFIXES, exports
from openpipe_mock.core.wording import printable, printable_lines
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.server.transport import LINE_MEMBERS
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.inspection import json_safe, written_time

_BOLD, _DIM, RED, YELLOW, GREEN, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"


def banner(service: Service, origin: str, public: str, terminal: bool) -> str:
    """The text that says where the mock is and how to use it: some lines on a terminal, one line elsewhere.

    `public`: the host that it listens on where other machines can reach it, "" on loopback.
    """
    base_url, settings = f"{origin}{BASE}", service.settings
    facts = f"seed {settings.seed}, answers {settings.given_answers}, validation {settings.validation}"
    if service.file.path:
        once = "" if service.file.lasting else ", read once"
        facts = f"config {printable(str(service.file.path))}{once}, {facts}"
    if service.source:
        facts = f"{printable(str(service.source))}, {facts}"
    open_to_all = f"It listens on {public}: other machines can reach it." if public else ""
    if not terminal:
        return f"openpipe-mock {__version__} serves {base_url} ({facts}). {open_to_all}".rstrip()
    lines = [
        f"{_BOLD}openpipe-mock {__version__}{PLAIN} serves {_BOLD}{base_url}{PLAIN}",
        f"{_DIM}{facts}; {origin}/ shows requests in a browser; Ctrl-C stops{PLAIN}",
        *([f"{YELLOW}{open_to_all}{PLAIN}"] if open_to_all else []),
        "",
        *(f"  export {name}={value}" for name, value in exports(base_url, settings).items()),
        "",
        f"{_DIM}{PREFIXES}{PLAIN}",
    ]
    return "\n".join(["", *lines, ""])


class LineFormatter(logging.Formatter):
    """Formats a record as one line that begins with its time.

    `terminal`: show the time of day, and the level, or a request's status, by colour; else the time in UTC.
    """

    def __init__(self, *, terminal: bool) -> None:
        super().__init__("%(message)s")
        self.terminal = terminal

    def format(self, record: logging.LogRecord) -> str:
        line = printable_lines(super().format(record))
        if not self.terminal:
            level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
            return f"{written_time(record.created)} {level}{line}"
        if record.levelno >= logging.WARNING:
            line = f"{RED if record.levelno > logging.WARNING else YELLOW}{line}{PLAIN}"
        else:
            line = _STATUS.sub(_coloured, line, count=1)
        return f"{_DIM}{datetime.fromtimestamp(record.created):%H:%M:%S}{PLAIN} {line}"


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object on one line; the line of a request has its parts as members too."""

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, Any] = {"time": written_time(record.created), "level": record.levelname.lower()}
        members["message"] = json_safe(record.getMessage())
        if isinstance(record.args, tuple):
            members |= zip(LINE_MEMBERS.get(record.name, ()), record.args, strict=False)
        if record.exc_info:
            members["traceback"] = json_safe(self.formatException(record.exc_info))
        return orjson.dumps(members).decode()


_STATUS = re.compile(r" ([1-5])[0-9]{2} ")
_COLOURS = {"2": GREEN, "4": YELLOW, "5": RED}


def _coloured(status: re.Match[str]) -> str:
    """A status in the colour of its class."""
    return f"{_COLOURS.get(status[1], PLAIN)}{status[0]}{PLAIN}"
