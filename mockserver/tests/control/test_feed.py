"""The feed: what the journal gets, as it comes, and what it kept for a client that comes back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from openpipe_mock.control import feed
from openpipe_mock.control.api import Control
from openpipe_mock.control.feed import MOST_FEEDS
from openpipe_mock.control.guard import Guard
from openpipe_mock.core.effects import Begin, Effects, Head, Piece, Reply, Tick, Wait
from openpipe_mock.core.eventstream import read_events
from openpipe_mock.sessions.journal import Journal, number_from
from tests.controlling import SAFE, Mock, validator
from tests.inprocess import answer
from tests.live import PATIENCE, Live, serving

Json = Any


@dataclass
class Reader:
    """A client of a feed in this process. `now`: what the clock says, which the feed's pauses move."""

    exchange: Effects
    now: float = 0.0
    begun: Begin | None = None
    pauses: int = 0

    def look(self) -> bytes:
        """What the feed sends until it pauses."""
        sent, result = b"", None
        while True:
            effect = self.exchange.send(result)
            result = self.now if isinstance(effect, Piece | Tick) else None
            if isinstance(effect, Begin):
                self.begun = effect
            elif isinstance(effect, Piece):
                sent += effect.data
            elif isinstance(effect, Wait):
                self.pauses += 1
                self.now += effect.seconds
                return sent

    def requests(self) -> list[Json]:
        """The exchanges that the feed sends until it pauses."""
        return [json.loads(event.data) for event in read_events(self.look()).events]


def following(mock: Mock, query: str = "", path: str = "/_mock/events", last: str = "") -> Reader:
    headers = {b"last-event-id": last.encode()} if last else {}
    return Reader(mock.control.exchange(Head("GET", path, headers, query.encode())))


def refused(reader: Reader) -> Reply:
    with pytest.raises(StopIteration) as stop:
        next(reader.exchange)
    reply: Reply = stop.value.value
    return reply


def listed(mock: Mock, query: str = "session=*") -> list[Json]:
    """The journal, oldest first."""
    found: list[Json] = mock.json("GET", "/requests", query=query)["requests"]
    return found[::-1]


def test_each_exchange_comes_once_as_the_list_shows_it() -> None:
    mock = Mock()
    mock.judge()
    reader = following(mock)
    assert reader.look() == b"retry: 1000\n\n"
    mock.chat("x")
    mock.judge("brief")
    assert reader.requests() == listed(mock)[1:]
    assert reader.requests() == []
    assert reader.begun
    assert set(reader.begun.headers) >= SAFE
    assert (b"content-type", b"text/event-stream") in reader.begun.headers


def test_an_event_is_named_and_has_the_sequence_number_as_its_id() -> None:
    mock = Mock()
    reader = following(mock)
    reader.look()
    mock.judge()
    name, number, data, *_ = reader.look().decode().split("\n")
    [shown] = listed(mock)
    assert (name, number) == ("event: request", f"id: {shown['sequence']}")
    holds = validator(("components", "schemas", "Request")).is_valid
    assert holds(json.loads(data.removeprefix("data: ")))


def test_who_comes_back_gets_what_was_kept_meanwhile() -> None:
    mock = Mock()
    for text in "abcd":
        mock.judge(text=text)
    kept = listed(mock)
    assert following(mock, last=str(kept[1]["sequence"])).requests() == kept[2:]
    assert following(mock, f"after={kept[2]['sequence']}").requests() == kept[3:]
    assert following(mock, "after=0", last=str(kept[2]["sequence"])).requests() == kept[3:]
    assert following(mock, "after=0", last="no number").requests() == kept


def test_a_number_from_elsewhere_means_only_what_is_new() -> None:
    mock = Mock()
    mock.judge()
    reader = following(mock, last="9" * 18)
    assert reader.requests() == []
    mock.judge()
    assert reader.requests() == listed(mock)[1:]


def test_a_new_process_numbers_above_the_one_before() -> None:
    before = Journal()
    answer(Mock().service)
    number_from(10**17)
    mock = Mock()
    mock.judge()
    number_from(5)
    mock.judge()
    first, second = (shown["sequence"] for shown in listed(mock))
    assert 10**17 <= first < second
    assert before.newest == 0


def test_a_reset_and_an_emptied_journal_lose_nothing_that_comes_after() -> None:
    mock = Mock()
    reader = following(mock)
    reader.look()
    for clear in ("/reset", "/requests"):
        mock.judge()
        mock.judge()
        assert len(reader.requests()) == 2
        mock.ask("POST" if clear == "/reset" else "DELETE", clear)
        assert reader.requests() == []
        mock.judge()
        assert len(reader.requests()) == 1


def test_a_session_is_followed_alone_and_all_of_them_in_order() -> None:
    mock = Mock()
    mock.json("POST", "/sessions", {"name": "a"}, status=201)
    one, every, default = (
        following(mock, path="/_mock/sessions/a/_mock/events"),
        following(mock, "session=*"),
        following(mock),
    )
    for reader in (one, every, default):
        reader.look()
    for session in ("a", "", "b", "a"):
        mock.chat("x", session=session)
    assert [shown["id"] for shown in one.requests()] == ["a-1", "a-2"]
    assert [shown["id"] for shown in every.requests()] == ["a-1", "default-1", "b-1", "a-2"]
    assert [shown["id"] for shown in default.requests()] == ["default-1"]


def test_to_follow_a_session_is_not_to_use_it() -> None:
    mock = Mock()
    mock.json("POST", "/sessions", {"name": "a"}, status=201)
    reader = following(mock, "session=a")
    reader.look()
    mock.service.sessions.named["a"].used_at = 7.0
    reader.look()
    assert mock.service.sessions.named["a"].used_at == 7.0


def test_filters_choose_what_is_sent() -> None:
    mock = Mock()
    reader = following(mock, "endpoint=judge&status=4xx")
    reader.look()
    mock.judge()
    mock.judge("")
    mock.chat("x")
    assert [shown["status"] for shown in reader.requests()] == [404]


def test_silence_is_filled_with_a_comment() -> None:
    reader = following(Mock())
    looks = [reader.look()]
    while b"" not in looks or looks[-1] == b"":
        looks.append(reader.look())
    assert looks[-1] == b": still here\n\n"
    assert reader.now >= feed.HEARTBEAT_SECONDS
    assert reader.pauses <= feed.HEARTBEAT_SECONDS / feed.LOOK_SECONDS + 2


def test_much_comes_in_portions_without_waiting_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_AT_ONCE", 2)
    mock = Mock()
    for text in "abcde":
        mock.judge(text=text)
    reader = following(mock, "after=0")
    portions = [reader.requests() for _ in range(3)]
    assert [len(portion) for portion in portions] == [2, 2, 1]
    assert [shown for portion in portions for shown in portion] == listed(mock)
    assert reader.now == feed.LOOK_SECONDS


def test_what_is_wrong_is_told_before_the_feed_begins() -> None:
    mock = Mock()
    for query, status in (("after=x", 400), ("after=-1", 400), ("session=nobody", 404), ("limit=3", 400)):
        assert refused(following(mock, query)).status == status
    head = Head("GET", "/_mock/events", {b"host": b"x"}, peer="192.0.2.1")
    assert refused(Reader(Control(mock.service, Guard()).exchange(head))).status == 403
    assert mock.ask("HEAD", "/events").body == b""


def test_feeds_are_bounded_and_one_that_ends_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openpipe_mock.control.api.MOST_FEEDS", 2)
    mock = Mock()
    readers = [following(mock) for _ in range(2)]
    for reader in readers:
        reader.look()
    assert refused(following(mock)).status == 429
    readers[0].exchange.close()
    assert following(mock).look()


@contextmanager
def feed_of(client: httpx.Client, headers: dict[str, str] | None = None) -> Iterator[Iterator[str]]:
    """The lines of a feed on a socket."""
    with client.stream("GET", "/_mock/events?session=*", headers=headers, timeout=PATIENCE) as got:
        assert (got.status_code, got.headers["content-type"]) == (200, "text/event-stream")
        yield got.iter_lines()


def next_event(lines: Iterator[str]) -> tuple[int, Json]:
    """The id and the data of the next event."""
    number = next(line for line in lines if line.startswith("id: "))
    data = next(line for line in lines if line.startswith("data: "))
    return int(number.removeprefix("id: ")), json.loads(data.removeprefix("data: "))


def test_a_client_on_a_socket_is_told_and_comes_back(live: Live) -> None:
    body = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1"}}
    headers = {"authorization": "Bearer op-test", "x-mock-session": "fed"}
    with httpx.Client(base_url=live.origin) as client:
        with feed_of(client) as lines:
            assert next(lines) == "retry: 1000"
            client.post("/api/v1/criteria/judge", json=body, headers=headers)
            number, shown = next_event(lines)
            assert (shown["session"], shown["sequence"], shown["status"]) == ("fed", number, 200)
        for _ in "12":
            client.post("/api/v1/criteria/judge", json=body, headers=headers)
        with feed_of(client, {"last-event-id": str(number)}) as lines:
            later = [next_event(lines) for _ in "12"]
    assert [seen["id"] for _, seen in later] == [f"fed-{int(shown['id'][4:]) + step}" for step in (1, 2)]
    assert number < later[0][0] < later[1][0]


@pytest.mark.slow
def test_an_open_feed_keeps_no_server_from_ending_and_who_leaves_makes_room() -> None:
    with serving("--quiet") as live, httpx.Client(base_url=live.origin) as client:
        for _ in range(MOST_FEEDS):
            with feed_of(client) as lines:
                next(lines)
        with feed_of(client) as lines:
            next(lines)
            assert live.stop()[0] == 0
            assert live.log.read_text() == ""
