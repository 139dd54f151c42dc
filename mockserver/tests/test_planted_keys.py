"""Keys stand in the environment, a config, requests and answers, and in nothing that a command writes."""

import html
import json
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from click.testing import CliRunner

from openpipe_mock.cli.main import main
from openpipe_mock.core.eventtexts import joined_texts
from tests.live import serving
from tests.redises import redis_server
from tests.reference.http import Event, Receive, Send
from tests.threads import served

pytestmark = pytest.mark.slow

Json = Any

CLIENTS, CONFIGS, VARIABLES, OTHERS, TOKENS, UPSTREAMS = KEYS = (
    "kE/y+of.the-Client~42",
    'known."key"-of/the+config',
    "Key_of+a/variable=1234",
    "of-another-service:77",
    "lets-in/who+sends-it",
    "paid&for/Upstream+1",
)
ENVIRONMENT = {
    "OPENPIPE_API_KEY": VARIABLES,
    "BILLING_TOKEN": OTHERS,
    "OPENPIPE_MOCK_CONTROL_TOKEN": TOKENS,
    "UPSTREAM": UPSTREAMS,
}
MANY = "".join(f"{key} " for key in KEYS)
CONFIG: Json = {
    "auth": {"keys": [CLIENTS, CONFIGS, VARIABLES]},
    "completions": [
        {"when": {"last_user": {"contains": "tell"}}, "text": MANY},
        {"text": "nothing"},
    ],
}
CHAT, JUDGE = "/chat/completions", "/criteria/judge"


def spellings(key: str) -> Iterator[str]:
    yield from (
        key,
        json.dumps(key)[1:-1],
        html.escape(key),
        quote(key, safe=""),
        quote(key, safe="").lower(),
    )
    for before in ("", "a", "ab"):
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(f"{before}{key}".encode()).decode().rstrip("=")[4:-2]


def strings(value: Json) -> Iterator[str]:
    """All texts in a JSON value, also in JSON that stands in texts."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    for each in value if isinstance(value, list) else ():
        yield from strings(each)
    if isinstance(value, str):
        yield value
        if value[:1] in ("{", "["):
            yield from strings(parsed(value))


def parsed(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return None


def found(written: Mapping[str, str], keys: Iterable[str]) -> list[str]:
    """Where a key stands in what was written, in whatever spelling, or over several pieces of a stream."""
    return [
        f"{where}: {each}"
        for where, text in written.items()
        for key in keys
        for each in dict.fromkeys(spellings(key))
        if each in _everything(text)
    ]


@cache
def _everything(written: str) -> str:
    texts = [written, *strings(parsed(written))]
    streams = (joined_texts(text.encode("utf-8", "replace")) for text in texts if "data:" in text)
    return "\n".join([*texts, *chain(*streams)])


def asking(key: str, content: str = "tell", **more: Json) -> Json:
    """A chat request that holds a key in every way."""
    coded = [key, quote(key, safe=""), b64encode(f"u:{key}".encode()).decode(), json.dumps({"a": key})]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"k": coded})}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": " ".join(coded)},
        {"role": "user", "content": content},
    ]
    return {"model": "gpt-4o", "messages": messages, "user": key, **more}


def requests() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Path, body and headers of requests that repeat each key wherever one can stand."""
    for key in KEYS:
        tags = {"op-tags": json.dumps({"k": key}), "op-log-request": "true", "x-note": quote(key, safe="")}
        for body in (
            asking(key),
            asking(key, stream=True),
            asking(key, "other", model=f"openpipe:mock-echo-{key}"),
            asking(key, tool_choice=key, n=key),
            {"model": "openpipe:mock-echo", "messages": [{"role": "user", "content": key}], "stream": True},
        ):
            yield CHAT, json.dumps(body).encode(), tags
        yield JUDGE, json.dumps({"criterion_id": key, "output": {"role": key, "content": key}}).encode(), {}
        yield JUDGE, b'{"criterion_id": "' + key.encode(), {"op-criteria": json.dumps([key])}
        yield f"{JUDGE}?q={quote(key, safe='')}", b"{}", {}
        yield f"/{quote(key, safe='')}", b"{}", {}
        report = {"reqPayload": asking(key), "respPayload": {"k": key}, "tags": {"k": key}, "statusCode": 200}
        yield "/report", json.dumps(report).encode(), {}


def config(folder: Path) -> str:
    file = folder / "mock.yaml"
    file.write_text(json.dumps(CONFIG))
    return str(file)


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "with Redis"])
def test_serve_writes_no_key(shared: bool, tmp_path: Path) -> None:
    with redis_server() if shared else nullcontext() as redis:
        told = served_to_all(tmp_path, f"--state={redis.url}" if redis else "--seed=0")
        told |= {"redis": redis.contents().decode()} if redis else {}
    assert len(json.loads(told["requests?limit=500"])["requests"]) > 100
    assert told["log"].count("\n") > 100
    assert all(told.values())
    assert found(told, set(KEYS) - {UPSTREAMS}) == []


def served_to_all(folder: Path, *flags: str) -> dict[str, str]:
    """All that a mock wrote to which every request was sent."""
    with serving(f"--config={config(folder)}", *flags, environment=ENVIRONMENT) as live:
        with httpx.Client(base_url=live.origin, trust_env=False) as client:
            statuses, told = set(), {"errors": ""}
            for path, body, headers in requests():
                for key in (CLIENTS, VARIABLES):
                    bearer = {"authorization": f"Bearer {key}", "content-type": "application/json"}
                    got = client.post(f"/api/v1{path}", content=body, headers={**bearer, **headers})
                    statuses.add(got.status_code)
                    told["errors"] += got.text if got.status_code >= 400 else ""
            latest = client.get("/api/v1/local-testing-only-get-latest-logged-call", headers=bearer)
            told |= {"latest": latest.text, "page": client.get("/").text}
            for path in ("requests?limit=500", "status", "sessions", "verify", "openapi.json"):
                told[path] = client.get(f"/_mock/{path}").text
        told["log"] = live.log.read_text()
    assert statuses == {200, 400, 404}
    return told


async def talkative(scope: Event, receive: Receive, send: Send) -> None:
    """A server that tells every key, plain and in pieces."""
    sent = b""
    while (message := await receive())["type"] == "http.request":
        sent += message.get("body", b"")
        if not message.get("more_body"):
            break
    body = parsed(sent.decode("utf-8", "replace")) or {}
    choices = [{"index": 0, "delta": {"content": MANY[at : at + 3]}} for at in range(0, len(MANY), 3)]
    whole = {"id": MANY, "score": 0.5, "explanation": MANY, "echo": [quote(key, safe="") for key in KEYS]}
    pieces = [json.dumps(whole).encode()]
    media = b"application/json"
    if isinstance(body, dict) and body.get("stream"):
        media = b"text/event-stream"
        pieces = [f"data: {json.dumps({'choices': [each]})}\n\n".encode() for each in choices]
    headers = [(b"content-type", media), (b"x-told", MANY.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def files(folder: Path) -> dict[str, str]:
    return {
        str(path): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "mock.yaml"
    }


def run(*words: str, environment: Mapping[str, str] = ENVIRONMENT) -> dict[str, str]:
    """What a command prints, in this process."""
    done = CliRunner().invoke(main, words, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return {f"{words[0]} output": done.stdout, f"{words[0]} errors": done.stderr}


def test_contract_writes_no_key(tmp_path: Path) -> None:
    with served(talkative) as (host, port):
        reports = [
            word
            for kind in ("json", "junit", "html", "summary")
            for word in (f"--{kind}", str(tmp_path / kind))
        ]
        words = (
            "--max-requests",
            "60",
            "--api-key",
            CLIENTS,
            "--model",
            f"openai:{OTHERS}",
            "--criterion",
            CLIENTS,
            "--verbose",
        )
        told = run("contract", f"http://{host}:{port}/api/v1", *words, *reports)
    written = {**told, **files(tmp_path)}
    assert len(written) == 6
    assert all(written.values())
    assert found(written, {CLIENTS, VARIABLES, OTHERS, TOKENS}) == []


def test_exec_writes_no_key(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ask = (
        "import os, sys, urllib.request as u; url, key = (os.environ[n] for n in ('OPENPIPE_BASE_URL',"
        " 'OPENPIPE_API_KEY'));"
        " head = {'authorization': f'Bearer {key}', 'content-type': 'application/json'};"
        " ask = lambda body: u.urlopen(u.Request(url + '/chat/completions', body, head)).read();"
        " body = sys.argv[1].encode(); said = ask(body); print(sys.argv[1:], file=sys.stderr) if"
        " os.environ['OPENPIPE_MOCK_VARIANT'] else None; sys.exit(bool(os.environ['OPENPIPE_MOCK_VARIANT']))"
    )
    body = {**asking(VARIABLES), "metadata": {"keys": [CONFIGS, OTHERS, TOKENS, CLIENTS]}, "n": 1}
    reports = [word for kind in ("json", "xml", "html") for word in ("--report", str(tmp_path / f"a.{kind}"))]
    command = ("--", sys.executable, "-c", ask, json.dumps(body), f"--token={OTHERS}", TOKENS, CONFIGS)
    words = (
        f"--config={config(tmp_path)}",
        "--variants=no-done,more-members",
        f"--name=for {OTHERS}",
        *reports,
    )
    told = run("exec", *words, *command)
    written = {**told, **files(tmp_path)}
    assert len(written) == 5
    assert '"last_exchange": {' in written[str(tmp_path / "a.json")]
    assert found(written, set(KEYS) - {UPSTREAMS}) == []


def test_record_and_cassette_write_no_key(tmp_path: Path) -> None:
    cassette = str(tmp_path / "cassette")
    with served(talkative) as (host, port):
        upstream = (f"--upstream=http://{host}:{port}", "--key-env=UPSTREAM", f"--cassette={cassette}")
        with serving(
            f"--config={config(tmp_path)}", *upstream, name="record", environment=ENVIRONMENT
        ) as live:
            for path, body, headers in islice(requests(), 0, None, 7):
                bearer = {"authorization": f"Bearer {CLIENTS}", "content-type": "application/json"}
                httpx.post(live.base_url + path, content=body, headers={**bearer, **headers}, trust_env=False)
            journal = httpx.get(f"{live.control_url}/requests?limit=500", trust_env=False).text
            told = {"journal": journal, "log": live.log.read_text()}
    told |= run("cassette", "ls", cassette)
    names = sorted(path.name for path in Path(cassette).glob("*.yaml"))
    assert len(names) > 5
    for name in names[:3]:
        told |= {f"{name} {where}": text for where, text in run("cassette", "show", cassette, name).items()}
    told |= {f"check {where}": text for where, text in run("cassette", "check", cassette).items()}
    assert found({**told, **files(tmp_path)}, KEYS) == []


@pytest.mark.parametrize(
    "words",
    [
        ("config", "check", "{folder}/mock.yaml", "--freeze", "{folder}/frozen"),
        ("config", "check", "{folder}/wrong.yaml"),
        ("config", "check", f"/tmp/no/{OTHERS}"),
        ("config", "example"),
        ("config", "schema"),
        ("schemas", "convert", "{folder}/wrong.yaml"),
        ("explain", OTHERS),
        ("generate", "judge"),
        ("generate", OTHERS),
        ("serve", "--seed", OTHERS),
        (OTHERS,),
    ],
    ids=" ".join,
)
def test_what_commands_say_holds_no_key(words: tuple[str, ...], tmp_path: Path) -> None:
    config(tmp_path)
    wrong = {
        "auth": CONFIGS,
        OTHERS: TOKENS,
        "completions": [{"text": "a", "when": {"model": VARIABLES, OTHERS: 1}}],
    }
    (tmp_path / "wrong.yaml").write_text(json.dumps(wrong))
    told = run(*(word.replace("{folder}", str(tmp_path)) for word in words))
    (tmp_path / "wrong.yaml").unlink()
    assert any(told.values())
    assert found({**told, **files(tmp_path)}, set(KEYS) - {UPSTREAMS}) == []
