"""docs/control.md, taken at its word: each command is run, in order, and answered as the page shows."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest

from openpipe_mock.control.api import ROUTES
from openpipe_mock.control.listings import ROOT
from openpipe_mock.core.effects import Reply
from openpipe_mock.sessions import journal
from tests.controlling import Mock
from tests.environments import ROOT as REPOSITORY
from tests.markdown import Block, blocks

Json = Any

PAGE = (REPOSITORY / "docs" / "control.md").read_text(encoding="utf-8")


def run(mock: Mock, command: str) -> Reply:
    """What a curl command is answered."""
    words = shlex.split(command.replace("\\\n", ""))
    assert words[0] == "curl"
    method, headers, body, url = "", {}, b"", ""
    given = iter(words[1:])
    for word in given:
        if word == "-X":
            method = next(given)
        elif word == "-H":
            name, _, value = next(given).partition(": ")
            headers[name.lower().encode()] = value.encode()
        elif word == "-d":
            body = next(given).encode()
        else:
            url = word
    address = urlsplit(url)
    headers[b"host"] = address.netloc.encode()
    if address.path.startswith(f"{ROOT}/"):
        verb = method or ("POST" if body else "GET")
        path = address.path.removeprefix(ROOT)
        return mock.ask(verb, path, body, query=address.query, headers=headers)
    return mock.send(address.path, json.loads(body), headers=headers)


def steps() -> Iterator[tuple[str, Json]]:
    """The page's commands, each with the answer that is shown, None for none."""
    listed = [*blocks(PAGE), Block("sh", "")]
    for block, after in pairwise(listed):
        if block.language == "sh":
            yield block.code, json.loads(after.code) if after.language == "json" else None


def test_each_command_is_answered_as_the_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_numbers", count(1))
    mock = Mock()
    shown = list(steps())
    assert len(shown) > 8
    for command, answer in shown:
        reply = run(mock, command)
        if answer is not None:
            assert json.loads(reply.body) == answer, command


def test_the_page_has_commands_and_answers_alone() -> None:
    assert {block.language for block in blocks(PAGE)} == {"sh", "json"}


def test_the_table_names_every_route_and_no_other() -> None:
    rows = re.findall(r"^\| `([A-Z]+) (/_mock/\S*)` \|", PAGE, re.MULTILINE)
    routes = [(route.method, ROOT + route.path) for route in ROUTES]
    assert sorted(rows) == sorted(routes)
