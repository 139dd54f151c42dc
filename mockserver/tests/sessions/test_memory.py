"""What a session remembers: bounded, by key, and never a key itself."""

import pytest

from openpipe_mock.answers.chat import Choice, Completion
from openpipe_mock.service.service import Service
from openpipe_mock.sessions import memory as state
from openpipe_mock.sessions.calllog import CallLog
from openpipe_mock.sessions.memory import MOST_CACHED, MOST_COUNTERS, MOST_LOGS, Session, fingerprint
from tests.chatting import ask, asking, completion
from tests.remembering import own_call


def made(name: str) -> Completion:
    return Completion(name, 0, "m", (), 0)


def numbered(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def test_a_new_session_remembers_nothing() -> None:
    session = Session()
    assert session.cached(b"a") is None
    assert session.counts == session.turns == {}
    assert session.log(b"a").latest() is None


def test_a_credential_has_a_log_of_its_own_which_stays_the_same() -> None:
    session = Session()
    call = own_call({})
    session.log(b"a").add(call)
    assert session.log(b"a").latest() is call
    assert session.log(b"b").latest() is None


def test_an_empty_log_stays_the_same_log() -> None:
    session = Session()
    assert session.log(b"a") is session.log(b"a")
    assert isinstance(session.log(b"a"), CallLog)


def test_what_happens_is_counted_from_one() -> None:
    session = Session()
    assert [session.count(b"a") for _ in range(3)] == [1, 2, 3]
    assert session.count("a") == session.count(b"b") == 1


def test_what_is_stored_is_found_and_the_newer_counts() -> None:
    session = Session()
    session.store(b"a", made("first"))
    session.store(b"a", made("second"))
    found = session.cached(b"a")
    assert found is not None
    assert found.id == "second"


def test_the_number_of_logs_is_bounded_and_the_one_in_use_stays() -> None:
    session = Session()
    first = session.log(b"first")
    for credential in numbered(MOST_LOGS * 2):
        session.log(credential)
        assert session.log(b"first") is first
    assert len(session.logs) == MOST_LOGS


def test_the_number_of_counted_requests_is_bounded_and_the_one_in_use_is_counted_on() -> None:
    session = Session()
    for number, identity in enumerate(numbered(MOST_COUNTERS + 10), 1):
        session.count(identity)
        assert session.count(b"first") == number
    assert len(session.counts) == MOST_COUNTERS


@pytest.mark.slow
def test_the_number_of_cached_completions_is_bounded() -> None:
    session = Session()
    for key in numbered(MOST_CACHED + 1):
        session.store(key, made("x"))
    assert len(session.cache) == MOST_CACHED
    assert session.cached(b"0") is None
    assert session.cached(b"1") is not None


@pytest.mark.slow
def test_a_completion_that_is_read_again_and_again_stays_in_the_cache() -> None:
    """The shelf says that the least recently used value goes."""
    session = Session()
    session.store(b"first", made("first"))
    for key in numbered(MOST_CACHED * 2):
        session.store(key, made("x"))
        assert session.cached(b"first") is not None


def test_a_key_is_kept_as_a_fingerprint_alone() -> None:
    service = Service()
    completion(service, asking(), key="op-very-secret", op_cache="readWrite", op_tags={"a": "b"})
    ask(service, asking(n=0), key="op-very-secret")
    session = service.sessions.default
    kept = [vars(session), *map(vars, session.logs.values())]
    assert "op-very-secret" not in repr(kept)
    assert list(session.logs) == [fingerprint(b"op-very-secret")]
    assert len(fingerprint(b"")) == len(fingerprint(b"x" * 1000)) == 16
    assert fingerprint(b"a") != fingerprint(b"b")


def test_a_shelf_keeps_as_many_values_as_it_may() -> None:
    session = Session()
    for number, identity in enumerate(numbered(5)):
        assert state.remember(session.counts, identity, number, 3) == number
    assert list(session.counts) == [b"2", b"3", b"4"]


def test_looking_at_a_log_makes_none_go() -> None:
    session = Session()
    for number in range(MOST_LOGS):
        session.log(b"%d" % number)
    session.read_log(b"another")
    assert len(session.logs) == MOST_LOGS
    assert b"0" in session.logs


def test_long_completions_go_before_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openpipe_mock.sessions.memory.MOST_CACHED_TOKENS", 100)
    session = Session()
    long = Completion("long", 0, "m", (Choice(("word",) * 30, "stop"),), 0)
    for number in range(6):
        session.store(b"%d" % number, long)
    assert len(session.cache) == 3
    assert b"0" not in session.cache


def test_no_number_of_different_requests_makes_a_sequence_begin_anew() -> None:
    session = Session()
    assert session.count("a sequence") == 1
    for number in range(MOST_COUNTERS + 1):
        session.count(number.to_bytes(4))
    assert session.count("a sequence") == 2
