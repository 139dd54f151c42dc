"""What a line looks like on a terminal, and elsewhere."""

import json
import logging
import re
import sys

import pytest

from openpipe_mock.server.banner import GREEN, PLAIN, RED, YELLOW, JsonFormatter, LineFormatter, banner
from openpipe_mock.server.transport import REQUESTS
from openpipe_mock.service.service import Service

AT = 1_796_137_200.1239


def recorded(
    message: str, *arguments: object, level: int = logging.INFO, name: str = REQUESTS
) -> logging.LogRecord:
    record = logging.LogRecord(name, level, "", 0, message, arguments, None)
    record.created = AT
    return record


def formatted(message: str, level: int = logging.INFO, *, colour: bool) -> str:
    """A line without its time, which has to be there."""
    line = LineFormatter(terminal=colour).format(recorded(message, level=level))
    time, _, rest = line.partition(" ")
    expected = r"\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m" if colour else r"2026-12-01T15:00:00\.123Z"
    assert re.fullmatch(expected, time)
    return rest


@pytest.mark.parametrize(("status", "colour"), [(200, GREEN), (404, YELLOW), (503, RED)])
def test_a_status_has_the_colour_of_its_class_on_a_terminal(status: int, colour: str) -> None:
    line = f"POST /api/v1/criteria/judge {status}  helpful@v1 0.42  0.3 ms"
    assert formatted(line, colour=True) == line.replace(f" {status} ", f"{colour} {status} {PLAIN}")
    assert formatted(line, colour=False) == line


def test_only_the_status_is_coloured() -> None:
    assert formatted("GET / 200  a 500 b", colour=True).count(PLAIN) == 1


def test_a_line_of_json_has_the_parts_of_a_request_as_members() -> None:
    record = recorded("%s %s %d  %s  %.1f ms  %s", "GET", "/x", 200, "h@v1 0.5, rule /r", 0.3, "default-7")
    assert json.loads(JsonFormatter().format(record)) == {
        "time": "2026-12-01T15:00:00.123Z",
        "level": "info",
        "message": "GET /x 200  h@v1 0.5, rule /r  0.3 ms  default-7",
        "method": "GET",
        "path": "/x",
        "status": 200,
        "subject": "h@v1 0.5, rule /r",
        "ms": 0.3,
        "request_id": "default-7",
    }


def test_a_line_of_json_is_one_line_whatever_it_says() -> None:
    record = recorded("a\nb\x1b[2J\ud800 %s", "c", level=logging.ERROR, name="openpipe_mock")
    try:
        raise ValueError("d\ne")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JsonFormatter().format(record)
    assert line.isprintable()
    shown = json.loads(line)
    assert (shown["level"], shown["message"]) == ("error", "a\nb\x1b[2J? c")
    assert shown["traceback"].endswith("ValueError: d\ne")


@pytest.mark.parametrize(("level", "colour"), [(logging.WARNING, YELLOW), (logging.ERROR, RED)])
def test_what_needs_attention_is_coloured_whole_or_named(level: int, colour: str) -> None:
    assert formatted("Look.", level, colour=True) == f"{colour}Look.{PLAIN}"
    assert formatted("Look.", level, colour=False) == f"{logging.getLevelName(level).lower()}: Look."


def test_what_steers_a_terminal_is_shown_as_one_sign() -> None:
    assert formatted("config a\x1b[2Jb\n\tnext", colour=False) == "config a\ufffd[2Jb\n\tnext"


@pytest.mark.parametrize("terminal", [True, False])
def test_the_name_of_a_file_does_not_steer_the_terminal(terminal: bool) -> None:
    service = Service()
    service.file.path = "a\x1b[2J\nb.yaml"
    lines = banner(service, "http://127.0.0.1:1", "", terminal)
    assert "config a\ufffd[2J\ufffdb.yaml, " in lines
