"""Journals and logs of calls share one number of bytes, and the session that holds most gives way."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.config.settings import Settings
from openpipe_mock.sessions.calllog import Own
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.sessions.memory import Session, Sessions
from tests.controlling import Mock
from tests.inprocess import JUDGE, MINIMAL, answer

SETTINGS = Settings()
NAMES = st.sampled_from(["a", "b", "c"])


def sessions_with(most: int) -> Sessions:
    sessions = Sessions()
    sessions.room.most = most
    return sessions


def exchanged(session: Session, *numbers: int, size: int = 1000) -> None:
    """Let a session keep exchanges of this size."""
    for number in numbers:
        entry = Entry(number, session.name, "POST", JUDGE, {}, SETTINGS, body=b"x" * size)
        session.journal.add(entry, b"")


def logged(session: Session, key: bytes, *sizes: int) -> None:
    for size in sizes:
        session.log(key).add(Own(json.dumps("x" * size).encode(), b"null", 200))


def numbers(session: Session) -> list[int]:
    return [entry.number for entry in session.journal.entries]


def held(sessions: Sessions) -> int:
    return sum(keeper.bytes for session in sessions.all() for keeper in session.keepers())


def test_the_session_that_holds_most_drops_its_oldest() -> None:
    sessions = sessions_with(50_000)
    small, large = sessions.find("small", 0), sessions.find("large", 0)
    exchanged(small, 1, 2, 3)
    exchanged(large, *range(1, 101))
    assert numbers(small) == [1, 2, 3]
    assert numbers(large) == [*range(101 - len(numbers(large)), 101)]
    assert large.journal.dropped == 100 - len(numbers(large))
    assert 50_000 * 0.9 < held(sessions) <= 50_000


def test_sessions_that_hold_alike_give_way_alike() -> None:
    sessions = sessions_with(50_000)
    for number in range(1, 101):
        for name in ("a", "b", "c", "d"):
            exchanged(sessions.find(name, 0), number)
    counts = [len(numbers(sessions.find(name, 0))) for name in ("a", "b", "c", "d")]
    assert max(counts) - min(counts) <= 1 < min(counts)


def test_many_keys_of_one_session_push_out_no_other_session() -> None:
    sessions = sessions_with(100_000)
    exchanged(sessions.default, 1, 2, 3)
    crowd = sessions.find("crowd", 0)
    for key in range(50):
        logged(crowd, b"%d" % key, *[1000] * 5)
    assert numbers(sessions.default) == [1, 2, 3]
    assert sum(log.dropped for log in crowd.logs.values()) > 100
    assert all(log.kept[-1].request for log in crowd.logs.values() if log.kept)
    assert held(sessions) <= 100_000


def test_what_is_forgotten_leaves_room() -> None:
    sessions = sessions_with(50_000)
    exchanged(sessions.find("gone", 0), *range(1, 20))
    sessions.remove("gone")
    exchanged(sessions.default, *range(1, 20))
    sessions.default.forget()
    exchanged(sessions.default, *range(1, 21))
    assert (numbers(sessions.default), sessions.default.journal.dropped) == ([*range(1, 21)], 0)


@pytest.mark.parametrize("most", [1, 1000])
def test_what_is_larger_than_the_room_is_dropped_at_once(most: int) -> None:
    sessions = sessions_with(most)
    exchanged(sessions.default, 1, 2, size=2000)
    logged(sessions.default, b"key", 2000)
    assert (held(sessions), sessions.default.journal.dropped) == (0, 2)


def test_labels_that_grow_a_log_count() -> None:
    sessions = sessions_with(5000)
    logged(sessions.default, b"key", *[10] * 10)
    log = sessions.default.log(b"key")
    assert len(log.calls) == 10
    log.update([], {"label": "x" * 1000})
    assert 0 < len(log.kept) < 5
    assert held(sessions) <= 5000


@given(steps=st.lists(st.tuples(NAMES, st.booleans(), st.integers(0, 3000)), max_size=40))
def test_no_more_is_held_than_fits(steps: Iterable[tuple[str, bool, int]]) -> None:
    sessions = sessions_with(8000)
    for number, (name, is_call, size) in enumerate(steps):
        session = sessions.find(name, 0)
        if is_call:
            logged(session, b"key", size)
        else:
            exchanged(session, number, size=size)
        assert held(sessions) <= 8000


def test_the_status_shows_what_is_kept_and_dropped() -> None:
    mock = Mock(Settings(max_kept_bytes=20_000))
    service = mock.service
    for _ in range(100):
        assert answer(service, MINIMAL).status == 200
    memory = mock.json("GET", "/status")["memory"]
    journal = service.sessions.default.journal
    assert memory == {
        **memory,
        "kept_bytes": journal.bytes,
        "max_kept_bytes": 20_000,
        "dropped_requests": 100 - journal.kept,
        "dropped_calls": 0,
    }
    assert 0 < journal.kept < 100
