"""`openpipe-mock serve` as a process: what it says, how it listens, what it withstands, how it ends."""

import contextlib
import gc
import json
import os
import pty
import re
import select
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from openpipe_mock import __version__
from openpipe_mock.cli.options import variable
from openpipe_mock.cli.serve import serve_command as command
from openpipe_mock.server import readyfile
from openpipe_mock.server import server as serving_module
from openpipe_mock.server.server import CannotServe, Listener, authority, bind, uvicorn_config
from openpipe_mock.service.service import Service
from tests.environments import here
from tests.inprocess import commanded
from tests.live import (
    PATIENCE,
    Live,
    clean,
    finished,
    has_taken_all,
    serving,
    until,
    until_ready,
    untimed,
    with_grace,
)
from tests.redises import Redis, redis_server, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.measured]

REQUEST = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}
KEY = {"Authorization": "Bearer op-local"}


def judge(live: Live, **settings: Any) -> httpx.Response:
    return httpx.post(f"{live.base_url}/criteria/judge", json=REQUEST, headers=KEY, **settings)


def health(live: Live, **settings: Any) -> Any:
    return httpx.get(f"{live.control_url}/health", **settings).json()


def refused(*flags: str) -> str:
    """What a server that can't start says: one line, before it ends with exit code 2."""
    done = commanded("serve", *flags)
    assert (done.exit_code, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line


def refused_outside(*flags: str) -> str:
    """The same of a process of its own."""
    done = finished([here("openpipe-mock"), "serve", *flags])
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def terminal(*flags: str) -> Iterator[tuple[Callable[[str], str], "subprocess.Popen[bytes]"]]:
    """A server whose standard error is a terminal; the function reads from it until a text has come."""
    master, slave = pty.openpty()
    arguments = [str(here("openpipe-mock")), "serve", "--port=0", *flags]
    process = subprocess.Popen(arguments, stderr=slave, env=clean({"TERM": "xterm"}))
    os.close(slave)
    seen = ""

    def until(text: str) -> str:
        nonlocal seen
        while text not in seen:
            readable, _, _ = select.select([master], [], [], PATIENCE)
            assert readable, f"{text!r} did not come; seen: {seen!r}"
            seen += os.read(master, 65536).decode()
        return seen

    try:
        yield until, process
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        os.close(master)


def plain(text: str) -> str:
    """A terminal's text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n")


# What it says


@dataclass(frozen=True, slots=True)
class Ended:
    """A mock that has answered three requests and then ended: a judgement, a path of tricks, and no HTTP."""

    live: Live
    score: float
    refusal: bytes
    lines: list[str]
    files: list[str]


@pytest.fixture(scope="module")
def ended() -> Iterator[Ended]:
    with serving() as live:
        score = judge(live).json()["score"]
        httpx.get(f"{live.base_url}/%1B[31m%0Asecond")
        with socket.create_connection(live.address) as sock:
            sock.sendall(b"nonsense\r\n\r\n")
            refusal = sock.recv(1000)
        assert "ready.json" in os.listdir(live.log.parent)
        live.stop()
        yield Ended(
            live, score, refusal, untimed(live.log.read_text()).splitlines(), os.listdir(live.log.parent)
        )


@pytest.fixture(scope="module")
def quiet() -> Iterator[Live]:
    """A quiet one that reports, with seed 3 by its flag and 7 by the variable."""
    flags = ("--quiet", "--validation=lenient", "--seed=3")
    with serving(*flags, environment={"OPENPIPE_MOCK_SEED": "7"}) as live:
        yield live


@pytest.fixture(scope="module")
def screen() -> Iterator[Callable[[str], str]]:
    """What a terminal shows of a mock that reports, once a text has come."""
    with terminal("--validation=lenient") as (until, _):
        yield until


def test_a_terminal_gets_the_lines_that_lead_the_clients_here(screen: Callable[[str], str]) -> None:
    lines = plain(screen("OPENAI_API_KEY=op-local")).splitlines()
    exports = dict(
        line.removeprefix("  export ").split("=") for line in lines if line.startswith("  export ")
    )
    assert set(exports) == {"OPENPIPE_BASE_URL", "OPENPIPE_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY"}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/v1", exports["OPENPIPE_BASE_URL"])
    assert exports["OPENAI_BASE_URL"] == exports["OPENPIPE_BASE_URL"]
    assert f"openpipe-mock {__version__} serves {exports['OPENPIPE_BASE_URL']}" in lines


def test_on_a_terminal_the_status_and_what_needs_attention_have_a_colour(
    screen: Callable[[str], str],
) -> None:
    [base_url] = re.findall("OPENPIPE_BASE_URL=(\\S+)", plain(screen("OPENAI_API_KEY=op-local")))
    httpx.post(f"{base_url}/criteria/judge", json={**REQUEST, "mood": "good"}, headers=KEY)
    shown = screen("mood")
    *_, request, warning = shown.splitlines()
    assert re.search(r" POST /api/v1/criteria/judge\x1b\[32m 200 \x1b\[0m ", request)
    assert re.search(r" \x1b\[33m.*strict would refuse", warning)


def test_without_a_terminal_the_banner_is_one_line_without_colours(ended: Ended) -> None:
    assert ended.lines[0] == (
        f"openpipe-mock {__version__} serves {ended.live.base_url} (seed 0, answers 2, validation strict)."
    )
    assert ended.lines[1].startswith("POST ")


def test_a_request_is_one_line_with_its_status_and_duration(ended: Ended) -> None:
    line = rf"POST /api/v1/criteria/judge 200  helpful@v1 {ended.score}  \d+\.\d ms  default-1"
    assert re.fullmatch(line, ended.lines[1])


def test_a_path_can_play_no_tricks_on_the_terminal(ended: Ended) -> None:
    assert ended.lines[2].startswith("GET /api/v1/\ufffd[31m\ufffdsecond 404 ")


def test_what_is_no_http_gets_a_line_in_the_terminal(ended: Ended) -> None:
    assert ended.refusal.startswith(b"HTTP/1.1 400")
    [line] = ended.lines[3:]
    assert "Invalid HTTP request" in line


def warned(live: Live) -> list[str]:
    """The lines of a mock that reports, once it was asked for what it warns of."""
    before = live.log.stat().st_size
    answer = httpx.post(f"{live.base_url}/criteria/judge", json={**REQUEST, "mood": "good"}, headers=KEY)
    assert answer.status_code == 200
    until(lambda: live.log.read_bytes()[before:].endswith(b"\n"))
    return untimed(live.log.read_text()).splitlines()


def test_quiet_says_nothing(quiet: Live) -> None:
    """But for what it warns of, and `stopped` shows that it says nothing in the end either."""
    judge(quiet)
    assert all(line.startswith("warning: ") for line in warned(quiet))


def test_report_mode_warns_of_what_strict_would_refuse_even_when_quiet(quiet: Live) -> None:
    assert re.fullmatch(r"warning: .*strict would refuse.*mood.*", warned(quiet)[-1])


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
def test_an_open_host_is_said_in_the_banner(host: str) -> None:
    with serving(f"--host={host}") as live:
        assert health(live)["status"] == "ok"
        live.stop()
        said = live.log.read_text()
    assert ("It listens on 0.0.0.0: other machines can reach it." in said) == (host == "0.0.0.0")
    assert ("other machines" in said) == (host == "0.0.0.0")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "[::1]", "::"])
def test_the_announced_url_leads_to_the_mock_whatever_the_host(host: str) -> None:
    listener = Listener(host, 0)
    with bind(listener) as sock:
        url = httpx.URL(f"http://{authority(sock, listener)}")
        with socket.create_connection((url.host, url.port or 0), PATIENCE) as client:
            accepted, address = sock.accept()
            with accepted:
                assert address[:2] == client.getsockname()[:2]


def test_help_names_each_flag_s_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = commanded("serve", "--help").stdout
    assert [parameter.envvar for parameter in command.params if str(parameter.envvar) not in text] == []


# How it announces itself


def test_the_ready_file_says_where_the_mock_is_and_who(live: Live) -> None:
    facts = json.loads((live.log.parent / "ready.json").read_bytes())
    origin = "http://{}:{}".format(*live.address)
    assert facts == {
        "base_url": f"{origin}/api/v1",
        "control_url": f"{origin}/_mock",
        "pid": live.process.pid,
    }


def test_the_ready_file_goes_when_the_mock_ends(ended: Ended) -> None:
    assert ended.files == ["log"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [("no/ready.json", "there is no folder"), ("notes.txt", "is no ready file")],
)
def test_a_path_that_cannot_be_a_ready_file_is_refused_in_one_line(
    tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    line = refused("--port=0", f"--ready-file={tmp_path}/{name}")
    assert "--ready-file" in line
    assert problem in line
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_start_that_fails_leaves_the_ready_file_of_the_running_mock(live: Live) -> None:
    ready = live.log.parent / "ready.json"
    before = ready.read_bytes()
    refused(f"--port={live.address[1]}", f"--ready-file={ready}")
    assert ready.read_bytes() == before


def test_a_mock_that_ends_leaves_the_ready_file_that_another_has_written_since(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    readyfile.write_ready_file(ready, "http://127.0.0.1:1")
    facts = {**json.loads(ready.read_bytes()), "pid": 1}
    ready.write_text(json.dumps(facts))
    readyfile.remove(ready)
    assert json.loads(ready.read_bytes()) == facts


def test_the_ready_file_of_a_killed_mock_is_replaced(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    readyfile.write_ready_file(ready, "http://127.0.0.1:1")
    left = {**json.loads(ready.read_bytes()), "pid": finished_process()}
    ready.write_text(json.dumps(left))
    process = subprocess.Popen(
        [here("openpipe-mock"), "serve", "--port=0", "--quiet", f"--ready-file={ready}"], env=clean()
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while json.loads(ready.read_bytes()) == left and time.monotonic() < deadline:
            time.sleep(0.02)  # each look finds a whole file, the old one or the new one
        assert json.loads(ready.read_bytes())["pid"] == process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE)


def finished_process() -> int:
    """The number of a process that is there no more."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_a_mock_that_serves_collects_its_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its start doesn't."""

    def noting(*_: object) -> None:
        collecting.append(gc.isenabled())
        raise CannotServe("enough")

    collecting: list[bool] = []
    for name in ("_begin", "bind"):
        monkeypatch.setattr(serving_module, name, noting)
        assert refused("--port=0") == "openpipe-mock: enough"
        monkeypatch.undo()
    assert collecting == [False, True]


def test_the_fast_loop_and_parser_are_in_use() -> None:
    config = uvicorn_config(Service(), Listener())
    assert config.get_loop_factory().__module__.partition(".")[0] == "uvloop"
    assert config.http_protocol_class.__name__ == "DroppingProtocol"
    assert issubclass(config.http_protocol_class, HttpToolsProtocol)


def test_an_idle_connection_outlives_the_clients_patience() -> None:
    """httpx keeps connections for 5 s: a server that closed them then would meet its next request."""
    assert uvicorn_config(Service(), Listener()).timeout_keep_alive > 30


def test_an_answer_has_no_other_headers_than_those_of_its_body(live: Live) -> None:
    assert set(judge(live).headers) == {"content-type", "content-length", "x-request-id"}


def test_a_page_of_another_site_cannot_reset_the_mock(live: Live) -> None:
    for origin, status in (("https://evil.example", 403), ("http://localhost:3000", 200)):
        reply = httpx.post(f"{live.control_url}/reset", headers={"Origin": origin})
        assert reply.status_code == status
    assert httpx.post(f"{live.control_url}/reset").status_code == 200


def test_a_port_taken_by_a_mock_over_https_is_recognised(secure: Live) -> None:
    line = refused(f"--port={secure.address[1]}")
    assert "an openpipe-mock" in line
    assert "(seed 5) already runs" in line


def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("localhost")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    plain = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(plain.private_bytes(serialization.Encoding.PEM, form, locked))
    line = refused_outside("--port=0", f"--ssl-certfile={certificate}", f"--ssl-keyfile={key}")
    assert "without a pass phrase" in line


def test_health_needs_no_key(live: Live) -> None:
    assert health(live) == {
        "status": "ok",
        "name": "openpipe-mock",
        "version": __version__,
        "seed": 0,
        "answers": 2,
        "validation": "strict",
    }


# Each flag's variable


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A certificate for this machine, its key and the authority that vouches for it."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    files = {name: folder / f"{name}.pem" for name in ("authority", "certificate", "key", "both")}
    authority.cert_pem.write_to_path(files["authority"])
    issued.cert_chain_pems[0].write_to_path(files["certificate"])
    issued.private_key_pem.write_to_path(files["key"])
    issued.private_key_and_cert_chain_pem.write_to_path(files["both"])
    return files


def trusting(certificate: dict[str, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate["authority"])


@pytest.fixture(scope="module")
def secure(certificate: dict[str, Path]) -> Iterator[Live]:
    """A mock over https, with certificate and key in one file."""
    with serving("--quiet", "--seed=5", f"--ssl-certfile={certificate['both']}") as live:
        yield live


@pytest.fixture(scope="module")
def memory() -> Iterator[Redis]:
    with redis_server() as redis:
        yield redis


@pytest.fixture(scope="module")
def steered(
    certificate: dict[str, Path], memory: Redis, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A mock steered by variables alone: for each of them what is seen of it, and what should be."""
    ready, port = tmp_path_factory.mktemp("ready") / "ready.json", free_port()
    config = ready.with_name("config.yaml")
    config.write_text("seed: 5\nmodels: {known: ['openai:x', gpt-4o]}\n")
    values = {
        "host": "localhost",
        "config": config,
        "port": port,
        "answers": 1,
        "seed": 7,
        "validation": "lenient",
        "ids": "random",
        "clock": "real",
        "repeat": "vary",
        "max-body-bytes": 300,
        "ready-file": ready,
        "journal": ready.with_name("journal"),
        "ssl-certfile": certificate["certificate"],
        "ssl-keyfile": certificate["key"],
        "control-token": "t0ken",
        "allow-control-from": "192.0.2.1 10.0.0.0/8",
        "allowed-host": "mock.test other.test",
        "workers": 2,
        "state": memory.url,
        "quiet": 1,
        "log-format": "json",
    }
    environment = {variable(flag): str(value) for flag, value in values.items()}
    log = ready.with_suffix(".log")
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [str(here("openpipe-mock")), "serve"], stderr=stderr, env=clean(environment)
        )
    try:
        announced = until_ready(process, ready, log)
        with httpx.Client(verify=trusting(certificate), headers=KEY) as client:
            facts = client.get(f"{announced['control_url']}/health").json()
            large = client.post(f"{announced['base_url']}/criteria/judge", content=b" " * 301)
            chat = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Count to 3"}]}
            completions = f"{announced['base_url']}/chat/completions"
            first, second = (client.post(completions, json=chat).json() for _ in range(2))
            models = client.get(f"{announced['base_url']}/models").json()["data"]
            looks: dict[str, dict[str, str]] = {
                "stranger": {"X-Forwarded-For": "203.0.113.9"},
                "token": {"X-Forwarded-For": "203.0.113.9", "X-Mock-Token": "t0ken"},
                "network": {"X-Forwarded-For": "10.1.2.3"},
                "single": {"X-Forwarded-For": "192.0.2.1"},
                "misnamed": {"Host": "unknown.test"},
                "host": {"Host": "mock.test"},
                "second": {"Host": "other.test"},
            }
            status = f"{announced['control_url']}/status"
            admitted = {name: client.get(status, headers=sent).status_code for name, sent in looks.items()}
        workers = workers_of(process.pid)
    finally:
        process.terminate()
        process.wait()
    url = httpx.URL(announced["base_url"])
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    texts = {answer["choices"][0]["message"]["content"] for answer in (first, second)}
    return {
        "host": (url.host, "localhost"),
        "port": (url.port, port),
        "answers": ({"answers 1 is gone" in line["message"] for line in lines}, {True}),
        "seed": (facts["seed"], 7),
        "config": ([model["id"] for model in models], ["openai:x", "gpt-4o"]),
        "validation": (facts["validation"], "lenient"),
        "ids": (len({first["id"], second["id"]}), 2),
        "clock": (abs(first["created"] - time.time()) < 60, True),
        "repeat": (len(texts), 2),
        "max_body_bytes": (large.status_code, 413),
        "ready_file": (announced["pid"], process.pid),
        "ssl_certfile": (url.scheme, "https"),
        "ssl_keyfile": (facts["status"], "ok"),
        "control_token": ((admitted["stranger"], admitted["token"]), (403, 200)),
        "allow_control_from": ((admitted["network"], admitted["single"]), (200, 200)),
        "allowed_host": ([admitted[name] for name in ("misnamed", "host", "second")], [403, 200, 200]),
        "workers": (len(workers), 2),
        "state": (b"openpipe-mock:session:default:journal" in memory.contents(), True),
        "quiet": ({line["level"] for line in lines}, {"warning"}),
        "log_format": (len(lines) > 0, True),
        "journal": (len(ready.with_name("journal").read_text().splitlines()) > 3, True),
    }


APART: dict[str, tuple[str, Any]] = {
    "unscripted": ("refuse", "refuse"),
    "max_kept_bytes": ("1000", 1000),
    "cassette": ("tapes", Path("tapes")),
    "on_miss": ("upstream", "upstream"),
    "on_end": ("fail", "fail"),
    "timing": ("0.5", 0.5),
    "upstream": ("http://127.0.0.1:9", "http://127.0.0.1:9"),
    "key_env": ("MY_KEY", "MY_KEY"),
    "max_requests": ("7", 7),
    "rate": ("2", 2.0),
    "timeout": ("3", 3.0),
    "ca": ("ca.pem", Path("ca.pem")),
}
"""Flags with which the mock above would answer nothing else: the text of the variable, and what it means."""


@pytest.mark.parametrize("name", APART)
def test_each_flag_about_other_answers_is_read_from_its_variable(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [parameter] = [each for each in command.params if each.name == name]
    assert parameter.envvar == variable(max(parameter.opts, key=len))
    text, expected = APART[name]
    monkeypatch.setenv(str(parameter.envvar), text)
    assert command.make_context("serve", []).params[name] == expected


@pytest.mark.parametrize(
    "parameter", [each for each in command.params if each.name not in APART], ids=lambda each: each.name
)
def test_each_flag_can_be_set_by_its_variable(parameter: click.Parameter, steered: dict[str, Any]) -> None:
    assert parameter.envvar == variable(max(parameter.opts, key=len))
    seen, expected = steered[parameter.name or ""]
    assert seen == expected


def test_a_flag_wins_over_its_variable(quiet: Live) -> None:
    assert health(quiet)["seed"] == 3


# https


def test_https_with_certificate_and_key_in_one_file(secure: Live, certificate: dict[str, Path]) -> None:
    assert secure.base_url.startswith("https://")
    assert judge(secure, verify=trusting(certificate)).status_code == 200


@pytest.mark.parametrize(
    ("certfile", "keyfile"),
    [("missing", "key"), ("garbage", "key"), ("certificate", "garbage"), ("certificate", "foreign")],
)
def test_an_unusable_certificate_is_refused_in_one_line(
    certfile: str, keyfile: str, certificate: dict[str, Path], tmp_path: Path
) -> None:
    files = {**certificate, "missing": tmp_path / "missing", "garbage": tmp_path / "garbage"}
    files["foreign"] = tmp_path / "foreign.pem"
    files["garbage"].write_text("no certificate")
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(files["foreign"])
    line = refused("--port=0", f"--ssl-certfile={files[certfile]}", f"--ssl-keyfile={files[keyfile]}")
    why = "No such file or directory" if certfile == "missing" else "this is no certificate with its key"
    names = f"{files[certfile]} or {files[keyfile]}"
    assert line.startswith(
        f"openpipe-mock: cannot use {names}: {why}; --ssl-certfile and --ssl-keyfile want "
    )


def test_a_key_without_a_certificate_is_a_usage_error(certificate: dict[str, Path]) -> None:
    done = commanded("serve", f"--ssl-keyfile={certificate['key']}")
    assert done.exit_code == 2
    assert "--ssl-keyfile needs --ssl-certfile" in done.stderr


# Where it can't listen


def test_a_port_that_another_mock_holds_is_refused_by_name(quiet: Live) -> None:
    port = quiet.address[1]
    line = refused(f"--port={port}")
    assert f"port {port} is taken: an openpipe-mock {__version__} (seed 3) already runs" in line
    assert "--port 0" in line


def test_a_port_that_another_program_holds_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        line = refused_outside(f"--port={sock.getsockname()[1]}")
    assert "another program listens there" in line


@pytest.mark.parametrize("host", ["no.such.machine.invalid", "192.0.2.1", "::zz", "", "a..b", "a" * 70])
def test_a_host_that_is_none_of_ours_is_refused_in_one_line(host: str) -> None:
    assert f"--host {host}" in refused("--port=0", f"--host={host}")


def test_a_host_that_can_t_be_listened_on_is_refused_in_one_line() -> None:
    assert "cannot listen on fe80::1 port 0: " in refused("--port=0", "--host=fe80::1")


@pytest.mark.parametrize("flag", ["--port=65536", "--port=x", "--validation=loose", "--max-body-bytes=0"])
def test_an_impossible_value_is_a_usage_error(flag: str) -> None:
    done = commanded("serve", flag)
    assert done.exit_code == 2
    assert flag.partition("=")[0] in done.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("flags", [(), ("--workers=2",)])
def test_closed_streams_keep_no_mock_from_serving(closed: str, flags: tuple[str, ...]) -> None:
    script = f'exec "$0" "$@" {closed}'
    with serving(*flags, command=["sh", "-c", script, here("openpipe-mock")]) as live:
        assert judge(live).status_code == 200
        folder = Path(f"/proc/{live.process.pid}/fd")
        assert "socket:" not in {os.readlink(folder / str(number))[:7] for number in range(3)}


def test_a_start_that_fails_with_closed_streams_has_its_exit_code() -> None:
    done = finished(["sh", "-c", f"{here('openpipe-mock')} serve --host=nowhere.invalid --port=0 2>&-"])
    assert (done.returncode, done.stdout) == (2, "")


# How it ends


def head(*lines: str) -> bytes:
    start = ("POST /api/v1/criteria/judge HTTP/1.1", "Host: x", "Authorization: Bearer x")
    return "\r\n".join([*start, "Content-Type: application/json", *lines, "", ""]).encode()


def stopped(live: Live, name: signal.Signals, *begun: bytes) -> None:
    """Send a signal to a mock while these are open: a connection for each of them, on which it was sent."""
    with contextlib.ExitStack() as stack:
        for sent in begun:
            stack.enter_context(socket.create_connection(live.address)).sendall(sent)
        until(lambda: has_taken_all(live))
        code, _ = live.stop(name)
        assert (code, live.log.read_text()) == (0, "")


HALF = head("Content-Length: 100") + b"{"
ALIVE = b"GET /_mock/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_connections_without_a_request_do_not_keep_it_alive(name: signal.Signals) -> None:
    """Neither a new one nor half a head nor one kept alive; what is under way would have hours here."""
    with serving("--quiet", command=with_grace(3600)) as live:
        stopped(live, name, b"", HALF[:20], ALIVE)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_half_a_request_does_not_keep_it_alive(name: signal.Signals) -> None:
    with serving("--quiet") as live:
        stopped(live, name, HALF)


def test_the_port_is_free_again_at_once() -> None:
    with serving("--quiet") as live:
        judge(live)
        live.stop()
        with serving("--quiet", f"--port={live.address[1]}") as again:
            assert again.address == live.address


# What it withstands


def exchange(live: Live, *pieces: bytes) -> bytes:
    """Send pieces until an answer begins; the answer, up to the end of the connection or its first pause."""
    with socket.create_connection(live.address, timeout=PATIENCE) as sock:
        for piece in pieces:
            if select.select([sock], [], [], 0)[0]:
                break
            try:
                sock.sendall(piece)
            except ConnectionError:
                break
        received = sock.recv(65536)
        with contextlib.suppress(OSError):
            sock.settimeout(0.2)
            while more := sock.recv(65536):
                received += more
        return received


def test_a_body_that_announces_too_much_is_refused_before_it_comes(live: Live) -> None:
    received = exchange(live, head("Content-Length: 1000000000") + b'{"criterion_id": ')
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"PAYLOAD_TOO_LARGE"' in received


def test_an_endless_body_is_refused_at_the_limit(live: Live) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    received = exchange(live, head("Transfer-Encoding: chunked"), *([chunk] * 1000))
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"PAYLOAD_TOO_LARGE"' in received


def test_a_client_that_sends_too_much_reads_the_refusal(live: Live) -> None:
    """Instead of a broken connection, although the mock leaves most of the body unread."""
    output = {"role": "assistant", "content": "x" * 30_000_000}
    answer = httpx.post(f"{live.base_url}/criteria/judge", json={**REQUEST, "output": output}, headers=KEY)
    assert answer.status_code == 413
    assert answer.json()["code"] == "PAYLOAD_TOO_LARGE"


def test_a_mock_goes_on_after_refused_and_broken_requests(live: Live) -> None:
    exchange(live, head("Content-Length: 1000000000"))
    exchange(live, b"no http at all\r\n\r\n")
    with socket.create_connection(live.address) as sock:
        sock.sendall(head("Content-Length: 100") + b"{")
    assert judge(live).status_code == 200


def preflight(live: Live, origin: str) -> httpx.Response:
    asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    headers = {**asking, "Access-Control-Request-Headers": "authorization,content-type,op-tags"}
    return httpx.options(f"{live.base_url}/criteria/judge", headers=headers)


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "https://localhost", "http://app.localhost:5173", "http://127.0.0.1:8080"],
)
def test_pages_of_this_machine_may_call_it(live: Live, origin: str) -> None:
    allowed = preflight(live, origin)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == origin
    assert {"authorization", "content-type", "op-tags"} <= {
        name.strip().lower() for name in allowed.headers["access-control-allow-headers"].split(",")
    }
    answer = httpx.post(f"{live.base_url}/criteria/judge", json=REQUEST, headers={**KEY, "Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost.evil.example", "http://evil.example:3000/localhost", "null"],
)
def test_pages_of_other_machines_may_not(live: Live, origin: str) -> None:
    assert "access-control-allow-origin" not in preflight(live, origin).headers
    answer = httpx.post(f"{live.base_url}/criteria/judge", json=REQUEST, headers={**KEY, "Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


# The page at /


def test_the_page_is_served_under_a_strict_policy(live: Live) -> None:
    answer = httpx.get(live.origin)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["\"><script>alert('x')</script>", "a&b<c>", "$facts${base_url}", "x/../y", "[", "x:y", ""]
)
def test_a_hostile_host_header_stays_text(live: Live, host: str) -> None:
    received = exchange(live, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert received.split()[1] in (b"400", b"403")
    assert b"<script" not in received
    assert b"b<c>" not in received


def test_a_folder_that_cannot_be_written_to_or_a_folder_itself_is_no_ready_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(readyfile.UnfitReadyFile, match="it is a folder"):
        readyfile.check_ready_file(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(readyfile.UnfitReadyFile, match="can't be written to"):
        readyfile.check_ready_file(tmp_path / "ready.json")


def test_a_ready_file_that_cannot_be_put_in_its_place_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("busy")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="busy"):
        readyfile.write_ready_file(tmp_path / "ready.json", "http://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []
