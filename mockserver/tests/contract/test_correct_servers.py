"""No correct server is called broken: twelve of them, four of which share no code with the product.

A part of what takes long stands here, as large as MUTANTS says: see `tests.reference.killing`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest

from openpipe_mock.contract.findings import Result
from openpipe_mock.contract.run import run
from openpipe_mock.contract.target import RunOptions
from tests.correct.freedoms import FREEDOMS, TABLE, Freedom, Wire, table
from tests.correct.servers import SERVERS, STRANGERS
from tests.environments import ROOT
from tests.judging import KNOWN, states, told, verdict_on
from tests.reference.habits import Habits
from tests.reference.http import JUDGE, App, Event, Raw, Receive, Send, received, sent
from tests.reference.killing import SHARE, part
from tests.reference.mutation import each_result, having
from tests.reference.server import Reference
from tests.reference.variants import VARIANTS

pytestmark = pytest.mark.slow

SEVERAL_AT_ONCE: dict[str, Any] = {"jobs": 4}
"""The options of a run that asks several requests at once."""
PAGE = ROOT / "docs" / "contract.md"


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """The base URLs of the servers that share no code with ours."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(serve()) for name, serve in STRANGERS.items()}


def judged(name: str, **options: Any) -> Result:
    with SERVERS[name]() as url:
        return run(RunOptions(url, **{**KNOWN, **options}))


@cache
def default_run(name: str) -> Result:
    return judged(name)


def assert_kept(result: Result) -> None:
    assert result.verdict == "kept", told(result) + result.open_questions
    assert not result.deciding("broken", "flaky"), told(result)
    assert result.crashes == ()


def test_there_are_enough_correct_servers_and_enough_strangers() -> None:
    assert len(SERVERS) >= 12
    assert len(STRANGERS) >= 4


@pytest.mark.parametrize("name", [*STRANGERS, *(VARIANTS if SHARE == 1 else [*VARIANTS][1::2])])
def test_a_correct_server_breaks_nothing_in_a_default_run(name: str) -> None:
    result = default_run(name)
    assert_kept(result)
    assert {outcome.level for outcome in result.deviations} <= {"source", "decision"}
    assert result.requests > 300
    assert {"criteria.sorted", "judge.response.schema", "chat.stream.readable"} <= states(result, "kept")


def test_a_server_like_the_service_is_lenient_and_deviates_by_our_own_word_alone() -> None:
    result = default_run("like-the-service")
    assert {"judge.rejects.JudgeCriteriaRequest.additionalProperties"} <= states(result, "lenient")
    assert result.deviations


@pytest.mark.parametrize("name", part(part([*SERVERS][::-1])))
def test_a_correct_server_breaks_nothing_when_everything_is_asked(name: str) -> None:
    result = judged(name, thorough=True, seed=3)
    assert_kept(result)
    assert result.requests > 1000


@pytest.mark.parametrize("name", part(part([*STRANGERS, *VARIANTS])))
def test_a_correct_server_breaks_nothing_when_several_requests_are_under_way(name: str) -> None:
    assert_kept(judged(name, **SEVERAL_AT_ONCE, seed=4))


COMPARED = (
    *("judge.latest", "judge.versions", "criteria.latest", "criteria.versions"),
    *("judge.at_once", "chat.at_once"),
)
"""The checks that compare answers, which says something of a server only where it repeats itself."""


class Cached:
    """A server whose moods change, and which gives the same answer to the same bytes."""

    def __init__(self) -> None:
        self.server, self.known = Reference(Habits(unstable=True)), dict[Any, Raw]()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        request = await received(scope, receive)
        asked = (request.path, request.headers.get("op-criteria"), request.body)
        if asked not in self.known:
            self.known[asked] = self.server.reply(request)
        await sent(self.known[asked], send)


@pytest.mark.parametrize(
    "app",
    [
        having(JUDGE, score=1)(Habits()),
        each_result(lambda result: {**result, "score": 1})(Habits()),
        Cached(),
        Reference(Habits(unstable=True, binary=True)),
    ],
    ids=["judges-all-alike", "judges-all-choices-alike", "moody-with-a-cache", "moody-with-two-scores"],
)
def test_who_says_something_else_for_other_reasons_is_not_blamed(app: App) -> None:
    result = verdict_on(app, only=COMPARED)
    assert not result.deciding("broken", "flaky"), told(result)


@pytest.mark.parametrize(
    "freedom", [each for each in FREEDOMS if each.server in STRANGERS], ids=lambda freedom: freedom.says
)
def test_a_stranger_takes_the_freedom_that_the_table_gives_it(freedom: Freedom, urls: dict[str, str]) -> None:
    if freedom.shows:
        assert freedom.shows(Wire(urls[freedom.server]))
    else:
        assert freedom.reported in states(default_run(freedom.server), "broken", "lenient")


@pytest.mark.parametrize(
    "freedom", part([each for each in FREEDOMS if each.server in VARIANTS]), ids=lambda freedom: freedom.says
)
def test_a_reference_server_takes_the_freedom_that_the_table_gives_it(freedom: Freedom) -> None:
    if freedom.habit:
        name, value = freedom.habit
        assert getattr(VARIANTS[freedom.server], name) == value
    else:
        assert freedom.reported in states(default_run(freedom.server), "broken", "lenient")


def test_every_freedom_has_a_server_and_a_row_in_the_documentation() -> None:
    """If this fails: put what `table()` gives into docs/contract.md."""
    assert len(TABLE) == len(FREEDOMS)
    assert STRANGERS.keys() <= set(TABLE.values()) <= SERVERS.keys()
    assert table() in PAGE.read_text("utf-8")
