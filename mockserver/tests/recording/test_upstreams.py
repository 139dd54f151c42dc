"""Several real servers are recorded over sockets and replayed; official clients see the same both times."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.eventstream import read_events
from openpipe_mock.recording.tape import tape_of
from tests.contract.foreign import foreign
from tests.contract.test_prism import prism
from tests.environments import TESTS, installed, node_modules
from tests.live import TRUSTING_NOBODY, run
from tests.recording.test_tape import Asked, mock, recorder, send
from tests.reference.habits import Habits
from tests.reference.server import KEY as REFERENCE_KEY
from tests.reference.server import Reference
from tests.reference.serving import live

__all__ = ["prism"]
OTHER = Habits(
    combined="sum", invalid=422, crlf=True, comments=True, writes="bytes", done=False, charset=True
)
SCRIPTS = TESTS / "clients" / "recorded"
WORDS = {"messages": [{"role": "user", "content": "Count to 3, caf\u00e9 \U0001f642"}]}
JUDGE = {"output": {"role": "assistant", "content": "1, 2, 3."}}


def requests(model: str, criterion: str) -> tuple[Asked, ...]:
    chat = {"model": model, **WORDS}
    return (
        ("POST", "/criteria/judge", {"criterion_id": criterion, **JUDGE}, {}),
        ("POST", "/chat/completions", {**chat, "n": 2}, {"op-criteria": json.dumps([criterion])}),
        ("POST", "/chat/completions", {**chat, "stream": True}, {}),
        ("POST", "/chat/completions", chat, {}),
        ("POST", "/criteria/judge", {**JUDGE, "criterion_id": f"{criterion}@v999"}, {}),
    )


def expect_equal_replay(url: str, asked: tuple[Asked, ...], key: str, folder: Path) -> None:
    """Record each request once; a replay, asked in another order, gives the same bytes and events."""
    with mock(recorder(folder, url)) as recording:
        recorded = [send(recording, each, key) for each in asked]
    replayer = tape_of(folder, Settings())
    with mock(replayer) as replaying:
        replayed = [send(replaying, each, "op-local") for each in reversed(asked)][::-1]
    assert replayed == recorded
    assert replayer.unused() == []
    assert len(replayer.cassette.listed) == len(asked)
    for _, body, media in recorded:
        if media.startswith("text/event-stream"):
            assert len(read_events(body).events) > 1


@pytest.mark.slow
@pytest.mark.parametrize("habits", [Habits(), OTHER], ids=["usual", "other"])
def test_another_implementation_is_replayed_as_it_answered(habits: Habits, tmp_path: Path) -> None:
    with live(Reference(habits)) as stage:
        asked = requests("reference", "criterion-1")
        expect_equal_replay(stage.base_url, asked, REFERENCE_KEY, tmp_path)


@pytest.mark.slow
def test_aimock_is_replayed_as_it_answered(tmp_path: Path) -> None:
    fixtures = tmp_path / "fixtures.json"
    fixtures.write_text('{"fixtures": [{"match": {}, "response": {"content": "One, two, three."}}]}')
    _, _, stream, chat, _ = requests("gpt-4o", "helpful")
    with foreign("aimock", "llmock", "--fixtures", str(fixtures)) as origin:
        expect_equal_replay(f"{origin}/v1", (stream, chat), "op-local", tmp_path / "tapes")


@pytest.mark.slow
def test_prism_is_replayed_as_it_answered(prism: str, tmp_path: Path) -> None:
    judge, _, _, chat, _ = requests("gpt-4o", "helpful")
    expect_equal_replay(prism, (judge, chat), "op-local", tmp_path)


def python(folder: Path, variables: dict[str, str]) -> Any:
    return json.loads(run([installed("openai", "python"), SCRIPTS / "ask.py"], variables))


def node(folder: Path, variables: dict[str, str]) -> Any:
    packages, script = folder / "node_modules", folder / "ask.mjs"
    if not packages.exists():
        packages.symlink_to(node_modules())
        script.write_bytes((SCRIPTS / "ask.mjs").read_bytes())
    return json.loads(run(["node", script], variables))


@pytest.mark.slow
@pytest.mark.parametrize("client", [python, node])
def test_an_official_client_sees_the_same(
    client: Callable[[Path, dict[str, str]], Any], tmp_path: Path
) -> None:
    def seen(url: str) -> Any:
        return client(tmp_path, {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-elsewhere", **TRUSTING_NOBODY})

    with mock(settings=Settings(seed=7)) as real, mock(recorder(tmp_path / "tapes", real)) as url:
        recorded = seen(url)
    with mock(tape_of(tmp_path / "tapes", Settings())) as url:
        assert seen(url) == recorded
    best, chunks, refused = recorded
    assert len(best["choices"]) == 2
    assert len(chunks) > 2
    assert refused[0] == 400
