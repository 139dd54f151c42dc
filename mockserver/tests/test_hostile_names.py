"""Names with control characters steer no terminal and no page, whoever chooses them."""

import html
import json
import sys
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from click.testing import CliRunner

from openpipe_mock.cli.main import main
from openpipe_mock.recording.recording import Recording, to_yaml
from tests.reference.http import Event, Receive, Send
from tests.threads import served

HOSTILE = "a\x1b[31mb\x9b32mc\u202ed\re\x07f\u2066g\x85h\u2028i"
NAME = f"{HOSTILE}\nj"
SIGNS = sorted(set(HOSTILE) - set("abcdefghi[31m2"))


def steering(text: str) -> list[str]:
    return [repr(sign) for sign in SIGNS if sign in text]


def run(*words: str) -> str:
    """All that a command prints."""
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.output
    return done.output


def cassette(folder: Path) -> str:
    recording = Recording("POST", "/chat/completions", json.dumps({"model": NAME}).encode(), {}, "none")
    found = recording.answered(200, [("content-type", "application/json")], [])
    (folder / f"chat-{NAME}.yaml").write_bytes(to_yaml(found))
    return str(folder)


def test_names_of_recordings(tmp_path: Path) -> None:
    folder = cassette(tmp_path)
    listed, checked = run("cassette", "ls", folder), run("cassette", "check", folder)
    assert listed.count("\n") == 1
    assert steering(listed + checked + run("cassette", "show", folder, f"chat-{NAME}.yaml")) == []


@pytest.mark.parametrize(
    "words",
    [
        ("config", "check", NAME),
        ("config", "check", "{folder}/wrong.yaml"),
        ("cassette", "ls", NAME),
        ("cassette", "show", "{folder}", NAME),
        ("explain", NAME),
        ("generate", NAME),
        ("exec", "--variants", NAME, "--", "true"),
        ("exec", "--report", NAME, "--", "true"),
        ("contract", NAME),
        ("contract", "http://127.0.0.1:9", "--known", NAME),
        ("serve", "--state", f"redis://{NAME}"),
        ("serve", "--config", NAME),
        ("record", "--cassette", "{folder}", "--upstream", NAME),
        ("schemas", "convert", "{folder}/wrong.yaml"),
        (NAME,),
        (f"--{NAME}",),
    ],
    ids=lambda words: " ".join(words).replace(NAME, "NAME"),
)
def test_words_of_a_command_line(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(json.dumps({NAME: 1, "seed": NAME}))
    assert steering(run(*(word.replace("{folder}", str(tmp_path)) for word in words))) == []


async def hostile(scope: Event, receive: Receive, send: Send) -> None:
    """A server that answers with nothing but such names."""
    while (await receive()).get("more_body"):
        pass
    body = json.dumps({"score": NAME, "id": NAME, NAME: NAME, "choices": NAME}, ensure_ascii=False).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": body})


@pytest.mark.slow
def test_reports_of_contract(tmp_path: Path) -> None:
    files = {kind: tmp_path / kind for kind in ("json", "junit", "html", "summary", "write-known")}
    flags = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    with served(hostile) as (host, port):
        words = ("--max-requests", "20", "--model", NAME, "--criterion", NAME, "--verbose", *flags)
        told = run("contract", f"http://{host}:{port}/api/v1", *words)
    written = {kind: path.read_text(encoding="utf-8") for kind, path in files.items()}
    assert [where for where, text in {**written, "terminal": told}.items() if steering(text)] == []
    assert [where for where, text in {**written, "terminal": told}.items() if "[31mb" not in text] == []
    fromstring(written["junit"])


@pytest.mark.slow
def test_reports_of_exec(tmp_path: Path) -> None:
    files = [tmp_path / f"a.{kind}" for kind in ("json", "xml", "html")]
    flags = [word for path in files for word in ("--report", str(path))]
    told = run("exec", "--name", NAME, *flags, "--", sys.executable, "-c", "pass", NAME)
    written = [path.read_text(encoding="utf-8") for path in files]
    assert [steering(text) for text in (*written, told)] == [[]] * 4
    assert json.loads(written[0])["name"] == NAME
    fromstring(written[1])
    assert html.escape("a\N{REPLACEMENT CHARACTER}[31mb") in written[2]
