"""What takes long holds nobody else up: heavy bodies, a slow Redis, many streams."""

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import httpx
import pytest

from openpipe_mock.core.effects import Begin, Effects, Head, Piece, Reply, Wait
from openpipe_mock.server.asgi import create_app
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.server.transport import ExchangeApp
from openpipe_mock.server.turns import HEAVY_BYTES, SharedSteps, Turns, turns
from openpipe_mock.service.request import Visit
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.memory import Session, Sessions
from openpipe_mock.testing.live import LiveServer
from tests.inprocess import JUDGE, MINIMAL, answer
from tests.live import PATIENCE

Json = Any
HEAVY = {**MINIMAL, "metadata": {"text": "x" * HEAVY_BYTES}}
HEALTH = "/_mock/health"
KEY = {"Authorization": "Bearer op-local"}


class Gate:
    """Where a thread stops until it is let go on."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def stop(self) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE), "nobody was answered meanwhile"


class Heavy:
    """A source of answers that stops at a gate for heavy bodies, and leaves all answers to the mock."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.missed: list[str] = []
        self.asked: list[int] = []

    def answer(self, visit: Visit) -> None:
        self.asked.append(visit.entry.number)
        if len(visit.entry.body or b"") > HEAVY_BYTES:
            self.gate.stop()

    def unused(self) -> list[str]:
        return []

    def close(self) -> None:
        pass


class Slow(Sessions):
    """Sessions that are asked as a Redis is, and don't answer before a gate opens."""

    is_remote = True

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def find(self, name: str, at: float, *, make: bool = True) -> Session:
        if name == "slow":
            self.gate.stop()
        return super().find(name, at, make=make)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@asynccontextmanager
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=KEY) as client,
    ):
        yield client


@pytest.mark.parametrize("app_of", [create_app, DirectApp])
def test_health_is_answered_while_a_heavy_body_is_in_work_and_requests_keep_their_order(
    app_of: Callable[[Service], Any], gate: Gate
) -> None:
    source = Heavy(gate)
    app = app_of(Service(source=source))

    async def run() -> list[str]:
        async with client(app) as mock:
            heavy = asyncio.create_task(mock.post(JUDGE, json=HEAVY))
            assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
            later = [asyncio.create_task(mock.post(JUDGE, json=MINIMAL)) for _ in range(3)]
            for path in (HEALTH, "/_mock/openapi.yaml", "/"):
                assert (await mock.get(path)).status_code == 200
            assert not any(task.done() for task in (heavy, *later))
            gate.opened.set()
            return [(await task).headers["x-request-id"] for task in (heavy, *later)]

    assert asyncio.run(run()) == [f"default-{number}" for number in (1, 2, 3, 4)]
    assert source.asked == [1, 2, 3, 4]


def test_a_test_that_steers_its_server_waits_for_a_heavy_body_in_work(gate: Gate) -> None:
    live = LiveServer(Service(source=Heavy(gate)))
    live.start()
    done: list[str] = []
    with httpx.Client(base_url=live.origin, headers=KEY, timeout=PATIENCE) as client:
        asking = threading.Thread(target=lambda: done.append(client.post(JUDGE, json=HEAVY).request.method))
        steering = threading.Thread(target=lambda: live.at_once(lambda: done.append("steered")))
        asking.start()
        assert gate.reached.wait(PATIENCE)
        steering.start()
        for _ in range(3):  # each takes several turns of the loop, in which the action could run
            assert httpx.get(f"{live.origin}{HEALTH}").status_code == 200
        assert done == []
        gate.opened.set()
        steering.join(PATIENCE)
        asking.join(PATIENCE)
    live.stop()
    assert sorted(done) == ["POST", "steered"]


def test_a_heavy_body_gets_the_bytes_that_it_gets_elsewhere(gate: Gate) -> None:
    gate.opened.set()

    async def run(app: Any) -> list[bytes]:
        async with client(app) as mock:
            bodies = (HEAVY, {**HEAVY, "output": None})
            return [(await mock.post(JUDGE, json=body)).content for body in bodies]

    expected = [answer(Service(), body).body for body in (HEAVY, {**HEAVY, "output": None})]
    assert asyncio.run(run(DirectApp())) == asyncio.run(run(create_app())) == expected


def test_a_body_that_came_whole_and_is_heavy_is_not_answered_in_the_callback_that_read_it() -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "path": JUDGE,
        "headers": [(b"authorization", b"Bearer op-local"), (b"content-type", b"application/json")],
        "query_string": b"",
        "client": ("127.0.0.1", 1),
    }
    app = DirectApp()
    assert app.at_once(scope, json.dumps(HEAVY).encode()) is None
    assert isinstance(app.at_once(scope, json.dumps(MINIMAL).encode()), Reply)


def test_a_request_that_is_cut_off_in_a_thread_is_ended_once_the_thread_is_done(gate: Gate) -> None:
    service = Service(source=Heavy(gate))

    async def run() -> None:
        async with client(create_app(service)) as mock:
            heavy = asyncio.create_task(mock.post(JUDGE, json=HEAVY))
            assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
            for _ in range(3):
                heavy.cancel()
                await asyncio.sleep(0)
                assert not heavy.done()
            gate.opened.set()
            with pytest.raises(asyncio.CancelledError):
                await heavy

    asyncio.run(run())
    assert service.sessions.default.under_way == 0
    assert service.sessions.default.journal.kept == 1


def test_while_a_redis_is_slow_only_those_wait_who_need_it(gate: Gate) -> None:
    service = Service(sessions=Slow(gate))

    async def run() -> None:
        async with client(DirectApp(service)) as mock:
            slow = asyncio.create_task(mock.post(JUDGE, json=MINIMAL, headers={"x-mock-session": "slow"}))
            assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
            for path in (HEALTH, "/_mock/openapi.yaml", "/", "/_mock/status"):
                assert (await mock.get(path)).status_code == 200
            assert (await mock.post(JUDGE, json=MINIMAL)).status_code == 200
            assert not slow.done()
            gate.opened.set()
            assert (await slow).status_code == 200

    asyncio.run(run())


def test_streams_go_on_few_at_a_time() -> None:
    others: list[int] = []

    async def run() -> int:
        loop = asyncio.get_running_loop()
        turns, woken = Turns(), 0

        async def stream() -> None:
            nonlocal woken
            await turns.turn()
            woken += 1

        def other() -> None:
            others.append(woken)
            if woken < 100:
                loop.call_soon(other)

        streams = [asyncio.create_task(stream()) for _ in range(100)]
        loop.call_soon(other)
        await asyncio.gather(*streams)
        return woken

    assert asyncio.run(run()) == 100
    assert max(later - earlier for earlier, later in pairwise(others)) == 16


def test_a_stream_that_waits_takes_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[object] = []
    join = Turns.join

    def counted(self: Turns, future: asyncio.Future[Any]) -> None:
        joined.append(future)
        join(self, future)

    monkeypatch.setattr(Turns, "join", counted)

    def exchange(_: Head) -> Effects:
        yield Begin(200, ())
        yield Piece(b"one")
        yield Wait(0)
        yield Piece(b"two")
        return Reply(200, b"")

    async def run() -> bytes:
        async with client(ExchangeApp(exchange)) as mock:
            return (await mock.get("/")).content

    assert asyncio.run(run()) == b"onetwo"
    assert len(joined) == 3  # it begins in a turn too


def test_an_event_loop_that_is_gone_leaves_no_turns_behind() -> None:
    async def run() -> weakref.ref[Any]:
        await turns().turn()
        assert turns() is turns()
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(run())
    gc.collect()
    assert loop() is None


def test_steps_outlive_the_event_loop_in_which_they_were_waited_for() -> None:
    steps, order = SharedSteps(), list[int]()

    async def run() -> None:
        waiting = (steps.run(partial(order.append, number), heavy=True) for number in range(3))
        await asyncio.gather(*waiting)
        assert steps.is_free

    asyncio.run(run())
    asyncio.run(run())
    assert order == [0, 1, 2] * 2
