"""Which entry code belongs to: in threads, in tasks, in contexts that were made before, in any order."""

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Barrier, Lock
from types import SimpleNamespace
from typing import Any

import pytest

from openpipe_mock.testing.contexts import Active, Entered, Unclear, in_event_loop

TURN = Lock()


@contextmanager
def inside(active: Active[str], value: str) -> Iterator[Entered[str]]:
    with TURN:
        entry = active.enter(value)
    yield entry
    with TURN:
        active.leave(entry)


def here(active: Active[str]) -> str | None:
    """What this code belongs to."""
    entry = active.innermost()
    return entry.value if entry else None


def in_thread(function: Callable[[], Any]) -> Any:
    """What a function returns in a thread of its own, whose context is empty."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture
def active() -> Active[str]:
    return Active()


def test_code_belongs_to_the_innermost(active: Active[str]) -> None:
    assert here(active) is None
    with inside(active, "outer"):
        with inside(active, "inner") as inner:
            assert here(active) == "inner"
            assert list(active.around(inner)) == ["outer", "inner"]
        assert here(active) == "outer"
    assert here(active) is None


def test_entries_end_in_any_order_and_elsewhere(active: Active[str]) -> None:
    first, second = active.enter("first"), active.enter("second")
    in_thread(lambda: active.leave(first))
    assert here(active) == "second"
    copy_context().run(active.leave, second)
    assert here(active) is None


def test_a_thread_without_a_context_belongs_to_the_latest_of_those_in_one_another(
    active: Active[str],
) -> None:
    with inside(active, "outer"), inside(active, "inner"):
        assert in_thread(lambda: here(active)) == "inner"


def test_threads_with_entries_of_their_own_keep_to_them(active: Active[str]) -> None:
    together = Barrier(2, timeout=30)

    def work(name: str) -> list[str | None]:
        with inside(active, name):
            together.wait()
            found = [here(active), *sorted(entry.value for entry in active.entries)]
            together.wait()
            return found

    with inside(active, "outer"), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, "ab")) == [["a", "a", "b", "outer"], ["b", "a", "b", "outer"]]


def test_a_thread_that_is_inside_of_none_of_several_is_told_so(active: Active[str]) -> None:
    with inside(active, "outer") as outer:
        before = copy_context()

        def work() -> tuple[str | None, str | None]:
            with inside(active, "inner"):
                with pytest.raises(Unclear):
                    in_thread(lambda: here(active))
                return here(active), in_thread(lambda: before.run(here, active))

        assert in_thread(work) == ("inner", "outer")
        assert active.entries == (outer,)


def test_tasks_keep_to_their_own(active: Active[str]) -> None:
    async def work(name: str, together: asyncio.Barrier) -> list[str | None]:
        with inside(active, name):
            await together.wait()
            taken_along = await asyncio.to_thread(here, active)
            found = [here(active), taken_along, await asyncio.create_task(ask())]
            with pytest.raises(Unclear):
                await asyncio.get_running_loop().run_in_executor(None, here, active)
            await together.wait()
            return found

    async def ask() -> str | None:
        return here(active)

    async def run() -> list[list[str | None]]:
        together = asyncio.Barrier(2)
        async with asyncio.timeout(30):
            return list(await asyncio.gather(work("a", together), work("b", together)))

    with inside(active, "outer"):
        assert asyncio.run(run()) == [["a"] * 3, ["b"] * 3]


def test_a_task_of_another_belongs_to_what_is_around_both(active: Active[str]) -> None:
    async def run() -> str | None:
        entered, done = asyncio.Event(), asyncio.Event()

        async def other() -> None:
            with inside(active, "other"):
                entered.set()
                await done.wait()

        task = asyncio.create_task(other())
        await entered.wait()
        found = here(active)
        done.set()
        await task
        return found

    with inside(active, "outer"):
        assert asyncio.run(run()) == "outer"


def test_a_context_that_was_made_before_belongs_to_what_the_thread_is_inside_of(active: Active[str]) -> None:
    """So async tests are inside of a fixture, whose plugin made their context before it."""
    with inside(active, "session"):
        before = copy_context()
        with inside(active, "test"):
            assert before.run(here, active) == "test"
        assert before.run(here, active) == "session"


def test_what_a_suspended_task_entered_is_around_what_its_thread_enters_then(active: Active[str]) -> None:
    """As an async fixture of a module is around a fixture of a test, whose context doesn't know of it."""
    with asyncio.Runner() as runner:

        async def enter() -> Entered[str]:
            return active.enter("async fixture")

        outer = runner.run(enter())
        with inside(active, "fixture"):
            assert in_thread(lambda: here(active)) == "fixture"
        assert here(active) == "async fixture"
        active.leave(outer)


def test_what_has_ended_is_kept_by_no_context() -> None:
    class Value:
        pass

    active: Active[Value] = Active()
    entry = active.enter(Value())
    before, gone = copy_context(), weakref.ref(entry.value)
    active.leave(entry)
    del entry
    gc.collect()
    assert gone() is None
    assert before.run(active.innermost) is None


def test_loops_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> bool:
        return in_event_loop()

    assert not in_event_loop()
    assert asyncio.run(ask())
    trio = SimpleNamespace(current_trio_token=object)
    monkeypatch.setitem(sys.modules, "trio.lowlevel", trio)
    assert in_event_loop()
