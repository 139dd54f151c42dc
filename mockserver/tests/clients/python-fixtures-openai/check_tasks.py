"""Which mock answers async tests, by pytest-asyncio and anyio, on asyncio and trio, and what they start."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest
import pytest_asyncio

from openpipe_mock import NetworkRefused, patched

JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
URL = "https://api.openpipe.ai/api/v1/criteria/judge"
KEY = {"authorization": "Bearer op-local"}

pytestmark = pytest.mark.openpipe(seed=1)


def ask():
    return httpx.post(URL, json=JUDGE, headers=KEY).json()["score"]


async def ask_async():
    async with httpx.AsyncClient(headers=KEY) as client:
        return (await client.post(URL, json=JUDGE)).json()["score"]


def said(seed):
    """What a mock with a seed says."""
    with patched(seed=seed):
        return ask()


ONE, TWO, THREE = (said(seed) for seed in (1, 2, 3))


@pytest.fixture
def scripted(openpipe_mock):
    openpipe_mock.criterion("helpful").score(0.25)
    return openpipe_mock


@pytest.fixture
def entered():
    with patched(seed=2) as mock:
        yield mock


@pytest_asyncio.fixture
async def entered_in_a_task():
    with patched(seed=2) as mock:
        yield mock


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def entered_for_the_module():
    """In the task of a loop that all tests of it use, and that is made before their fixtures."""
    async with patched(seed=3) as mock:
        yield mock


async def everywhere():
    """What is said to a task, to its own tasks and to threads with and without its context."""
    loop = asyncio.get_running_loop()
    return {
        await ask_async(),
        ask(),
        *await asyncio.gather(ask_async(), ask_async()),
        await asyncio.to_thread(ask),
        await loop.run_in_executor(None, ask),
        await anyio.to_thread.run_sync(ask),
    }


# pytest-asyncio.


@pytest.mark.asyncio
async def test_a_loop_of_the_tests_own(scripted):
    assert await everywhere() == {0.25}
    scripted.judged("helpful", times=7)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("turn", range(2))
async def test_a_loop_of_the_module(openpipe_mock, openpipe_mock_module, turn):
    """The second time, loop and contexts are older than the mock."""
    openpipe_mock.criterion("helpful").score(turn)
    assert await everywhere() == {turn}
    openpipe_mock_module.judged(times=0)


@pytest.mark.asyncio(loop_scope="module")
async def test_in_one_that_a_task_entered(entered_for_the_module):
    assert await everywhere() == {THREE}


@pytest.mark.asyncio(loop_scope="module")
async def test_in_a_fixture_within_one_that_a_task_entered(entered_for_the_module, entered):
    assert await everywhere() == {TWO}


@pytest.mark.asyncio
async def test_in_an_async_fixture_within_another(openpipe_mock, entered_in_a_task):
    assert await everywhere() == {TWO}
    openpipe_mock.judged(times=0)


@pytest.mark.asyncio
async def test_in_the_test_itself(entered):
    async with patched(seed=3):
        assert await everywhere() == {THREE}
    assert await everywhere() == {TWO}


@pytest.mark.asyncio
@pytest.mark.parametrize("around", [None, "openpipe_mock"])
async def test_tasks_with_mocks_of_their_own(around, request):
    outer = around and request.getfixturevalue(around)
    together = asyncio.Barrier(2)

    async def work(seed):
        with patched(seed=seed) as mock:
            await together.wait()
            found = {await ask_async(), ask(), await asyncio.to_thread(ask)}
            await together.wait()
        mock.judged("helpful", times=3)
        return found

    assert await asyncio.gather(work(2), work(3)) == [{TWO}, {THREE}]
    if outer:
        outer.judged(times=0)


@pytest.mark.asyncio
async def test_a_thread_that_nobody_claims(openpipe_mock):
    loop, together = asyncio.get_running_loop(), asyncio.Barrier(2)

    async def work(seed):
        with patched(seed=seed):
            await together.wait()
            with pytest.raises(NetworkRefused, match="copy_context"):
                await loop.run_in_executor(None, ask)
            found = await loop.run_in_executor(None, contextvars.copy_context().run, ask)
            await together.wait()
            return found

    assert await asyncio.gather(work(2), work(3)) == [TWO, THREE]


# anyio.


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
async def entered_by_anyio(anyio_backend):
    with patched(seed=2) as mock:
        yield mock


@pytest.mark.anyio
async def test_on_anyio(scripted):
    assert {await ask_async(), ask(), await anyio.to_thread.run_sync(ask)} == {0.25}


@pytest.mark.anyio
async def test_in_an_async_fixture_on_anyio(openpipe_mock, entered_by_anyio):
    assert {await ask_async(), ask(), await anyio.to_thread.run_sync(ask)} == {TWO}
    openpipe_mock.judged(times=0)


@pytest.mark.anyio
async def test_tasks_of_anyio_with_mocks_of_their_own(openpipe_mock):
    found, entered = {}, {2: anyio.Event(), 3: anyio.Event()}

    async def work(seed, other):
        with patched(seed=seed):
            entered[seed].set()
            await entered[other].wait()
            found[seed] = {await ask_async(), ask(), await anyio.to_thread.run_sync(ask)}
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as group:
        group.start_soon(work, 2, 3)
        group.start_soon(work, 3, 2)
    assert found == {2: {TWO}, 3: {THREE}}
    openpipe_mock.judged(times=0)


# Threads.


def test_threads(scripted, entered):
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: ask(), range(8))) == {TWO}
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    entered.judged(times=9)
    scripted.judged(times=0)


def test_threads_with_mocks_of_their_own(openpipe_mock):
    together = threading.Barrier(2)

    def work(seed):
        with patched(seed=seed):
            together.wait(60)
            found = {ask() for _ in range(5)}
            together.wait(60)
            return found

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, [2, 3])) == [{TWO}, {THREE}]
