"""Which recording answers a request, what a miss says, and what lies in the folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock.config.cassettes import CassetteRules
from openpipe_mock.recording import cassette as module
from openpipe_mock.recording.cassette import BadCassette, Cassette, KeyInside
from openpipe_mock.recording.identity import Asked, Identity, body_differences
from openpipe_mock.recording.recording import Chunk, Recording, from_yaml, to_yaml

ANSWERED: dict[str, Any] = {"status": 200, "answer_headers": {}, "chunks": (Chunk(0.1, b"{}"),)}


def recording(text: str = "hi", **more: Any) -> Recording:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}
    return Recording("POST", "/chat/completions", json.dumps(body).encode(), {}, "key", **ANSWERED)


def asked(text: str = "hi", key: str = "key", headers: Any = None, **more: Any) -> Asked:
    body = {**more, "messages": [{"content": text, "role": "user"}], "model": "gpt-4o"}
    return Asked("chat", "POST", "/chat/completions", key, headers or {}, json.dumps(body).encode())


def test_names_say_what_was_asked(tmp_path: Path) -> None:
    tape = Cassette(tmp_path)
    judge = Recording(
        "POST",
        "/criteria/judge",
        b'{"criterion_id":"helpful","output":{"content":"Yes!"}}',
        {},
        "key",
        **ANSWERED,
    )
    names = [
        tape.add(each)
        for each in (recording("What's up, d\u00f6c?"), judge, recording("../../etc"), recording(" " * 9))
    ]
    assert [name.rpartition("-")[0] for name in names] == [
        "chat-gpt-4o-what-s-up-d-c",
        "judge-helpful-yes",
        "chat-gpt-4o-etc",
        "chat-gpt-4o",
    ]
    assert tape.add(recording("../../etc")) == names[2].replace(".yaml", "-2.yaml")
    assert sorted(path.name for path in tmp_path.glob("*.yaml")) == sorted(tape.listed)


def test_a_request_finds_its_recordings_by_content_in_their_order(tmp_path: Path) -> None:
    tape = Cassette(tmp_path)
    later, sooner = (replace(recording(), recorded=f"2026-01-0{day}") for day in (2, 1))
    names = [tape.add(later), tape.add(sooner), tape.add(recording("other"))]
    again = Cassette(tmp_path)
    assert again.matching(asked()) == [names[1], names[0]]
    assert again.matching(asked("other", user="somebody", metadata={"day": "1"})) == [names[2]]
    for other in (asked("nothing"), asked(n=2), asked(key="none"), asked(headers={"op-criteria": '["x"]'})):
        assert again.matching(other) == []


def test_what_counts_is_a_rule(tmp_path: Path) -> None:
    rules = CassetteRules(("op-tags",), ("/temperature", "/messages/*/name"), (r"\d{4}-\d\d-\d\d",))
    tape = Cassette(tmp_path, Identity(rules))
    name = tape.add(recording("on 2026-01-01", temperature=1, user="a"))
    assert tape.matching(asked("on 2027-05-06", user="a", temperature=0)) == [name]
    assert tape.matching(asked("on 2027-05-06", user="b")) == []
    assert tape.matching(asked("on 2027-05-06", user="a", headers={"op-tags": "{}"})) == []
    assert Cassette(tmp_path).matching(asked("on 2026-01-01", temperature=1)) == [name]


def test_a_header_of_json_counts_by_its_value() -> None:
    def of(criteria: str) -> str:
        return Identity().of(asked(headers={"op-criteria": criteria}))

    assert of('["helpful", "brief"]') == of('["helpful","brief"]')
    assert len({of('["helpful"]'), of('["brief"]'), of('["helpful"'), of("helpful"), of("")}) == 5


def test_a_body_that_is_no_json_counts_by_its_bytes(tmp_path: Path) -> None:
    tape = Cassette(tmp_path)
    name = tape.add(replace(recording(), body=b'{"model'))
    assert tape.matching(replace(asked(), body=b'{"model')) == [name]
    assert tape.matching(replace(asked(), body=b'{"mode')) == []


def test_a_miss_names_the_nearest_recording_and_what_differs(tmp_path: Path) -> None:
    tape = Cassette(tmp_path)
    assert tape.nearest(asked()) is None
    for text in ("the weather in Paris", "the news in Rome"):
        tape.add(recording(text))
    told = str(tape.nearest(asked("the weather in Oslo", n=2, headers={"op-criteria": "[]"}, key="none")))
    assert told == (
        f"the nearest is {tape.matching(asked('the weather in Paris'))[0]}, "
        "where the header op-criteria is absent, now []; /messages/0/content: recorded the string "
        '"the weather in Paris", now the string "the weather in Oslo"; /n: the number 2 is new'
    )
    many = str(tape.nearest(asked("the weather in Paris", more={f"x{at}": at for at in range(9)})))
    assert many.endswith("and 4 more")


def test_differences_are_told_from_both_sides() -> None:
    assert list(body_differences({"a": [1, {}], "b": 0}, {"a": [2], "c": None})) == [
        "/a/0: recorded the number 1, now the number 2",
        "/a/1: recorded an empty object, and it isn't there now",
        "/b: recorded the number 0, and it isn't there now",
        "/c: null is new",
    ]


def test_recordings_of_one_request_are_listed_as_they_were_made(tmp_path: Path) -> None:
    tape = Cassette(tmp_path)
    names = [tape.add(recording("again")) for _ in range(12)]
    other = tape.add(recording("another"))
    assert tape.names() == sorted([names, [other]])[0] + sorted([names, [other]])[1]
    assert Cassette(tmp_path).names() == tape.names()


def test_the_index_saves_reading_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Cassette(tmp_path)
    names = [tape.add(recording(f"question {at}")) for at in range(20)]
    tape.close()
    read: list[bytes] = []

    def reading(data: bytes) -> Recording:
        read.append(data)
        return from_yaml(data)

    monkeypatch.setattr(module, "from_yaml", reading)
    again = Cassette(tmp_path)
    assert (again.listed.keys(), read) == (tape.listed.keys(), [])
    assert again.matching(asked("question 7")) == again.matching(asked("question 7")) == [names[7]]
    assert len(read) == 1
    read.clear()
    (tmp_path / names[3]).write_bytes(to_yaml(recording("something else now")))
    (tmp_path / names[4]).unlink()
    assert len(Cassette(tmp_path).listed) == 19
    assert len(read) == 1
    Cassette(tmp_path, Identity(CassetteRules(ignore=())))
    assert len(read) == 20
    for broken in (b"", b"[]", b'{"form": 2}', b'{"form": 2, "identity": "x", "files": 3}'):
        (tmp_path / module.INDEX).write_bytes(broken)
        assert len(Cassette(tmp_path).listed) == 19
    assert module.INDEX in (tmp_path / ".gitignore").read_text().split()


def test_files_that_are_no_recordings_are_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.yaml").write_text("x")
    (tmp_path / "folder.yaml").mkdir()
    assert Cassette(tmp_path).listed == {}
    assert Cassette(tmp_path / "missing").listed == {}
    (tmp_path / "bad.yaml").write_text("x")
    with pytest.raises(BadCassette, match=r"bad.yaml: the file: expected a mapping"):
        Cassette(tmp_path)
    with pytest.raises(BadCassette, match="Not a directory"):
        Cassette(tmp_path / "notes.txt")


def test_a_recording_that_would_hold_a_key_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(KeyInside):
        Cassette(tmp_path).add(recording("a key"), lambda file: b"a key" in file)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_costs_only_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cassette(tmp_path).add(recording())

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert len(Cassette(tmp_path).listed) == 1


def test_a_recording_takes_the_place_of_others(tmp_path: Path) -> None:
    tape = Cassette(tmp_path)
    names = [tape.add(recording()) for _ in range(3)]
    assert names[1:] == [names[0].replace(".yaml", f"-{number}.yaml") for number in (2, 3)]
    anew = replace(recording(), status=201)
    assert tape.add(anew, instead_of=names) == names[0]
    for each in (tape, Cassette(tmp_path)):
        assert each.matching(asked()) == names[:1]
        assert each.read(names[0]).status == 201
    other = tape.add(recording("something else"), instead_of=names[:1])
    assert [path.name for path in tmp_path.glob("*.yaml")] == [other]
