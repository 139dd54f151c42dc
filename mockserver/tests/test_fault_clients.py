"""What the official clients make of each fault: the tables of docs/faults.md are the expected values.

Their first column holds the faults, the others what each client does. All clients meet all of them at once.
"""

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from openpipe_mock.core.wording import counted
from tests.chatclients import CLIENTS, surroundings
from tests.environments import ROOT, installed, node_modules
from tests.live import INSTALLING, PATIENCE, Live, clean, serving
from tests.markdown import section
from tests.tables import Row, rows

pytestmark = pytest.mark.slow

Json = Any

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
HEADINGS = {"judge": "### Judgements", "plain": "### Plain answers of chat", "streams": "### Streams of chat"}
TABLES: Mapping[str, list[Row]] = {
    mode: list(rows(section(PAGE, heading))) for mode, heading in HEADINGS.items()
}
PEOPLE = {
    "Python `openpipe`": "openpipe",
    "Python `openai`": "openai",
    "Node `openpipe`": "node-openpipe",
    "Node `openai`": "node-openai",
}
"""Column → the name of the session in which the client speaks to the mock."""
TEXT = "one two three four"
EVENTS = 200
"""Where an endless stream ends: a chunk with a role, content again and again, and one with the end."""
TIMEOUT = 2.0
"""The seconds that a client waits for what is late; what drips takes longer."""
ALONE = (
    {"name": "left", "mode": "streams", "leave": 5, "fault": "endless: true"},
    {"name": "later", "mode": "plain", "fault": "status: 429, retry_after: 1.2"},
    {"name": "told", "mode": "plain", "fault": "status: 422, message: Too odd., code: ODD"},
    {"name": "judge-told", "mode": "judge", "fault": "status: 422, message: Too odd., code: ODD"},
    {"name": "own", "mode": "plain", "fault": "status: 400, body: {oops: true}"},
    {"name": "judge-own", "mode": "judge", "fault": "status: 400, body: {oops: true}"},
    {"name": "judge-late", "mode": "judge", "fault": "delay_ms: 600"},
)
"""Scenes that stand in no table."""


def fault_of(row: Row) -> str:
    """The fault in a row's first cell, as the file has it."""
    return row["fault"].strip("`")


def scenes() -> Iterator[Json]:
    """Each fault of each table; those of chat also for a client that may not retry."""
    for mode, table in TABLES.items():
        for number, row in enumerate(table):
            fault = fault_of(row)
            options = {"timeout": TIMEOUT} if re.search("delay|drip|timeout", fault) else {}
            scene = {"name": f"{mode}-{number}", "mode": mode, "fault": fault, **options}
            yield scene
            if mode != "judge":
                yield {**scene, "name": f"{mode}-{number}-once", "retries": 0}
    yield from (dict(scene) for scene in ALONE)


def config() -> str:
    """A file in which each scene has its fault: it goes by the model, or by the criterion."""
    lines = [f"stream: {{endless_events: {EVENTS}}}", f"completions: [{{text: {TEXT}}}]", "faults:"]
    for scene in scenes():
        name = scene["name"]
        when = f"criterion: {name}" if scene["mode"] == "judge" else f"model: 'openpipe:{name}'"
        lines.append(f"  - {{when: {{{when}}}, {scene['fault']}}}")
    return "\n".join(lines)


@dataclass(frozen=True)
class Observed:
    """What the clients saw by session and scene, and how many requests the mock saw."""

    seen: Mapping[str, Mapping[str, Json]]
    requests: Mapping[str, Mapping[str, int]]


def command(client: str, folder: Path, file: Path) -> list[str | Path]:
    kind, _, library = client.rpartition("-")
    if kind == "node":
        return ["node", folder / "faults.mjs", library, file]
    return [installed(client, "python"), CLIENTS / "python-openai" / "faults.py", client, file]


def begun(client: str, live: Live, folder: Path) -> "subprocess.Popen[str]":
    """A client at work, in a session of its own."""
    judges = "openpipe" in client
    played = [{**scene, "text": TEXT} for scene in scenes() if judges or scene["mode"] != "judge"]
    file = folder / f"{client}.json"
    file.write_text(json.dumps(played))
    own = Live(live.process, f"{live.origin}/_mock/sessions/{client}/api/v1", live.control_url, live.log)
    return subprocess.Popen(
        command(client, folder, file),
        env=clean({**surroundings(own, "op-local"), "PYTHONWARNINGS": "default"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def ended(process: "subprocess.Popen[str]") -> dict[str, Json]:
    """What a client printed, by scene."""
    printed, complaint = process.communicate(timeout=INSTALLING)
    assert process.returncode == 0, complaint
    found = map(json.loads, printed.splitlines())
    return {seen["scene"]: seen for seen in found}


def requests_of(live: Live, client: str) -> Counter[str]:
    """How many requests the mock saw of a client, by scene, once none of them is under way."""
    with httpx.Client(base_url=live.control_url, params={"session": client}) as control:
        deadline = time.monotonic() + PATIENCE
        while True:
            came = control.get(f"/sessions/{client}").json()["requests"]
            journal = control.get("/requests", params={"limit": 1000}).json()
            if journal["count"] == came:
                break
            assert time.monotonic() < deadline, "requests are still under way"
        found = Counter(str(each["model"]).removeprefix("openpipe:") for each in journal["requests"])
        for scene in scenes():
            if scene["mode"] == "judge":
                asked = {"when": {"criterion": scene["name"]}}
                found[scene["name"]] = control.post("/verify", json=asked).json()["count"]
    return found


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "faults.yaml").write_text(config())
    (folder / "node_modules").symlink_to(node_modules())
    (folder / "faults.mjs").write_bytes((CLIENTS / "node" / "faults.mjs").read_bytes())
    with serving("--quiet", f"--config={folder / 'faults.yaml'}") as live:
        working = {client: begun(client, live, folder) for client in PEOPLE.values()}
        seen = {client: ended(process) for client, process in working.items()}
        return Observed(seen, {client: requests_of(live, client) for client in seen})


def outcome(seen: Json) -> str:
    """What a client made of a fault, in the words of the tables."""
    if seen.get("unsettled"):
        return "never settles"
    chunks = counted(seen["chunks"], "chunk") if "chunks" in seen else ""
    if "error" in seen:
        return f"`{seen['error']}`" + (f" after {chunks}" if seen.get("chunks") else "")
    if seen.get("right"):
        return "the whole stream" if chunks else "the answer"
    return f"{chunks}, no error" if chunks else f"`{seen['answer']}`, no error"


def cell(observed: Observed, client: str, scene: str) -> str:
    requests = observed.requests[client][scene]
    told = outcome(observed.seen[client][scene])
    return told if requests == 1 else f"{told}, {counted(requests, 'request')}"


CELLS = [
    (mode, number, column)
    for mode, table in TABLES.items()
    for number, row in enumerate(table)
    for column in row
    if column != "fault"
]


@pytest.mark.parametrize(("mode", "number", "column"), CELLS)
def test_a_client_does_what_the_page_says(observed: Observed, mode: str, number: int, column: str) -> None:
    assert cell(observed, PEOPLE[column], f"{mode}-{number}") == TABLES[mode][number][column]


@pytest.mark.parametrize(
    ("mode", "number", "column"), [(mode, *where) for mode, *where in CELLS if mode != "judge"]
)
def test_without_retries_a_client_sends_one_request_and_fails_alike(
    observed: Observed, mode: str, number: int, column: str
) -> None:
    row, once = TABLES[mode][number], f"{mode}-{number}-once"
    alike = "`InternalServerError`" if "first: 1, status: 503" in row["fault"] else row[column]
    assert cell(observed, PEOPLE[column], once) == re.sub(r", \d requests$", "", alike)


def test_a_timeout_does_not_end_what_comes_slowly(observed: Observed) -> None:
    """It is about a pause, or about the beginning of the answer."""
    dripping = [name for name, fault in faults() if fault.startswith("drip") and not name.startswith("judge")]
    for seen in observed.seen.values():
        assert all(seen[name]["seconds"] > TIMEOUT for name in dripping)


def faults() -> Iterator[tuple[str, str]]:
    return ((scene["name"], scene["fault"]) for scene in scenes())


everyone = pytest.mark.parametrize("client", PEOPLE.values())
own = pytest.mark.parametrize("client", ["openpipe", "node-openpipe"])


@everyone
def test_a_client_waits_as_long_as_it_is_told(observed: Observed, client: str) -> None:
    """Twice 1.2 seconds; left alone it would wait for 0.5 and 1 at most."""
    assert cell(observed, client, "later") == "`RateLimitError`, 3 requests"
    assert observed.seen[client]["later"]["seconds"] >= 2.4


@everyone
def test_a_client_may_leave_a_stream(observed: Observed, client: str) -> None:
    assert cell(observed, client, "left") == "5 chunks, no error"


@everyone
def test_an_endless_stream_comes_to_its_bound(observed: Observed, client: str) -> None:
    number = next(n for n, row in enumerate(TABLES["streams"]) if fault_of(row) == "endless: true")
    assert observed.seen[client][f"streams-{number}"]["chunks"] == EVENTS + 1


CARRIED: Mapping[str, Mapping[str, Json]] = {
    "told": {
        "openpipe": {"status_code": 422, "code": "ODD", "body": {"code": "ODD", "message": "Too odd."}},
        "openai": {"status_code": 422, "code": "ODD", "body": {"code": "ODD", "message": "Too odd."}},
        "node-openpipe": {"status": 422, "code": "ODD", "error": {"code": "ODD", "message": "Too odd."}},
        "node-openai": {"status": 422, "code": "ODD", "error": {"code": "ODD", "message": "Too odd."}},
    },
    "own": {
        "openpipe": {"status_code": 400, "code": None, "body": {"oops": True}},
        "openai": {"status_code": 400, "code": None, "body": {"oops": True}},
        "node-openpipe": {"status": 400, "message": "400 status code (no body)"},
        "node-openai": {"status": 400, "message": "400 status code (no body)"},
    },
    "judge-told": {
        "openpipe": {"status_code": 422, "body": {"code": "ODD", "message": "Too odd."}},
        "node-openpipe": {"status": 422, "body": {"code": "ODD", "message": "Too odd."}},
    },
    "judge-own": {
        "openpipe": {"status_code": 400, "body": {"oops": True}},
        "node-openpipe": {"status": 400, "body": {"oops": True}},
    },
}
"""Scene → client → what its exception carries, among other things."""


@pytest.mark.parametrize(
    ("scene", "client"), [(scene, client) for scene, clients in CARRIED.items() for client in clients]
)
def test_an_exception_carries_what_the_page_says(observed: Observed, scene: str, client: str) -> None:
    carries, expected = observed.seen[client][scene]["carries"], CARRIED[scene][client]
    assert {name: carries.get(name) for name in expected} == expected


def test_the_error_of_a_body_of_one_s_own_hides_it_from_node_users(observed: Observed) -> None:
    for client in ("node-openpipe", "node-openai"):
        assert "error" not in observed.seen[client]["own"]["carries"]


@everyone
def test_an_exception_names_the_request_in_the_journal(observed: Observed, client: str) -> None:
    carries = observed.seen[client]["told"]["carries"]
    told = carries.get("request_id") or carries.get("requestID")
    assert re.fullmatch(rf"{client}-\d+", told)


@own
def test_a_judgement_has_all_the_time_it_takes(observed: Observed, client: str) -> None:
    """Also where the Python client is made with `timeout=0.3`."""
    assert cell(observed, client, "judge-late") == "the answer"
    assert observed.seen[client]["judge-late"]["seconds"] >= 0.6
