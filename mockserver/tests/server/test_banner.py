"""What a line looks like on a terminal, and elsewhere."""

import logging

import pytest

from openpipe_mock.server.banner import GREEN, PLAIN, RED, YELLOW, LineFormatter, banner
from openpipe_mock.service.service import Service


def formatted(message: str, level: int = logging.INFO, *, colour: bool) -> str:
    record = logging.LogRecord("openpipe_mock.requests", level, "", 0, message, (), None)
    return LineFormatter(colour=colour).format(record)


@pytest.mark.parametrize(("status", "colour"), [(200, GREEN), (404, YELLOW), (503, RED)])
def test_a_status_has_the_colour_of_its_class_on_a_terminal(status: int, colour: str) -> None:
    line = f"POST /api/v1/criteria/judge {status}  helpful@v1 0.42  0.3 ms"
    assert formatted(line, colour=True) == line.replace(f" {status} ", f"{colour} {status} {PLAIN}")
    assert formatted(line, colour=False) == line


def test_only_the_status_is_coloured() -> None:
    assert formatted("GET / 200  a 500 b", colour=True).count(PLAIN) == 1


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
