"""docs/faults.md and docs/magic.md, taken at their word; what the clients do has tests of its own."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from openpipe_mock.answers.events import DONE
from openpipe_mock.answers.magic import TABLE
from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Begin, Break, Piece
from openpipe_mock.faults.magic import HEADER_KINDS
from openpipe_mock.service.service import Service
from tests.chatting import CHAT, asking, contents
from tests.environments import ROOT, TESTS
from tests.happening import Happened, happened
from tests.inprocess import HEADERS, JUDGE, MINIMAL, answer, content_of, having
from tests.markdown import Block, blocks
from tests.tables import rows

Json = Any

PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("faults.md", "magic.md")}
EXAMPLES = [block for page in PAGES.values() for block in blocks(page) if block.language == "yaml"]

# The examples.


@pytest.mark.parametrize("block", EXAMPLES)
def test_each_example_is_a_config_file(block: Block) -> None:
    settings = configfile.read_config(block.code.encode())
    assert settings != Settings()


def test_each_key_of_a_fault_has_an_example() -> None:
    shown = "\n".join(block.code for block in EXAMPLES)
    keys = [*configfile.schema()["$defs"]["fault"]["properties"], "bytes", "every_ms", "endless_events"]
    assert [key for key in keys if not re.search(rf"\b{key}:", shown)] == []


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGES[page]):
        file, _, anchor = target.partition("#")
        text = (ROOT / "docs" / file).read_text(encoding="utf-8")
        headings = {heading.lower().replace(" ", "-") for heading in re.findall("(?m)^#+ (.+)$", text)}
        assert not anchor or anchor in headings


def test_the_clients_are_those_that_the_tests_install() -> None:
    required = "".join(file.read_text() for file in (TESTS / "clients").glob("python-open*/requirements.txt"))
    packages = json.loads((TESTS / "clients" / "node" / "package.json").read_bytes())["dependencies"]
    said = re.search(r"As observed with (.*?), with their own", PAGES["faults.md"], re.DOTALL)
    assert said
    versions = re.findall(r"`(\w+)` ([\d.]+\d)", said[1])
    assert versions[:2] == [
        (name, version) for name, version in versions[:2] if f"{name}=={version}" in required
    ]
    assert dict(versions[2:]) == {name: packages[name] for name in ("openpipe", "openai")}


# The magic values.

MAGIC = [(row["kind"], row["value"].strip("`")) for row in rows(PAGES["magic.md"])]
FAULT_HEADER = "x-mock-fault: "


def of_kind(kind: str) -> list[str]:
    return [value for each, value in MAGIC if each == kind]


@pytest.mark.parametrize("kind", ["criterion", "model", "token"])
def test_the_table_has_each_magic_value(kind: str) -> None:
    assert sorted(of_kind(kind)) == sorted(TABLE[kind])


def test_the_table_has_each_magic_header_and_each_of_its_faults() -> None:
    assert {value.partition(":")[0] for value in of_kind("header")} == set(TABLE["header"])
    faults = [value.removeprefix(FAULT_HEADER) for value in of_kind("header") if FAULT_HEADER in value]
    assert sorted(faults) == sorted([*HEADER_KINDS, "disconnect-after-N", "N"])


def test_the_table_has_no_other_kind() -> None:
    assert {kind for kind, _ in MAGIC} == set(TABLE)


def happens(body: Json, path: str, **headers: str) -> Happened:
    """What comes of one request to a mock without a file."""
    return happened(Service(), body, path, {name.replace("_", "-"): value for name, value in headers.items()})


def judged(criterion: str, **headers: str) -> Happened:
    return happens(having(criterion_id=criterion), JUDGE, **headers)


def asked(model: str) -> Happened:
    return happens(asking("Hello you.", model=f"openpipe:{model}"), CHAT)


def faulty(fault: str, **members: Json) -> Happened:
    return happens(asking(**members), CHAT, x_mock_fault=fault)


def scored(criterion: str) -> float:
    """The score of a criterion at the judge; in best of n it is the same, in any version."""
    [choice] = content_of(
        answer(
            Service(),
            asking(),
            path=CHAT,
            headers={**HEADERS, b"op-criteria": json.dumps([f"{criterion}@v9"]).encode()},
        )
    )["choices"]
    score: float = judged(criterion).body["score"]
    assert choice["criteria_results"][criterion]["score"] == score
    return score


def fails_with(criterion: str, status: int) -> bool:
    """Whether a criterion fails with this status, at the judge and in best of n."""
    headers = {**HEADERS, b"op-criteria": json.dumps([criterion]).encode()}
    [choice] = content_of(answer(Service(), asking(), path=CHAT, headers=headers))["choices"]
    result = choice["criteria_results"][criterion]
    told = (result["status"], result["errorCode"]) == ("error", status)
    return told and judged(criterion).status == status


def plain(**members: Json) -> bytes:
    """What the mock answers to the same request where nothing goes wrong."""
    return answer(Service(), asking(**members), path=CHAT).body


def events(**members: Json) -> list[bytes]:
    return happens(asking(stream=True, **members), CHAT).sent


def is_refused(found: Happened, status: int, seconds: str = "") -> bool:
    return found.status == status and found.header("retry-after") == seconds


WORKS: Mapping[tuple[str, str], Callable[[], bool]] = {
    ("criterion", "mock-score-N"): lambda: (scored("mock-score-0.7"), scored("mock-score-0")) == (0.7, 0),
    ("criterion", "mock-pass"): lambda: scored("mock-pass") == 1,
    ("criterion", "mock-fail"): lambda: scored("mock-fail") == 0,
    ("criterion", "mock-error"): lambda: fails_with("mock-error", 500),
    ("criterion", "mock-status-N"): lambda: fails_with("mock-status-429", 429),
    ("criterion", "mock-delay-N"): lambda: (
        judged("mock-delay-1500").waits == [1.5] and 0 <= judged("mock-delay-1500").body["score"] <= 1
    ),
    ("model", "mock-echo"): lambda: contents(Service(), asking("Hi!", model="mock-echo")) == ["Hi!"],
    ("model", "mock-status-N"): lambda: (
        is_refused(asked("mock-status-503"), 503, "1") and is_refused(asked("mock-status-418"), 418)
    ),
    ("model", "mock-delay-N"): lambda: (
        asked("mock-delay-250").waits == [0.25] and asked("mock-delay-250").status == 200
    ),
    ("model", "mock-disconnect"): lambda: asked("mock-disconnect").breaks,
    ("header", "x-mock-score: N"): lambda: judged("helpful", x_mock_score="0.25").body["score"] == 0.25,
    ("header", "x-mock-delay-ms: N"): lambda: judged("helpful", x_mock_delay_ms="40").waits == [0.04],
    ("header", "x-mock-fault: N"): lambda: (
        is_refused(faulty("429"), 429, "1") and is_refused(faulty("418"), 418)
    ),
    ("header", "x-mock-fault: malformed"): lambda: faulty("malformed").reply.body == b"{" + plain(),
    ("header", "x-mock-fault: truncated"): lambda: (
        faulty("truncated").reply.body == plain()[: len(plain()) // 2]
    ),
    ("header", "x-mock-fault: empty"): lambda: faulty("empty").reply.body == b"",
    ("header", "x-mock-fault: content-type"): lambda: (
        faulty("content-type").header("content-type") == "text/html"
        and faulty("content-type").reply.body == plain()
    ),
    ("header", "x-mock-fault: timeout"): lambda: faulty("timeout").waits == [math.inf],
    ("header", "x-mock-fault: disconnect"): lambda: faulty("disconnect").breaks,
    ("header", "x-mock-fault: disconnect-after-N"): lambda: (
        faulty("disconnect-after-2", stream=True).breaks
        and faulty("disconnect-after-2", stream=True).sent == events()[:2]
    ),
    ("header", "x-mock-fault: drip"): lambda: (
        b"".join(faulty("drip").sent) == plain()
        and {len(piece) for piece in faulty("drip").sent[:-1]} == {16}
        and set(faulty("drip").waits) == {0.05}
    ),
    ("header", "x-mock-fault: error-event"): lambda: (
        [list(json.loads(data.removeprefix(b"data: "))) for data in faulty("error-event", stream=True).sent]
        == [["error"]]
    ),
    ("header", "x-mock-fault: endless"): lambda: (
        sum(data != DONE for data in faulty("endless", stream=True).sent)
        == 10_001  # with the one that ends it
    ),
    ("token", "invalid…"): lambda: judged("helpful", authorization="Bearer invalid-key").status == 401,
}
"""Row of the table → whether it does what it says."""


def test_each_row_of_the_table_has_its_proof_here() -> None:
    assert list(WORKS) == MAGIC


@pytest.mark.parametrize("row", MAGIC)
def test_a_magic_value_does_what_the_table_says(row: tuple[str, str]) -> None:
    assert WORKS[row]()


def test_without_magic_names_and_headers_mean_nothing() -> None:
    service = Service(configfile.read_config(EXAMPLES[-1].code.encode()))
    ordinary, named = (
        content_of(answer(service, having(criterion_id=name))) for name in ("helpful", "mock-status-500")
    )
    headers = {**HEADERS, b"x-mock-fault": b"500", b"x-mock-score": b"x", b"x-mock-delay-ms": b"x"}
    assert content_of(answer(service, dict(MINIMAL), headers=headers)) == ordinary
    assert set(named) == {"score", "explanation"}
    refused = {**HEADERS, b"authorization": b"Bearer invalid-key"}
    assert answer(service, dict(MINIMAL), headers=refused).status == 401


REFUSED: Mapping[str, tuple[Callable[[], Happened], int, str]] = {
    "criterion": (lambda: judged("mock-pas"), 404, "mock-pass"),
    "model": (lambda: asked("mock-eco"), 404, "mock-echo"),
    "fault": (lambda: faulty("malform"), 400, "malformed"),
    "score": (lambda: judged("helpful", x_mock_score="2"), 400, "a number from 0 to 1"),
    "delay": (lambda: judged("helpful", x_mock_delay_ms="soon"), 400, "milliseconds from 0 to 600000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_only_looks_magic_is_refused_with_what_there_is(name: str) -> None:
    ask, status, told = REFUSED[name]
    found = ask()
    assert found.status == status
    assert told in found.body["message"]


def test_what_the_file_declares_comes_before_its_magic_namesake() -> None:
    service = Service(configfile.read_config(b"criteria: {mock-pass: {score: 0.5}}"))
    assert content_of(answer(service, having(criterion_id="mock-pass")))["score"] == 0.5


def test_a_stream_begins_before_it_breaks() -> None:
    found = faulty("disconnect-after-2", stream=True)
    assert [type(effect) for effect in found.effects if isinstance(effect, Begin | Piece | Break)] == [
        Begin,
        Piece,
        Piece,
        Break,
    ]
