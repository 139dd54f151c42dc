"""`patched`: which requests are taken, refused and let pass; keys; nesting; decorated functions."""

import asyncio
import inspect
import os
import re
from collections import namedtuple
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import httpx
import httpx2
import pytest

import openpipe_mock
from openpipe_mock.config.file import ConfigError, Mistakes
from openpipe_mock.config.settings import Repeat
from openpipe_mock.core.resources import install_line
from openpipe_mock.testing import interception
from openpipe_mock.testing.border import BASE_URLS, FRONTIER, KEY_VARIABLES, OTHER_KEYS
from openpipe_mock.testing.interception import PATCHED_OPTIONS, NothingToPatch, patched
from openpipe_mock.testing.mock import Mock, MockError
from openpipe_mock.testing.network_guard import NetworkRefused
from openpipe_mock.testing.patches import places_in

JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
KEY = {"authorization": "Bearer op-local"}
SERVICE = "https://api.openpipe.ai/api/v1"


def judge(base: str = SERVICE, library: Any = httpx) -> Any:
    return library.post(f"{base}/criteria/judge", json=JUDGE, headers=KEY)


def methods() -> list[object]:
    places = (*places_in("httpx", httpx), *places_in("httpx2", httpx2))
    return [owner.__dict__[name] for owner, name, _ in places]


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever happens in a test: afterwards nothing is patched and the keys are what they were."""
    for name in (*BASE_URLS, *KEY_VARIABLES, *OTHER_KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    before = methods()
    yield
    assert methods() == before
    assert keys() == {"OPENAI_API_KEY": "sk-real"}
    assert FRONTIER.borders == ()


def keys() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in (*KEY_VARIABLES, *OTHER_KEYS)}


# What is taken.


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    "base",
    [
        "https://api.openpipe.ai/api/v1",
        "https://app.openpipe.ai/api/v1",
        "https://api.openai.com/v1",
        "https://eu.api.openai.com/v1",
    ],
)
def test_the_known_hosts_are_taken(base: str, library: Any) -> None:
    with patched() as mock:
        assert judge(base, library).status_code == 200
        mock.judged("helpful", times=1)


@pytest.mark.parametrize("name", ["OPENPIPE_BASE_URL", "OPENAI_BASE_URL"])
@pytest.mark.parametrize(
    "base",
    [
        "http://localhost:6736/api/v1",
        "http://LOCALHOST:6736/api/v1/",
        "https://gateway.test/openpipe",
        "https://gateway.test/deep/api/v1",
        "http://[::1]:80/llm",
        "http://localhost:6736/_mock/sessions/mine/api/v1",
    ],
)
def test_what_the_environment_names_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, base: str) -> None:
    monkeypatch.setenv(name, base)
    with patched() as mock:
        assert judge(base.rstrip("/")).status_code == 200
        monkeypatch.delenv(name)  # a client that was built with it is caught all the same
        assert judge(base.rstrip("/")).status_code == 200
        sessions = list(mock.service.sessions.all())
        assert sum(session.requests for session in sessions) == 2


def test_a_base_url_that_a_test_sets_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with patched() as mock:
        monkeypatch.setenv("OPENPIPE_BASE_URL", "http://gateway.test/x")
        judge("http://gateway.test/x")
        mock.judged(times=1)


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    ("base", "asked"),
    [
        ("https://xn--strae-oqa.test/my%20v1", "https://straße.test/my v1"),
        ("https://straße.test./my v1/", "https://xn--strae-oqa.test:443/my%20v1"),
        ("HTTPS://user:word@Gateway.TEST:443/b/../%61", "https://gateway.test/a"),
        ("http://[0:0::1]:80/v1", "http://[::1]/v1"),
    ],
)
def test_a_base_url_is_taken_however_it_is_spelled(
    monkeypatch: pytest.MonkeyPatch, library: Any, base: str, asked: str
) -> None:
    monkeypatch.setenv("OPENPIPE_BASE_URL", base)
    with patched(block_network=True) as mock:
        assert judge(asked, library).status_code == 200
    mock.judged("helpful", times=1)


@pytest.mark.parametrize("base", ["http://[bad/v1", "http://gateway.test:port/v1"])
def test_a_base_url_that_nobody_can_parse_disturbs_no_other(
    monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", base)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda *_: httpx.Response(202))
    with patched():
        assert judge().status_code == 200
        assert httpx.get("https://elsewhere.test/").status_code == 202
    monkeypatch.undo()
    os.environ["OPENAI_API_KEY"] = "sk-real"


def test_a_mock_that_the_environment_names_brings_its_control_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPIPE_BASE_URL", "http://localhost:6736/api/v1")
    with patched():
        assert httpx.get("http://localhost:6736/_mock/health").json()["name"] == "openpipe-mock"


BELOW = [
    ("http://other.test/api/v1", "http://localhost/api/v1"),
    ("http://localhost:81/api/v1", "http://localhost:80/api/v1"),
    ("https://localhost/api/v1", "http://localhost/api/v1"),
    ("http://localhost/api/v2", "http://localhost/api/v1"),
    ("http://localhost/api/v11", "http://localhost/api/v1"),
    ("http://localhost", "http://localhost/api/v1"),
]


@pytest.mark.parametrize(("url", "base"), BELOW)
def test_what_is_not_below_a_base_url_goes_its_way(
    monkeypatch: pytest.MonkeyPatch, url: str, base: str
) -> None:
    monkeypatch.setenv("OPENPIPE_BASE_URL", base)
    with patched(block_network=True), pytest.raises(NetworkRefused, match="block_network"):
        judge(url)


def test_a_path_that_the_service_lacks_is_404_and_never_leaves() -> None:
    with patched():
        assert httpx.get("https://api.openpipe.ai/").status_code == 404
        assert httpx.get("https://api.openai.com/v2/x").status_code == 404


# What is refused.


@pytest.mark.parametrize("providers", ["mock", "refuse"])
@pytest.mark.parametrize(
    "host",
    ["api.anthropic.com", "generativelanguage.googleapis.com", "europe-west1-aiplatform.googleapis.com"],
)
def test_other_providers_are_refused(providers: Any, host: str) -> None:
    with patched(providers=providers) as mock, pytest.raises(NetworkRefused, match='providers="pass"'):
        httpx.post(f"https://{host}/v1/messages")
    assert mock.calls == []


def test_openai_is_refused_on_demand() -> None:
    with patched(providers="refuse"), pytest.raises(NetworkRefused, match=r'"api\.openai\.com"'):
        judge("https://api.openai.com/v1")


@pytest.mark.parametrize("host", ["api.openai.com", "api.anthropic.com"])
def test_providers_may_pass(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To where they would have gone: here to a transport that stands for the network."""
    seen: list[str] = []

    def network(transport: Any, request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(202)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", network)
    with patched(providers="pass"):
        assert keys() == {"OPENPIPE_API_KEY": "op-local", "OPENAI_API_KEY": "sk-real"}
        assert httpx.post(f"https://{host}/v1/messages").status_code == 202
        assert judge().status_code == 200
    assert seen == [host]
    monkeypatch.undo()
    os.environ["OPENAI_API_KEY"] = "sk-real"


@pytest.mark.parametrize("providers", [None, "Mock", "all"])
def test_another_word_for_providers_is_refused(providers: Any) -> None:
    with pytest.raises(MockError, match='expected "mock", "refuse" or "pass"'):
        patched(providers=providers)


# Keys.


def test_dummy_keys_stand_over_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-real")
    with patched():
        assert keys() == dict.fromkeys(
            ("OPENPIPE_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "op-local"
        )
    assert os.environ.pop("ANTHROPIC_API_KEY") == "sk-ant-real"


def test_the_keys_come_back_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), patched():
        raise ZeroDivisionError


def test_a_key_that_a_test_takes_away_comes_back() -> None:
    with patched():
        del os.environ["OPENAI_API_KEY"]


def test_a_key_that_a_test_sets_is_the_tests() -> None:
    with patched():
        os.environ["OPENPIPE_API_KEY"] = "outer"
        with patched():
            assert keys()["OPENPIPE_API_KEY"] == "op-local"
        assert keys()["OPENPIPE_API_KEY"] == "outer"
    assert os.environ.pop("OPENPIPE_API_KEY") == "outer"


def test_keys_come_back_whichever_mock_ends_first() -> None:
    first, second = patched(), patched(providers="pass")
    first.__enter__()
    second.__enter__()
    assert keys() == {"OPENPIPE_API_KEY": "op-local", "OPENAI_API_KEY": "sk-real"}
    first.__exit__(None, None, None)
    assert keys() == {"OPENPIPE_API_KEY": "op-local", "OPENAI_API_KEY": "sk-real"}
    second.__exit__(None, None, None)


# Nesting.


def test_the_innermost_mock_answers() -> None:
    with patched() as outer, patched() as inner:
        judge()
        assert (len(outer.calls), len(inner.calls)) == (0, 1)


def test_mocks_may_end_in_any_order() -> None:
    first, second = patched(), patched()
    with_first = first.__enter__()
    with_second = second.__enter__()
    first.__exit__(None, None, None)
    judge()
    assert keys()["OPENAI_API_KEY"] == "op-local"
    second.__exit__(None, None, None)
    assert (len(with_first.calls), len(with_second.calls)) == (0, 1)


def test_an_inner_mock_may_let_providers_pass_and_no_inner_one_lets_out_what_an_outer_blocks() -> None:
    with patched(block_network=True), patched(providers="pass"):
        assert keys()["OPENAI_API_KEY"] == "sk-real"
        with pytest.raises(NetworkRefused, match="block_network"):
            judge("https://api.openai.com/v1")


def test_one_patched_may_be_entered_again() -> None:
    again = patched(seed=1)
    with again as first, again as second:
        assert first is not second
        judge()
    with again as third:
        assert third.calls == []
    assert (len(first.calls), len(second.calls)) == (0, 1)


def test_threads_are_caught_too() -> None:
    with patched() as mock, ThreadPoolExecutor(4) as pool:
        assert {response.status_code for response in pool.map(lambda _: judge(), range(20))} == {200}
    assert len({call.id for call in mock.calls}) == 20


def test_threads_are_caught_by_the_innermost_of_nested_mocks() -> None:
    with patched() as outer, patched() as inner, ThreadPoolExecutor(1) as pool:
        assert pool.submit(judge).result().status_code == 200
    assert (len(outer.calls), len(inner.calls)) == (0, 1)


# Several at once.

SEEDS = range(1, 5)


def score(answer: Any) -> float:
    return float(answer.json()["score"])


def scores() -> list[float]:
    """What mocks with these seeds say, one after the other."""
    found = []
    for seed in SEEDS:
        with patched(seed=seed):
            found.append(score(judge()))
    assert len(set(found)) == len(SEEDS)
    return found


def test_tasks_with_mocks_of_their_own_do_not_mix() -> None:
    async def ask(seed: int, together: asyncio.Barrier) -> float:
        with patched(seed=seed) as mock:
            await together.wait()
            async with httpx.AsyncClient(headers=KEY) as client:
                answers = [await client.post(f"{SERVICE}/criteria/judge", json=JUDGE) for _ in range(3)]
            answers.append(await asyncio.to_thread(judge))
            await together.wait()
        mock.judged("helpful", times=4)
        [found] = set(map(score, answers))
        return found

    async def run() -> list[float]:
        together = asyncio.Barrier(len(SEEDS))
        async with asyncio.timeout(60):
            return list(await asyncio.gather(*(ask(seed, together) for seed in SEEDS)))

    with patched() as around:
        assert asyncio.run(run()) == scores()
    assert len(around.calls) == 0


@pytest.mark.parametrize("shared", [False, True])
def test_threads_with_mocks_of_their_own_do_not_mix(shared: bool) -> None:
    together = Barrier(len(SEEDS), timeout=60)
    one = patched()

    def ask(seed: int) -> float:
        with one if shared else patched(seed=seed) as mock:
            together.wait()
            answers = [judge() for _ in range(3)]
            mock.judged("helpful", times=3)
            together.wait()
        [found] = set(map(score, answers))
        return found

    with ThreadPoolExecutor(len(SEEDS)) as pool:
        found = list(pool.map(ask, SEEDS))
    assert len(set(found)) == 1 if shared else found == scores()


def test_a_thread_that_belongs_to_none_of_several_mocks_is_told_what_to_do() -> None:
    entered, asked = Event(), Event()

    def other() -> None:
        with patched():
            entered.set()
            asked.wait(60)

    with patched() as mock, ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(other)
        entered.wait(60)
        try:
            with pytest.raises(NetworkRefused, match=r"2 mocks are active.*copy_context\(\).run"):
                pool.submit(judge).result()
            assert pool.submit(copy_context().run, judge).result().status_code == 200
        finally:
            asked.set()
        waiting.result()
    mock.judged(times=1)


@pytest.mark.parametrize("block_network", [False, True])
def test_and_what_is_for_none_of_them_goes_its_way(
    block_network: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda *_: httpx.Response(202))

    async def ask() -> int:
        """From outside of the tasks whose mocks are active."""
        entered, asked = asyncio.Barrier(3), asyncio.Event()

        async def other(**options: Any) -> None:
            with patched(**options):
                await entered.wait()
                await asked.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(other())
            group.create_task(other(block_network=block_network))
            await entered.wait()
            try:
                return int(httpx.get("https://elsewhere.test/").status_code)
            finally:
                asked.set()

    if block_network:
        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(ask())
        assert "block_network" in str(caught.value.exceptions[0])
    else:
        assert asyncio.run(ask()) == 202
    monkeypatch.undo()
    os.environ["OPENAI_API_KEY"] = "sk-real"


# Settings.


def test_settings_are_those_of_the_config() -> None:
    config = {"seed": 3, "criteria": {"helpful": {"score": 0.25}}, "completions": [{"choices": ("a", "b")}]}
    with patched(config=config, seed=4) as mock:
        assert judge().json()["score"] == 0.25
        assert mock.service.settings.seed == 4


def test_a_config_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mock.yaml"
    file.write_text("seed: 3\ncriteria: {helpful: {score: 0.5}}\n")
    with patched(config=file) as mock:
        assert judge().json()["score"] == 0.5
        assert (mock.service.settings.seed, mock.service.file.path) == (3, str(file))
        mock.reset()
        assert judge().json()["score"] == 0.5


def test_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match="/criteria/helpful/score: "):
        patched(config={"criteria": {"helpful": {"score": "high"}}})
    with pytest.raises(Mistakes, match="/seed: "):
        patched(seed="7")  # type: ignore[arg-type]
    (tmp_path / "mock.yaml").write_text("sead: 3\n")
    with pytest.raises(ConfigError, match="did you mean"):
        patched(config=str(tmp_path / "mock.yaml"))


Bounds = namedtuple("Bounds", "low high")
ENDLESS: dict[str, Any] = {}
ENDLESS.update(a=ENDLESS, b=ENDLESS)
NO_JSON = [
    ({"criteria": {"a/b": {"sequence": [1, {2}]}}}, "/criteria/a~1b/sequence/1: expected a value of JSON"),
    ({"auth": {"keys": {"op-secret"}}}, "/auth/keys: .* got one of the type set"),
    ({"criteria": {"helpful": {"by_output": {1: 0.5}}}}, "/criteria/helpful/by_output: .* got .* type int"),
    ({"criteria": {"helpful": {"uniform": Bounds(0, 1)}}}, "/criteria/helpful/uniform: .* type Bounds"),
    ({"seed": 2**64}, "/seed: expected an integer of at most 64 bits"),
    ({"criteria": {"helpful": {"score": float("nan")}}}, "/criteria/helpful/score: expected a finite number"),
    ({"criteria": {"\ud800": {}}}, "/criteria: expected a string of Unicode"),
    (ENDLESS, "/a/a/a/.*: expected at most 250 levels"),
]


@pytest.mark.parametrize(("config", "told"), NO_JSON)
def test_what_is_no_json_is_told_with_its_place(config: dict[str, Any], told: str) -> None:
    with pytest.raises(Mistakes, match=told) as caught:
        patched(config=config)
    assert "op-secret" not in str(caught.value)


def test_nor_may_an_option_or_a_script_be_none() -> None:
    with pytest.raises(Mistakes, match=r"/seed: .* got one of the type object"):
        patched(seed=object())  # type: ignore[arg-type]
    with patched(config={"criteria": {"helpful": {"raw": None}}}) as mock:
        assert judge().json() is None
        with pytest.raises(MockError, match=r"^/raw/a: expected a value of JSON.* got one of the type bytes"):
            mock.criterion("helpful").raw({"a": b"b"})


def test_same_seed_same_answer_another_seed_another() -> None:
    texts = []
    for seed in (1, 1, 2):
        with patched(seed=seed):
            texts.append(judge().content)
    assert texts[0] == texts[1] != texts[2]


def test_without_httpx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interception, "any_installed", lambda: False)
    with pytest.raises(NothingToPatch, match=re.escape(install_line("fixtures"))), patched():
        pass


def test_answers_that_are_not_there_yet_are_refused() -> None:
    with pytest.raises(Mistakes, match=r"^/answers: expected at most 2, the newest answers"):
        patched(answers=3)


def test_the_names_of_the_options() -> None:
    assert list(PATCHED_OPTIONS) == [
        "config", "answers", "seed", "validation", "ids", "clock", "repeat", "auto_tools", "prompt_schemas",
        "magic", "unknown_criteria", "unscripted", "variant", "providers", "block_network", "cassette",
        "record", "upstream",
    ]  # fmt: skip
    with pytest.raises(TypeError, match=r"^patched\.__init__\(\) got an unexpected keyword argument 'sead'$"):
        patched(sead=1)  # type: ignore[call-arg]


def test_the_signature_has_each_option_with_its_default() -> None:
    options = inspect.signature(patched).parameters
    assert tuple(options) == PATCHED_OPTIONS
    defaults: dict[str, Any] = {name: each.default for name, each in options.items()}
    assert patched(**defaults).settings == patched().settings
    assert options["repeat"].annotation == Repeat | None


# Decorated.


def test_a_function_is_decorated() -> None:
    @patched(seed=1)
    def ask(base: str, *, openpipe_mock: Mock) -> int:
        """Asks."""
        judge(base)
        return len(openpipe_mock.calls)

    assert (ask(SERVICE), ask(SERVICE)) == (1, 1)  # type: ignore[call-arg]
    assert (ask.__name__, ask.__doc__) == ("ask", "Asks.")


def test_an_async_function_is_decorated_and_may_be_under_way_twice() -> None:
    @patched()
    async def ask(openpipe_mock: Mock) -> Mock:
        await asyncio.sleep(0)
        return openpipe_mock

    async def both() -> Any:
        return await asyncio.gather(ask(), ask())  # type: ignore[call-arg]

    one, other = asyncio.run(both())
    assert one is not other


def test_generators_are_decorated() -> None:
    @patched()
    def fixture() -> Iterator[int]:
        yield judge().status_code

    @patched()
    async def async_fixture(openpipe_mock: Mock) -> AsyncIterator[int]:
        yield judge().status_code
        openpipe_mock.judged(times=1)

    async def run() -> list[int]:
        return [status async for status in async_fixture()]  # type: ignore[call-arg]

    assert (list(fixture()), asyncio.run(run())) == ([200], [200])


def test_a_class_of_tests_is_decorated() -> None:
    @patched(providers="refuse")
    class Tests:
        def test_one(self, openpipe_mock: Mock) -> int:
            return int(judge().status_code)

        def helper(self) -> bool:
            return bool(FRONTIER.borders)

    assert Tests().test_one() == 200  # type: ignore[call-arg]
    assert Tests().helper() is False


def test_what_is_no_function_is_not_decorated() -> None:
    with pytest.raises(TypeError, match="expected a function or a class of tests, got 7"):
        patched()(7)  # type: ignore[type-var]


def test_async_with() -> None:
    async def run() -> int:
        async with patched() as mock, httpx.AsyncClient(headers=KEY) as client:
            await client.post(f"{SERVICE}/criteria/judge", json=JUDGE)
            return len(mock.calls)

    assert asyncio.run(run()) == 1


def test_the_package_offers_it_by_name() -> None:
    assert openpipe_mock.patched is patched
    names = {"patched", "respx_router", "Mock", "LiveMock", "Call", "Calls", "Lapse", "MockError"}
    names |= {"NetworkRefused"}
    assert names == set(openpipe_mock.PUBLIC) <= set(dir(openpipe_mock))
    for name in names:
        assert getattr(openpipe_mock, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        openpipe_mock.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", sorted(openpipe_mock.PUBLIC))
def test_a_mock_that_is_taken_for_the_module_says_so(name: str) -> None:
    """In a test that uses the fixture, the name `openpipe_mock` is the mock's."""
    told = f"hides the module of that name; write `from openpipe_mock import {name}`"
    with patched() as mock, pytest.raises(AttributeError, match=re.escape(told)):
        getattr(mock, name)


def test_what_a_mock_lacks_is_an_ordinary_error() -> None:
    with patched() as mock, pytest.raises(AttributeError, match="'Mock' object has no attribute 'nothing'"):
        mock.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("misplaced", [lambda: None, "mock.yaml", {"seed": 7}])
def test_options_without_a_name_are_refused_and_the_parentheses_not_forgotten(misplaced: Any) -> None:
    with pytest.raises(
        TypeError, match=r"by name, as in patched\(seed=7\).* first: @openpipe_mock.patched\(\)"
    ):
        patched(misplaced)


def test_options_of_another_type_are_refused() -> None:
    with pytest.raises(MockError, match="block_network: expected True or False, got 'yes'"):
        patched(block_network="yes")  # type: ignore[arg-type]
    with pytest.raises(MockError, match="config: expected a file's path, or its content as an object, got 7"):
        patched(config=7)  # type: ignore[arg-type]


def test_a_decorated_function_takes_its_other_arguments_by_place() -> None:
    @patched()
    def first(openpipe_mock: Mock, a: int, b: int = 0) -> tuple[bool, int, int]:
        return isinstance(openpipe_mock, Mock), a, b

    @patched()
    def middle(a: int, openpipe_mock: Mock, *others: int) -> tuple[Any, ...]:
        return a, isinstance(openpipe_mock, Mock), *others

    @patched()
    def last(*others: int, openpipe_mock: Mock) -> tuple[Any, ...]:
        return *others, isinstance(openpipe_mock, Mock)

    assert first(1, 2) == first(1, b=2) == first(b=2, a=1) == (True, 1, 2)  # type: ignore[call-arg, arg-type]
    assert middle(1, 2, 3) == (1, True, 2, 3)  # type: ignore[arg-type]
    assert middle(a=1) == (1, True)  # type: ignore[call-arg]
    assert last(1, 2) == (1, 2, True)  # type: ignore[call-arg]


def test_a_mock_that_a_caller_brings_is_taken() -> None:
    @patched()
    def ask(openpipe_mock: Mock | None) -> Mock | None:
        return openpipe_mock

    assert ask(openpipe_mock=None) is None


def test_inherited_and_static_tests_of_a_class_are_decorated_too() -> None:
    """Otherwise they would go out to the real service."""

    class Shared:
        def test_inherited(self) -> int:
            return int(judge().status_code)

    @patched()
    class Tests(Shared):
        test_value = 7

        @staticmethod
        def test_static(openpipe_mock: Mock) -> int:
            return len(openpipe_mock.calls)

        @classmethod
        def test_of_the_class(cls, openpipe_mock: Mock) -> str:
            return cls.__name__ + str(len(openpipe_mock.calls))

        def helper(self) -> int:
            return len(FRONTIER.borders)

    tests = Tests()
    assert tests.test_inherited() == 200
    assert tests.test_static() == 0  # type: ignore[call-arg]
    assert tests.test_of_the_class() == "Tests0"  # type: ignore[call-arg]
    assert (tests.test_value, tests.helper()) == (7, 0)
    assert Shared.test_inherited is not Tests.test_inherited


@pytest.mark.parametrize("ended", [False, True])
def test_what_happens_to_a_decorated_async_generator_happens_inside(ended: bool) -> None:
    """An exception thrown in is seen, and it ends while the mock is still there."""
    seen: list[str] = []

    @patched()
    async def resource(openpipe_mock: Mock) -> AsyncIterator[int]:
        try:
            sent = yield judge().status_code
            seen.append(str(sent))
            yield 2
        except ZeroDivisionError:
            seen.append("thrown")
        finally:
            seen.append(f"{judge().status_code} with {len(openpipe_mock.calls)} calls")

    async def run() -> None:
        generator: Any = resource()  # type: ignore[call-arg]
        assert await anext(generator) == 200
        if ended:
            assert await generator.asend("sent") == 2
            await generator.aclose()
        else:
            with pytest.raises(StopAsyncIteration):
                await generator.athrow(ZeroDivisionError())

    asyncio.run(run())
    assert seen == ["sent" if ended else "thrown", "200 with 2 calls"]
