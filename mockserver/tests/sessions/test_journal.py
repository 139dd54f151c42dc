"""The journal: what it keeps of an exchange, how much of it, and nothing secret."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.secrets import MASK
from openpipe_mock.sessions.diagnosis import detail
from openpipe_mock.sessions.inspection import summary
from openpipe_mock.sessions.journal import MOST_KEPT, MOST_PIECES, OVERHEAD, Entry, Journal
from tests import inprocess
from tests.controlling import CHAT, Mock
from tests.inprocess import HEADERS, JUDGE, MINIMAL
from tests.remembering import bounded

Json = Any

TOKEN = b"op-private-1"
SETTINGS = Settings()


def entry(number: int = 1, **members: Any) -> Entry:
    headers = members.pop("headers", {b"authorization": b"Bearer " + TOKEN, b"accept": b"*/*"})
    path = members.pop("path", JUDGE)
    return Entry(number, "default", "POST", path, headers, SETTINGS, endpoint="judge", **members)


def added(**members: Any) -> Entry:
    """An exchange once it is kept."""
    journal = Journal()
    journal.add(entry(**members), TOKEN)
    return journal.entries[0]


def everything(kept: Entry) -> str:
    """All that is kept of an exchange, as a text."""
    return repr(kept) + json.dumps(detail(kept))


def test_what_holds_no_secret_is_kept_as_it_came() -> None:
    kept = added(body=b'{ "a": 1 }', answer=b"[]", violations=("/a: no",), notes=("n",), criteria=("c@v1",))
    assert (kept.body, kept.answer, kept.violations, kept.notes, kept.criteria) == (
        b'{ "a": 1 }',
        b"[]",
        ("/a: no",),
        ("n",),
        ("c@v1",),
    )


def test_the_newest_come_first_and_are_found_by_number() -> None:
    journal = Journal()
    for number in (1, 2, 3):
        journal.add(entry(number), TOKEN)
    assert [each.number for each in journal.newest_first()] == [3, 2, 1]
    assert journal.find(2) is journal.entries[1]
    assert journal.find(4) is None


def test_the_number_of_exchanges_is_bounded() -> None:
    journal = bounded(Journal(), most_entries=3)
    for number in range(1, 6):
        journal.add(entry(number), TOKEN)
    assert ([each.number for each in journal.entries], journal.dropped) == ([3, 4, 5], 2)
    assert journal.clear() == 3
    assert (journal.bytes, journal.dropped, len(journal.entries)) == (0, 0, 0)


@given(sizes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 50)), max_size=20))
def test_the_bytes_are_bounded_and_counted(sizes: list[tuple[int, int, int]]) -> None:
    journal = bounded(Journal(), most_bytes=20_000)
    for number, (body, answer, scores) in enumerate(sizes):
        every = [{str(score): 0.5 for score in range(scores)}]
        journal.add(entry(number, body=b"x" * body, answer=b"y" * answer, scores=every), TOKEN)
    assert journal.bytes == sum(each.size for each in journal.entries) <= 20_000
    assert journal.dropped == len(sizes) - len(journal.entries)
    for each in journal.entries:
        assert each.size >= OVERHEAD + len(each.body or b"") + len(each.answer)


@given(st.dictionaries(st.binary(max_size=2000), st.binary(max_size=2000), max_size=5))
def test_headers_count_with_their_names(headers: dict[bytes, bytes]) -> None:
    journal = bounded(Journal(), most_bytes=20_000)
    for number in range(10):
        journal.add(entry(number, headers=headers), TOKEN)
    assert journal.kept * (OVERHEAD + len(JUDGE) + sum(map(len, (*headers, *headers.values())))) <= 20_000
    assert journal.kept + journal.dropped == 10


def test_rules_that_were_passed_over_count_with_their_reasons() -> None:
    """A session may have a thousand of them, and each request has the reason of each."""
    journal, passed = Journal(), tuple((f"/completions/{number}", "no" * number) for number in range(100))
    journal.add(entry(1), TOKEN)
    journal.add(entry(2, passed=passed), TOKEN)
    plain, heavy = journal.entries
    held = sum(sys.getsizeof(each) + sys.getsizeof(each[1]) for each in passed)
    assert heavy.size - plain.size >= held


def test_nobody_reads_what_is_only_counted() -> None:
    journal = bounded(Journal(), most_entries=3)
    for number in range(5):
        journal.add(entry(number), TOKEN)
    assert (journal.kept, len(journal.unread), len(journal.read)) == (3, 3, 0)
    assert [each.number for each in journal.entries] == [2, 3, 4]
    assert (journal.kept, len(journal.unread), len(journal.read)) == (3, 0, 3)


# Long exchanges


@pytest.mark.parametrize(
    ("body", "answer", "kept_body", "kept_answer"),
    [
        (MOST_KEPT, 0, MOST_KEPT, 0),
        (MOST_KEPT + 9, 0, MOST_KEPT, 0),
        (10, MOST_KEPT * 3, 10, MOST_KEPT - 10),
        (MOST_KEPT, MOST_KEPT, MOST_KEPT // 2, MOST_KEPT // 2),
        (MOST_KEPT * 2, 100, MOST_KEPT - 100, 100),
    ],
)
def test_of_a_long_exchange_the_beginnings_are_kept(
    body: int, answer: int, kept_body: int, kept_answer: int
) -> None:
    kept = added(body=b"b" * body, answer=b"a" * answer)
    assert (kept.body, kept.answer) == (b"b" * kept_body, b"a" * kept_answer)
    assert (kept.body_left_out, kept.answer_left_out) == (body - kept_body, answer - kept_answer)
    assert kept.size <= MOST_KEPT + 2 * OVERHEAD


@pytest.mark.slow
@pytest.mark.parametrize("before", range(-30, 5))
def test_no_secret_is_cut_in_two(before: int) -> None:
    secrets = (TOKEN, b"sk-verysecretkey", b"Bearer abcdefghijkl")
    for secret in secrets:
        body = b"x" * (MOST_KEPT + before - 1) + b" " + secret + b" " + b"x" * 1000
        kept = added(body=body).body or b""
        assert secret[:9] not in kept
        assert len(kept) <= MOST_KEPT


def test_masks_that_shorten_a_long_body_let_no_half_secret_in() -> None:
    body = (TOKEN + b" ") * (MOST_KEPT // 8)
    assert set((added(body=body).body or b"").split(b" ")) <= {b"***", b"**", b"*", b""}


def test_a_stream_of_which_only_a_beginning_came_keeps_no_half_secret() -> None:
    sent = b"x" * (MOST_KEPT - 5) + b" " + TOKEN
    kept = added(answer=sent[:MOST_KEPT], answer_left_out=1000, streamed=True)
    assert set(kept.answer) == {ord("x")}
    assert kept.answer_left_out == 1000


def test_a_long_body_is_said_to_be_cut() -> None:
    shown = detail(added(body=b'{"a": "' + b"x" * MOST_KEPT * 2 + b'"}'))
    assert shown["request"]["bytes_left_out"] == MOST_KEPT + 9
    assert shown["request"]["body"].startswith('{"a": "xxx')


# Secrets


def test_secret_headers_are_masked() -> None:
    names = (b"authorization", b"cookie", b"x-api-key", b"proxy-authorization", b"x-goog-token")
    kept = added(headers=dict.fromkeys(names, b"hunter2"))
    assert set(kept.headers.values()) == {MASK.encode()}


@pytest.mark.parametrize(
    "members",
    [
        {"path": "/op-private-1/x?api_key=op-private-1"},
        {"path": "/op%2Dprivate-1"},
        {"headers": {b"authorization": b"Bearer op-private-1", b"x-echo": b"op-private-1"}},
        {"body": b'{"content": "op-private-1"}'},
        {"body": b'{"content": "op\\u002dprivate-1"}'},
        {"body": b"not JSON op-private-1"},
        {"answer": b'{"message": "op-private-1 is no key"}'},
        {"answer": b'data: {"a": "op-private-1"}\n\n', "streamed": True},
        {"violations": ('/x: got "op-private-1"',)},
        {"notes": ('"op-private-1" is not declared',)},
        {
            "body": b'{"criterion_id": "op-private-1"}',
            "criteria": ("op-private-1@v1",),
            "scores": [{"op-private-1": 1}],
        },
    ],
)
def test_the_token_is_kept_nowhere(members: dict[str, Any]) -> None:
    assert "op-private-1" not in everything(added(**members))


@pytest.mark.parametrize("secret", ["sk-abcdefgh", "opk_abcdefgh", "opk-abcdefgh", "Bearer abcdefgh"])
def test_what_looks_like_a_key_is_kept_nowhere(secret: str) -> None:
    said = f'x "{secret}"'
    body = json.dumps({"content": said, secret: [secret]}).encode()
    kept = added(
        body=body, answer=body, violations=(said,), notes=(said,), headers={b"referer": said.encode()}
    )
    assert "abcdefgh" not in everything(kept)


def test_a_key_that_was_refused_is_a_secret_too() -> None:
    mock = Mock(Settings(keys=("op-good-key",)))
    wrong = {**HEADERS, b"authorization": b"Bearer op-wrong-key"}
    assert mock.send(JUDGE, {**MINIMAL, "criterion_id": "op-wrong-key"}, headers=wrong).status == 401
    assert mock.send("/api/v1/op-wrong-key", {}, headers=wrong).status == 404
    for each in mock.service.sessions.default.journal.entries:
        assert "op-wrong-key" not in everything(each)


def test_what_an_error_quotes_of_a_body_that_is_no_json_is_masked() -> None:
    mock = Mock()
    reply = mock.send("/api/v1/criteria/judge", b"password=hunter2&a=b")
    assert b"hunter2" in reply.body, "the client gets it back"
    mock.send("/api/v1/criteria/judge", b"password: hunter2, a: b")
    for each in mock.service.sessions.default.journal.entries:
        assert b"hunter2" not in each.answer
        assert b"hunter2" not in (each.body or b"")
        assert "hunter2" not in "".join(each.violations)


def test_of_several_tokens_in_one_header_none_is_kept() -> None:
    mock = Mock()
    headers = {**HEADERS, b"authorization": b"Bearer op-one-1, Bearer op-two-2"}
    mock.judge(text="op-one-1 op-two-2", headers={**headers, b"x-note": b"op-two-2"})
    mock.judge(text="x" * 70_000 + "op-one-1", headers=headers)
    for each in mock.service.sessions.default.journal.entries:
        assert "op-one-1" not in repr(each)
        assert "op-two-2" not in repr(each)


def test_a_token_in_an_address_is_masked() -> None:
    mock = Mock()
    headers = {**HEADERS, b"authorization": b"Bearer op-one-1", b"referer": b"http://x/?k=%6fp%2Done-1"}
    mock.judge(headers=headers)
    [kept] = mock.service.sessions.default.journal.entries
    assert kept.headers[b"referer"] == b"http://x/?k=***"


def test_a_short_token_is_masked_in_headers_alone() -> None:
    journal = Journal()
    headers = {b"authorization": b"Bearer test", b"x-key": b"test", b"accept": b"*/*"}
    journal.add(entry(headers=headers, body=b'"a test"'), b"test")
    [kept] = journal.entries
    assert kept.headers == {b"authorization": b"***", b"x-key": b"***", b"accept": b"*/*"}
    assert kept.body == b'"a test"'


def test_a_secret_that_an_answer_repeats_in_pieces_is_kept_nowhere() -> None:
    mock = Mock()
    mock.chat("say op-other now", model="openpipe:mock-echo", stream=True)
    mock.send(
        CHAT,
        {
            "model": "openpipe:mock-echo",
            "stream": True,
            "messages": [{"role": "user", "content": "my key is op-private-1"}],
        },
        headers={**HEADERS, b"authorization": b"Bearer " + TOKEN},
    )
    first, second = mock.service.sessions.default.journal.entries
    assert spoken(first) == "say op-other now"
    assert spoken(second) == "my key is ***"
    assert second.streamed


def spoken(kept: Entry) -> str:
    """What a stream's events say."""
    events = [event for event in detail(kept)["answer"]["events"] if isinstance(event, dict)]
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])


@given(
    body=st.binary(max_size=200),
    path=st.text(max_size=20),
    answer=st.binary(max_size=200),
    headers=st.dictionaries(st.binary(max_size=20), st.binary(max_size=30), max_size=4),
    token=st.binary(max_size=10),
    streamed=st.booleans(),
)
def test_whatever_comes_is_kept_and_shown(
    body: bytes, path: str, answer: bytes, headers: dict[bytes, bytes], token: bytes, streamed: bool
) -> None:
    journal = Journal()
    journal.add(entry(body=body, path=path, answer=answer, headers=headers, streamed=streamed), token)
    [kept] = journal.entries
    assert json.loads(json.dumps(detail(kept)))["id"] == summary(kept)["id"] == "default-1"
    if len(token) >= 6 and b"*" not in token:
        assert token not in (kept.body or b"") + b"\n" + kept.answer


def test_half_a_character_in_a_path_is_shown_as_a_question_mark() -> None:
    assert summary(added(path="/\ud800"))["path"] == "/?"


def test_a_client_that_hung_up_has_no_time() -> None:
    assert summary(added())["ms"] is None
    assert summary(added(seconds=0.0123))["ms"] == 12.3


# Times, headers and ranking


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    assert summary(added(time=1_796_137_200.1239))["time"] == "2026-12-01T15:00:00.123Z"
    assert summary(added(time=1_796_137_200.0))["time"] == "2026-12-01T15:00:00.000Z"


def test_the_headers_of_an_answer_are_kept_without_secrets() -> None:
    sent = ((b"set-cookie", b"a"), (b"x-echo", b"is " + TOKEN), (b"vary", b"a"), (b"vary", b"b"))
    kept = added(answer_headers=sent)
    expected = {"set-cookie": MASK, "x-echo": f"is {MASK}", "vary": "a, b"}
    assert detail(kept)["answer"]["headers"] == expected
    assert TOKEN.decode() not in everything(kept)


def test_an_event_was_sent_with_the_piece_that_holds_its_end() -> None:
    answer, pieces = b"data: 1\n\ndata: 2\n\ndata: 3\n\n", ((0.1, 4), (0.2, 9), (0.5, 20), (0.9, 27))
    shown = detail(added(streamed=True, answer=answer, pieces=pieces))["answer"]
    assert (shown["events"], shown["events_ms"]) == ([1, 2, 3], [200, 500, 900])


def test_a_masked_stream_keeps_its_times_and_one_without_has_none() -> None:
    answer = b"data: " + TOKEN + b"\n\ndata: 2\n\n"
    masked = detail(added(streamed=True, answer=answer, pieces=((1.0, 20), (2.0, len(answer)))))
    assert masked["answer"]["events_ms"] == [1000, 2000]
    assert detail(added(streamed=True, answer=answer))["answer"]["events_ms"] == [None, None]


def test_the_times_of_pieces_count_as_bytes() -> None:
    journal = Journal()
    journal.add(entry(pieces=tuple((0.5, number) for number in range(MOST_PIECES))), TOKEN)
    assert journal.bytes > MOST_PIECES * 64


def test_a_long_body_is_parsed_and_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def again(_: bytes) -> Json:
        raise AssertionError("it was parsed already")

    monkeypatch.setattr("openpipe_mock.sessions.journal.parse", again)
    mock = Mock()
    message = {"role": "user", "content": ""}
    tool = {"type": "function", "function": {"name": "f", "description": "x" * MOST_KEPT}}
    for conversation in ({"messages": [message], "tools": [tool]}, {"messages": [message] * 5000}):
        assert inprocess.answer(mock.service, {**MINIMAL, "input": conversation}).status == 200
    entries = mock.service.sessions.default.journal.entries
    assert [entry.readable for entry in entries] == [True, False]
