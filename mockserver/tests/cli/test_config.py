"""`openpipe-mock config`: what it prints, and how it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from click.testing import CliRunner, Result

from openpipe_mock.cli.main import main
from openpipe_mock.config.file import DEFAULT_FILE, FILE_NAMES, ConfigError, read_config
from openpipe_mock.service.service import Service
from tests.environments import ROOT
from tests.inprocess import answer
from tests.live import Live

EXAMPLE = ROOT / "examples" / DEFAULT_FILE
BAD = "seed: x\ncriteria: {a: {scor: 1}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments])


def test_the_example_has_no_problem() -> None:
    result = run("check", str(EXAMPLE))
    assert (result.exit_code, result.output) == (0, f"{EXAMPLE}: no problem\n")


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_file_of_the_working_folder_is_checked_by_itself(here: Path, name: str) -> None:
    (here / name).write_text("seed: 1\n")
    result = run("check")
    assert (result.exit_code, result.output) == (0, f"{name}: no problem\n")


def test_of_two_files_in_the_working_folder_none_is_checked_unasked(here: Path) -> None:
    for name in FILE_NAMES:
        (here / name).write_text("seed: 1\n")
    result = run("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "openpipe-mock.yaml and openpipe-mock.yml are both here; remove openpipe-mock.yml" in result.stderr
    assert run("check", DEFAULT_FILE).exit_code == 0


def test_a_file_that_is_endless_is_not_read(here: Path) -> None:
    result = run("check", "/dev/zero")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "openpipe-mock: /dev/zero: it has more than 1 MiB" in result.stderr


def test_a_pipe_is_checked_as_a_file_is(here: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, BAD.encode())
    os.close(writing)
    result = run("check", f"/dev/fd/{reading}")
    os.close(reading)
    assert result.exit_code == 1
    assert result.output.startswith(f"/dev/fd/{reading}:1:1: /seed: expected")


def test_mistakes_are_printed_a_line_each(here: Path) -> None:
    (here / DEFAULT_FILE).write_text(BAD)
    result = run("check")
    assert result.exit_code == 1
    with pytest.raises(ConfigError) as caught:
        read_config(BAD.encode(), DEFAULT_FILE)
    assert result.output == f"{caught.value}\n"
    assert result.output.splitlines() == [
        f'{DEFAULT_FILE}:1:1: /seed: expected a whole number, got the string "x".',
        f'{DEFAULT_FILE}:2:16: /criteria/a/scor: unknown property in "a"; did you mean "score"?',
    ]


def test_scripts_behind_one_that_always_fires_are_warned_of(here: Path) -> None:
    always, calling = (
        "{text: a, when: {endpoint: chat}, name: all}",
        "{tool_calls: [{name: f, arguments: {}}]}",
    )
    some = "{text: c, when: {last_user: x}}"
    (here / DEFAULT_FILE).write_text(f"completions: [{calling}, {always}, {some}, {always}]\n")
    result = run("check")
    assert result.exit_code == 0
    told = "behind /completions/1 (all), which answers every chat request, no script fires"
    hidden = '"/completions/2" and "/completions/3 (all)"'
    assert result.output.splitlines() == [
        f"{DEFAULT_FILE}: warning: {told}: {hidden}. Move it to the end.",
        f"{DEFAULT_FILE}: no problem",
    ]
    (here / DEFAULT_FILE).write_text(f"completions: [{calling}, {some}, {always}]\n")
    assert run("check").output == f"{DEFAULT_FILE}: no problem\n"


def test_a_file_that_is_not_there_is_told_from_a_bad_one(here: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"openpipe-mock: {DEFAULT_FILE}: No such file or directory\n"


def test_a_folder_is_no_file(here: Path) -> None:
    result = run("check", str(here))
    assert result.exit_code == 2
    assert "is a folder." in result.stderr


def test_the_example_is_printed_as_it_is_and_can_be_used_at_once(here: Path) -> None:
    result = run("example")
    assert (result.exit_code, result.stdout_bytes) == (0, EXAMPLE.read_bytes())
    (here / DEFAULT_FILE).write_bytes(result.stdout_bytes)
    assert run("check").exit_code == 0


def test_the_schema_is_printed_as_it_is() -> None:
    result = run("schema")
    shipped = (ROOT / "schemas" / "config.schema.json").read_bytes()
    assert (result.exit_code, result.stdout_bytes) == (0, shipped)


@contextmanager
def answering(status: int, kind: str, body: bytes) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server that answers every request so: its origin, and the path and the token of each request."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("x-mock-token", "")))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_an_export_is_printed_as_it_is() -> None:
    with answering(200, "application/yaml", b"seed: 7\n") as (address, asked):
        for url in (address, f"http://{address}/api/v1/", f"http://{address}/_mock/sessions/w1/_mock"):
            result = run("export", url, "--control-token", "t")
            assert (result.exit_code, result.output) == (0, "seed: 7\n")
    assert asked == [*[("/_mock/config", "t")] * 2, ("/_mock/sessions/w1/_mock/config", "t")]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((403, "application/json", b'{"message": "Forbidden: no."}'), "answers 403: Forbidden: no."),
        ((404, "text/html", b"<html>"), "answers 404: no openpipe-mock answers there"),
        ((404, "application/json", b"[]"), "answers 404: no openpipe-mock answers there"),
        ((200, "text/html", b"<html>"), "is answered by something else than openpipe-mock"),
    ],
)
def test_what_is_no_export_is_told(answer: tuple[int, str, bytes], told: str) -> None:
    with answering(*answer) as (address, _):
        result = run("export", address)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"openpipe-mock: http://{address}/_mock/config {told}\n"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("127.0.0.1:1", "http://127.0.0.1:1/_mock/config can't be reached: nothing listens there"),
        ("x://a", "x://a/_mock/config can't be reached: it is no URL of http or https"),
        ("http://a b", "http://a b/_mock/config can't be reached: it is no URL of http or https"),
        ("http://[", "http://[/_mock/config can't be reached: it is no URL of http or https"),
    ],
)
def test_where_nobody_exports_is_told(url: str, told: str) -> None:
    result = run("export", url)
    assert (result.exit_code, result.output) == (2, f"openpipe-mock: {told}\n")


@pytest.mark.slow
def test_another_mock_answers_as_the_exported_one(live: Live) -> None:
    asked = {"criterion_id": "export", "output": {"role": "assistant", "content": "x"}}
    httpx.put(f"{live.control_url}/criteria/export", json={"score": 0.125}, params={"session": "export"})
    url = f"{live.origin}/_mock/sessions/export/api/v1"
    config = read_config(run("export", url).stdout_bytes)
    theirs = httpx.post(f"{url}/criteria/judge", json=asked, headers={"authorization": "Bearer x"})
    assert theirs.json()["score"] == 0.125
    assert answer(Service(config), asked).body == theirs.content


@pytest.mark.parametrize("command", ["check", "export", "schema", "example"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"  openpipe-mock config {command}" in result.output
