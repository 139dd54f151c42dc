"""The commands `record`, `serve --cassette` and `cassette`, as people run them."""

import json
import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml
from click.testing import CliRunner, Result

from openpipe_mock.cli.main import main
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.resources import install_line
from openpipe_mock.recording.cassette import Cassette
from openpipe_mock.recording.recording import Chunk, Recording, from_yaml
from openpipe_mock.server import server
from openpipe_mock.server.direct import DirectApp
from tests.live import PATIENCE, serving
from tests.recording.test_tape import CHAT, JUDGE, KEY, REQUESTS, _saying, mock, raw_server, recorder, send
from tests.threads import served

VCR = """\
interactions:
- request:
    body: '{"model":"gpt-4o","messages":[{"role":"user","content":"hey sk-abcdef12345"}]}'
    headers: {authorization: [Bearer sk-abcdef12345], Content-Type: [application/json], Cookie: [a=b]}
    method: POST
    uri: https://me:pw@api.openai.com/v1/chat/completions?api_key=x
  response:
    body: {string: '{"id":"1","object":"chat.completion"}'}
    headers: {Set-Cookie: [a=b], Content-Type: [application/json]}
    status: {code: 200, message: OK}
- request: {body: null, headers: {}, method: GET, uri: 'https://example.org/robots.txt'}
  response: {body: {string: ''}, headers: {}, status: {code: 404, message: no}}
version: 1
"""


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with recordings of a mock, and the mock's base URL."""
    with mock(settings=Settings(seed=7)) as real:
        with mock(recorder(tmp_path / "tapes", real)) as url:
            for asked in REQUESTS[:3]:
                send(url, asked)
        yield tmp_path / "tapes", real


def test_recordings_are_listed_and_shown(recorded: tuple[Path, str]) -> None:
    folder, _ = recorded
    lines = run("cassette", "ls", folder).output.splitlines()
    assert [line.split()[0] for line in lines] == ["200", "200", "200"]
    name = next(line.split()[-1] for line in lines if " stream " in line)
    shown = run("cassette", "show", folder, name).output
    assert "POST /chat/completions, recorded 20" in shown
    assert re.search(r"choice 0: \w+ mock answer to .Count: \u00e4, \U0001f642.\.", shown)
    judge = next(line.split()[-1] for line in lines if "judge" in line)
    assert '"criterion_id": "helpful"' in run("cassette", "show", folder, judge).output


def test_what_a_terminal_must_not_get_is_replaced(tmp_path: Path) -> None:
    tape = Cassette(tmp_path)
    answer = b'{"a":"\x7f"} \x1b[31m \xe2\x80\xae'
    request = Recording("POST", "/chat/completions", answer, {}, "key-1")
    name = tape.add(request.answered(200, [("content-type", "text/plain")], [Chunk(0.0, answer)]))
    shown = run("cassette", "show", tmp_path, name).output
    assert not re.search("[\x1b\x7f\u202e]", shown)


def test_check_ends_by_what_it_finds(recorded: tuple[Path, str]) -> None:
    folder, _ = recorded
    kept = run("cassette", "check", folder)
    assert (kept.exit_code, kept.output) == (0, "3 recordings, 0 that break the contract\n")
    name = next(folder.glob("judge*"))
    name.write_text(name.read_text().replace('{"score":', '{"points":'))
    broken = run("cassette", "check", folder)
    assert broken.exit_code == 1
    assert f"{name.name}\n  answer /score: the answer requires" in broken.output
    name.write_text("x")
    unread = run("cassette", "check", folder)
    assert (unread.exit_code, unread.output) == (2, f"openpipe-mock: {name}: the file: expected a mapping\n")


def test_refresh_tells_changes_of_shape_and_not_of_text(recorded: tuple[Path, str]) -> None:
    folder, real = recorded
    before = {path.name: path.read_bytes() for path in folder.glob("*.yaml")}
    assert run("cassette", "refresh", folder, "--dry-run", "--upstream", real).output == "nothing changed\n"
    with mock(settings=Settings(seed=8)) as other:
        same = run("cassette", "refresh", folder, "--dry-run", "--upstream", other)
    assert (same.exit_code, same.output) == (0, "nothing changed\n")
    assert {path.name: path.read_bytes() for path in folder.glob("*.yaml")} == before
    with mock(settings=Settings(keys=("none-of-these",))) as refusing:
        refused = run("cassette", "refresh", folder, "--upstream", refusing)
    assert (refused.exit_code, "the upstream refuses the key (401); --key-env" in refused.output) == (2, True)
    answer = b"HTTP/1.1 500 x\r\ncontent-type: application/json\r\nconnection: close\r\n"
    with raw_server(_saying(answer + b'content-length: 17\r\n\r\n{"message":"Bad"}')) as crashing:
        changed = run("cassette", "refresh", folder, "--upstream", crashing)
    assert changed.exit_code == 1
    assert "the status was 200 and is 500" in changed.output
    assert "/score: gone, was number" in changed.output
    assert "/message: new, string" in changed.output
    assert {name: Cassette(folder).read(name).status for name in before} == dict.fromkeys(before, 500)
    gone = run("cassette", "refresh", folder, "--upstream", "http://127.0.0.1:9")
    assert gone.exit_code == 2
    assert "no connection to 127.0.0.1:9: nothing listens there." in gone.output


def test_cassettes_of_vcrpy_are_imported_without_cookies_and_keys(tmp_path: Path) -> None:
    as_yaml, as_json = tmp_path / "vcr.yaml", tmp_path / "vcr.json"
    as_yaml.write_text(VCR)
    as_json.write_text(json.dumps({"interactions": yaml.safe_load(VCR)["interactions"][:1]}))
    for file in (as_yaml, as_json):
        found = run("cassette", "import", file, "--into", tmp_path / file.suffix)
        assert found.exit_code == 0, found.output
        [written] = (tmp_path / file.suffix).glob("*.yaml")
        text = written.read_text()
        assert not re.search("sk-abcdef|a=b|me:pw|api_key", text)
        assert '"content":"hey ***"' in text
        assert "- 'answer /created:" in text
        if file is as_yaml:
            assert "left out /interactions/1: GET https://example.org/robots.txt is no" in found.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "it is neither YAML of plain data nor JSON"),
        ("!!python/object/apply:os.system [true]", "it is neither YAML of plain data nor JSON"),
        ("{", "it is neither YAML of plain data nor JSON"),
        ("[]", "/interactions: expected a list"),
        ("interactions: [1]", "/interactions/0: expected a request and a response"),
        ("interactions: [{request: {uri: 1, method: GET}, response: 1}]", "/interactions/0: expec"),
    ],
)
def test_what_is_no_cassette_of_vcrpy_is_told(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "vcr.yaml"
    file.write_text(text)
    found = run("cassette", "import", file, "--into", tmp_path / "into")
    if "uri: 1" in text:
        assert "left out" in found.output
    else:
        assert (found.exit_code, told in found.output) == (2, True), found.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("record", "--cassette", "x", "--upstream", "nowhere"), "--upstream: expected a base URL"),
        (("record", "--cassette", "x", "--key-env", "NO_KEY"), "--key-env NO_KEY: this variable isn't set"),
        (("record",), "Missing option '--cassette'"),
    ],
)
def test_flags_that_are_no_use_end_with_2(words: tuple[str, ...], told: str) -> None:
    found = run(*words)
    assert (found.exit_code, told in found.output) == (2, True), found.output


def test_a_cassette_that_cannot_be_read_keeps_serve_from_starting(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("x")
    found = run("serve", "--port", "0", "--cassette", tmp_path)
    assert found.exit_code == 2
    assert f"{tmp_path}/bad.yaml: the file: expected a mapping" in found.output


@pytest.mark.slow
def test_a_recorder_that_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    flags = (f"--cassette={tmp_path}", "--max-requests=1000000")
    with mock() as real, serving(f"--upstream={real}", *flags, name="record") as live:
        answered, over = threading.Event(), threading.Event()

        def ask(number: int) -> None:
            while not over.is_set():
                body = {**CHAT, "seed": number, "stream": number % 2 == 0}
                try:
                    send(live.base_url, ("POST", "/chat/completions", body, {}))
                    answered.set()
                except httpx.HTTPError:
                    return

        with ThreadPoolExecutor(100) as pool:
            for number in range(100):
                pool.submit(ask, number)
            assert answered.wait(PATIENCE)
            live.process.send_signal(signal.SIGKILL)
            live.process.wait(PATIENCE)
            over.set()
    files = list(tmp_path.glob("*.yaml"))
    assert files
    for file in files:
        assert from_yaml(file.read_bytes()).answer
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


@pytest.mark.slow
def test_a_recorder_trusts_the_authority_that_it_is_told(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    files = {"ssl_certfile": str(tmp_path / "cert.pem"), "ssl_keyfile": str(tmp_path / "key.pem")}
    with served(DirectApp(Settings()), **files) as (host, port):
        real = f"https://{host}:{port}/api/v1"
        for trust, status in (([f"--ca={tmp_path}/ca.pem"], 200), ([], 502)):
            flags = (f"--cassette={tmp_path}/tapes", f"--upstream={real}", *trust)
            with serving(*flags, name="record") as live:
                body = {**JUDGE, "criterion_id": str(status)}
                answer = send(live.base_url, ("POST", "/criteria/judge", body, {}))
                assert answer[0] == status, answer
    assert "TLS failed" in json.loads(answer[1])["message"]


@pytest.mark.slow
def test_a_recorder_listens_on_this_machine_alone_and_writes_its_index(tmp_path: Path) -> None:
    flag = f"--cassette={tmp_path}"
    with mock() as real, serving(flag, f"--upstream={real}", name="record") as live:
        assert live.base_url.startswith("http://127.0.0.1:")
        send(live.base_url, REQUESTS[0])
        live.stop(signal.SIGINT)
    assert {path.name for path in tmp_path.iterdir()} >= {".index.json", ".gitignore"}
    with serving(flag, "--on-miss=error", "--timing=1") as live:
        assert send(live.base_url, REQUESTS[0])[0] == 200
        assert send(live.base_url, REQUESTS[1])[0] == 404


# What the flags become; no server is started.


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of each `serve` that a command calls."""
    calls: list[Any] = []
    monkeypatch.setattr(server, "serve", lambda *arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("record",), {"on_miss": "upstream", "replays": False, "requests": 200}),
        (("record", "--new", "--max-requests=3"), {"on_miss": "upstream", "replays": True, "requests": 3}),
        (("serve",), {"on_miss": "mock", "on_end": "repeat", "timing": 0.0, "requests": None}),
        (
            ("serve", "--on-miss=error", "--on-end=fail", "--timing=0.5"),
            {"on_miss": "error", "on_end": "fail", "timing": 0.5, "requests": None},
        ),
        (
            ("serve", "--on-miss=upstream", "--rate=2"),
            {"on_miss": "upstream", "replays": True, "requests": 200},
        ),
    ],
)
def test_flags_make_a_tape(
    words: tuple[str, ...], wanted: dict[str, Any], started: list[Any], tmp_path: Path
) -> None:
    found = run(*words, "--cassette", tmp_path)
    assert found.exit_code == 0, found.output
    [(_, listener, maker)] = started
    assert listener.host == "127.0.0.1"
    tape = maker(Settings())
    upstream = tape.upstream
    what = "0 recordings" if upstream is None else "recording https://api.openpipe.ai/api/v1"
    assert str(tape) == f"{what} in {tmp_path}"
    got = {name: getattr(tape, name) for name in wanted if name != "requests"}
    assert {**got, "requests": upstream and upstream.allowance.requests} == wanted


def test_a_cassette_that_cannot_be_read_is_told_by_the_maker(started: list[Any], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("x")
    run("record", "--cassette", tmp_path)
    with pytest.raises(server.CannotServe, match="expected a mapping"):
        started[0][2](Settings())


@pytest.mark.parametrize("words", [("record",), ("serve", "--on-miss=upstream")])
def test_without_httpx_one_line_names_the_extra(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpipe_mock.recording.upstream", None)
    found = run(*words, "--cassette", tmp_path)
    assert (found.exit_code, found.output.count("\n")) == (2, 1)
    assert f"passing requests on needs the extra `record`: {install_line('record')}" in found.output


def test_what_keeps_a_recorder_from_starting_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise server.CannotServe("port 6736 is taken")

    monkeypatch.setattr(server, "serve", refuse)
    found = run("record", "--cassette", tmp_path)
    assert (found.exit_code, found.output) == (2, "openpipe-mock: port 6736 is taken\n")


def test_commands_tell_what_they_cannot_read_or_write(
    recorded: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = recorded
    config = tmp_path / "config.yaml"
    config.write_text("seed: x")
    vcr = tmp_path / "vcr.yaml"
    vcr.write_text(VCR)
    for words in (("refresh", folder, "--upstream", real), ("import", vcr, "--into", tmp_path / "a")):
        assert "/seed: expected a whole number" in run("cassette", *words, "--config", config).output
        assert "No such file" in run("cassette", *words, "--config", tmp_path / "none.yaml").output
    assert "No such file" in run("cassette", "show", folder, "none.yaml").output

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    for words in (("refresh", folder, "--upstream", real), ("import", vcr, "--into", tmp_path / "b")):
        found = run("cassette", *words)
        assert (found.exit_code, "No space left on device" in found.output) == (2, True)


@pytest.mark.slow
def test_exec_records_in_the_plain_run_and_replays_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    client = tmp_path / "client.py"
    client.write_text(CLIENT)
    words = ("--record", "once", "--", sys.executable, client)
    with mock() as real:
        first = run("exec", "--cassette", tmp_path / "tapes", "--upstream", real, "--variants", "1", *words)
    assert first.exit_code == 0, first.output
    again = run("exec", "--cassette", tmp_path / "tapes", *words)
    assert again.exit_code == 0, again.output
    assert len(Cassette(tmp_path / "tapes").listed) == 1
    client.write_text(CLIENT.replace("helpful", "polite"))
    missed = run("exec", "--quiet", "--cassette", tmp_path / "tapes", "--", sys.executable, client)
    assert "not recorded: POST /criteria/judge: it has no recording; the nearest is judge" in missed.output
    (tmp_path / "tapes" / "bad.yaml").write_text("x")
    broken = run("exec", "--cassette", tmp_path / "tapes", *words)
    assert (broken.exit_code, "expected a mapping" in broken.output) == (2, True)


CLIENT = """
import os, urllib.request
body = b'{"criterion_id": "helpful", "output": {"role": "assistant", "content": "Yes."}}'
headers = {"authorization": "Bearer " + os.environ["OPENPIPE_API_KEY"], "content-type": "application/json"}
url = os.environ["OPENPIPE_BASE_URL"] + "/criteria/judge"
print(urllib.request.urlopen(urllib.request.Request(url, body, headers)).read())
"""
