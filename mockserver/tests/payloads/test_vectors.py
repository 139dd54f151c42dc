"""The vectors for other languages: the same when made anew, true, and taken by the code on their page."""

import base64
import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock import __version__
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.resources import folder
from openpipe_mock.core.seeded import ANSWERS
from openpipe_mock.openapi.spec import Checker, contract
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS
from openpipe_mock.payloads.vectors import ANSWERED, REFUSED, files, write_vectors
from tests.environments import ROOT
from tests.live import Live, run
from tests.markdown import blocks

Json = Any

FOLDER = folder("schemas") / "vectors"
PAGE = (ROOT / "docs" / "vectors.md").read_text("utf-8")
BODIES = ("requests-judge", "requests-chat", "answers", "errors")


@cache
def lines(name: str) -> list[Json]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()]


def checker(name: str, line: Json) -> Checker:
    components = {**ANSWERED, **REFUSED}
    prefix = ".".join(line["id"].split(".")[:2])
    return contract().checker(
        REQUEST_COMPONENTS[line["endpoint"]] if name.startswith("requests") else components[prefix]
    )


@pytest.mark.slow
@pytest.mark.measured
def test_the_files_are_those_that_are_made_anew() -> None:
    made = files()
    assert sorted(made) == sorted(path.name for path in FOLDER.iterdir())
    for name, text in made.items():
        assert (FOLDER / name).read_bytes() == text, f"{name} is old: make vectors"
    assert sum(map(len, made.values())) < 1_500_000


@pytest.mark.slow
@pytest.mark.measured
def test_they_are_written_into_a_folder(tmp_path: Path) -> None:
    write_vectors(tmp_path / "vectors")
    for path in FOLDER.iterdir():
        assert (tmp_path / "vectors" / path.name).read_bytes() == path.read_bytes()


def test_the_manifest_names_versions_and_content() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_bytes())
    assert (manifest["version"], manifest["answers"]) == (__version__, ANSWERS)
    for name, told in manifest["files"].items():
        text = (FOLDER / name).read_bytes()
        assert told["sha256"] == hashlib.sha256(text).hexdigest()
        assert (told["lines"], told["bytes"]) == (len(text.splitlines()), len(text))


def test_they_are_plain_ascii() -> None:
    assert all(path.read_bytes().isascii() for path in FOLDER.iterdir())


def test_they_ship_with_the_package() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert "schemas" in wheel["only-include"]


def test_ids_are_unique_in_all_files() -> None:
    ids = [line["id"] for name in (*BODIES, "streams") for line in lines(name)]
    assert len(set(ids)) == len(ids) > 2500


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_what_its_line_says(name: str) -> None:
    for line in lines(name):
        check, body = checker(name, line), line["body"]
        assert line["level"] in LEVELS
        assert line["id"].startswith(line["endpoint"])
        if line["headers"] or line["rule"] == "prose" or line["id"] == "chat.answer.null":
            continue
        seen = [(violation.pointer, violation.rule) for violation in check.violations(body)]
        assert check.is_valid(body) is line["valid"]
        assert seen == ([] if line["valid"] else [(line["pointer"], line["rule"])]), line["id"]


@pytest.mark.parametrize("name", BODIES)
def test_each_line_has_the_fields_that_the_page_explains(name: str) -> None:
    fields = [
        line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `") and ".json" not in line
    ]
    for line in lines(name):
        assert list(line) == fields
        assert (
            (line["violation"] is None)
            is (line["pointer"] is None)
            is (line["rule"] is None)
            is line["valid"]
        )


def test_what_only_prose_forbids_is_said() -> None:
    by_id = {line["id"]: line for line in lines("answers")}
    for name in ("above-1", "below-0", "placeholder"):
        line = by_id[f"judge.answer.score.{name}"]
        assert not 0 <= line["body"]["score"] <= 1
        told = (line["valid"], line["rule"], line["pointer"], line["level"], line["violation"])
        assert told == (False, "prose", "/score", "documented", name)
    assert by_id["chat.answer.null"]["valid"]
    assert "chat.answer.type-null" not in by_id


def test_an_issue_that_says_more_than_its_message_is_not_held_against_a_server() -> None:
    lenient = [line["id"] for line in lines("errors") if line["lenient"]]
    assert lenient == ["judge.error.issues.item.additional", "chat.error.issues.item.additional"]


# Streams.


def events(line: Json) -> Iterator[str]:
    """The data of each event of a stream whose bytes are in order, read in one go."""
    text = b"".join(map(base64.b64decode, line["chunks"])).decode().removeprefix("\ufeff")
    for event in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        found = [row[5:].removeprefix(" ") for row in event.split("\n") if row.startswith("data:")]
        if found:
            yield "\n".join(found)


def test_valid_streams_carry_valid_chunks() -> None:
    check = contract().checker("ChatCompletionChunk")
    for line in lines("streams"):
        for data in events(line) if line["valid"] else ():
            if data != "[DONE]" and "error" not in json.loads(data):
                assert list(check.violations(json.loads(data))) == [], line["id"]


def test_a_stream_that_breaks_the_schema_breaks_it_where_it_says() -> None:
    check = contract().checker("ChatCompletionChunk")
    broken = [line for line in lines("streams") if line["rule"] not in (None, "prose")]
    assert len(broken) >= 3
    for line in broken:
        bodies = [json.loads(data) for data in events(line) if data != "[DONE]"]
        seen = {
            (violation.pointer, violation.rule) for body in bodies for violation in check.violations(body)
        }
        assert seen == {(line["pointer"], line["rule"])}, line["id"]


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("crlf", lambda chunks: b"\r\n\r\n" in chunks[0]),
        ("cr", lambda chunks: b"\r\r" in chunks[0] and b"\n" not in chunks[0]),
        ("comments", lambda chunks: b": keep-alive\n\n" in chunks[0]),
        ("no-done", lambda chunks: b"[DONE]" not in b"".join(chunks)),
        ("split-utf-8", lambda chunks: chunks[0].endswith(b"\xe6\x97") and chunks[1].startswith(b"\xa5")),
        ("split-crlf", lambda chunks: chunks[0].endswith(b"\r") and chunks[1].startswith(b"\n")),
        ("byte-by-byte", lambda chunks: {len(chunk) for chunk in chunks} == {1}),
        ("one-chunk", lambda chunks: len(chunks) == 1),
        ("odd-text", lambda chunks: "\u2028\u0085".encode() in b"".join(chunks)),
    ],
)
def test_a_stream_has_what_its_name_says(name: str, seen: Any) -> None:
    line = next(line for line in lines("streams") if line["id"] == f"chat.stream.{name}")
    assert seen([base64.b64decode(chunk) for chunk in line["chunks"]])


# The page's own code.


@pytest.fixture
def vendored(tmp_path: Path) -> Path:
    """A repository in JavaScript that has taken the folder over."""
    shutil.copytree(FOLDER, tmp_path / "vectors")
    server, streams = [block.code for block in blocks(PAGE) if block.language == "js"]
    (tmp_path / "server.test.mjs").write_text(server, "utf-8")
    (tmp_path / "streams.test.mjs").write_text(streams, "utf-8")
    return tmp_path


@pytest.mark.slow
def test_the_pages_reader_of_streams_passes(vendored: Path) -> None:
    told = run(["node", "--test", "streams.test.mjs"], cwd=vendored)
    asked = [line for line in lines("streams") if line["valid"] or line["level"] != "decision"]
    assert f"# pass {len(asked)}\n" in told


def test_the_page_holds_our_server_against_the_requests(vendored: Path, live: Live) -> None:
    told = run(["node", "--test", "server.test.mjs"], {"OPENPIPE_BASE_URL": live.base_url}, cwd=vendored)
    every = [*lines("requests-judge"), *lines("requests-chat")]
    asked = [line for line in every if not line["lenient"] and line["level"] != "decision"]
    assert f"# pass {len(asked)}\n" in told
    assert len(asked) > 700


def test_the_example_of_a_joined_stream_is_one() -> None:
    (shown,) = [json.loads(block.code) for block in blocks(PAGE) if block.language == "json"]
    assert shown == next(line["joined"] for line in lines("streams") if line["id"] == "chat.stream.plain")
