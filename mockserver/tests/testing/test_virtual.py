"""Exchanges in this process: effects carried out, virtual time, clients that hang up, threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from openpipe_mock.core.effects import (
    Begin,
    Break,
    Effects,
    Entropy,
    Head,
    Now,
    Piece,
    ReadBody,
    Reply,
    Tick,
    Wait,
)
from openpipe_mock.service.service import Service
from openpipe_mock.testing.virtual import ConnectionBroken, Journey, TooSlow, VirtualClock, carry_out
from tests.inprocess import HEADERS, JUDGE

ENDED = Reply(200, b"done")


def waiting(*seconds: float) -> Effects:
    for each in seconds:
        yield Wait(each)
    return ENDED


def streaming(*steps: Piece | Wait | Break) -> Effects:
    for effect in (Begin(200, ()), *steps):  # noqa: UP028 - a tuple cannot be sent the time
        yield effect
    return ENDED


def pieces(answer: Journey) -> list[bytes]:
    return list(answer.pieces())


def test_every_effect_gets_what_it_asks_for() -> None:
    seen: list[object] = []

    def exchange() -> Effects:
        for effect in (ReadBody(3), ReadBody(2), Tick(), Entropy(5), Wait(1), Tick()):
            seen.append((yield effect))
        seen.append((yield Now()) > 1_700_000_000)
        return ENDED

    assert carry_out(exchange(), b"abc", VirtualClock(2.0)).whole == b"done"
    body, too_long, came, entropy, waited, later, real = seen
    assert (body, too_long, came, waited, later, real) == (b"abc", None, 2.0, None, 3.0, True)
    assert isinstance(entropy, bytes)
    assert len(entropy) == 5


def test_waiting_moves_the_clock_and_nothing_else_does() -> None:
    clock = VirtualClock()
    carry_out(waiting(10, 5), b"", clock)
    assert clock.now == 15
    clock.advance(60)
    assert clock.now == 75


def test_time_never_goes_back() -> None:
    with pytest.raises(ValueError, match="expected seconds from 0, got -1"):
        VirtualClock().advance(-1)


@pytest.mark.parametrize("waits", [(5.1,), (3, 3)])
def test_a_client_loses_its_patience(waits: tuple[float, ...]) -> None:
    clock = VirtualClock()
    with pytest.raises(TooSlow):
        carry_out(waiting(*waits), b"", clock, patience=5)
    assert clock.now == 5


def test_patience_that_just_suffices() -> None:
    assert carry_out(waiting(5), b"", VirtualClock(), patience=5).whole == b"done"


def test_patience_begins_anew_with_each_piece() -> None:
    exchange = streaming(Wait(4), Piece(b"a"), Wait(4), Piece(b"b"))
    assert pieces(carry_out(exchange, b"", VirtualClock(), patience=5)) == [b"a", b"b"]


def test_patience_ends_in_mid_stream() -> None:
    answer = carry_out(streaming(Piece(b"a"), Wait(6), Piece(b"b")), b"", VirtualClock(), patience=5)
    found = answer.pieces()
    assert next(found) == b"a"
    with pytest.raises(TooSlow):
        next(found)


def test_a_connection_breaks_before_an_answer() -> None:
    def exchange() -> Effects:
        yield Break()
        return Reply(0, b"")

    with pytest.raises(ConnectionBroken):
        carry_out(exchange(), b"", VirtualClock())


def test_a_connection_breaks_in_the_middle() -> None:
    found = carry_out(streaming(Piece(b"a"), Break()), b"", VirtualClock()).pieces()
    assert next(found) == b"a"
    with pytest.raises(ConnectionBroken):
        next(found)


def test_pieces_come_one_by_one_and_with_the_last_one_the_exchange_is_over() -> None:
    seen: list[str] = []

    def exchange() -> Effects:
        yield Begin(200, ())
        for name in "abc":
            seen.append(name)
            yield Piece(name.encode())
        seen.append("over")
        return ENDED

    found = carry_out(exchange(), b"", VirtualClock()).pieces()
    assert (next(found), seen) == (b"a", ["a", "b"])
    assert [next(found), next(found)] == [b"b", b"c"]
    assert seen == ["a", "b", "c", "over"]


def test_what_comes_behind_a_piece_costs_no_time_until_it_is_asked_for() -> None:
    clock = VirtualClock()
    ticks: list[float] = []

    def exchange() -> Effects:
        yield Begin(200, ())
        yield Piece(b"a")
        yield Wait(5)
        ticks.append((yield Tick()))
        yield Piece(b"b")
        return ENDED

    found = carry_out(exchange(), b"", clock).pieces()
    assert (next(found), clock.now, ticks) == (b"a", 0, [])
    assert (next(found), clock.now, ticks) == (b"b", 5, [5])


@pytest.mark.parametrize("taken", [0, 1])
def test_who_hangs_up_ends_the_exchange_whether_it_read_anything_or_not(taken: int) -> None:
    ends: list[str] = []

    def exchange() -> Effects:
        try:
            yield Begin(200, ())
            yield Piece(b"a")
            yield Piece(b"b")
        finally:
            ends.append("closed")
        return ENDED

    answer = carry_out(exchange(), b"", VirtualClock())
    found = answer.pieces()
    for _ in range(taken):
        next(found)
    assert ends == []
    answer.close()
    answer.close()
    assert ends == ["closed"]


def test_a_defect_closes_the_exchange_and_is_seen() -> None:
    def exchange() -> Effects:
        yield Tick()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        carry_out(exchange(), b"", VirtualClock())


def test_threads_take_turns() -> None:
    """Numbers are counted without a gap or a repeat."""
    service, clock = Service(), VirtualClock()
    body = b'{"criterion_id": "helpful", "output": {"role": "assistant"}}'

    def one(_: int) -> int:
        return carry_out(service.exchange(Head("POST", JUDGE, HEADERS)), body, clock).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(400))) == {200}
    numbers = [entry.number for entry in service.sessions.default.journal.entries]
    assert sorted(numbers) == list(range(1, 401))
