"""The suite itself: fair to our own server, the same in every process, belted, and quick to give up."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from openpipe_mock import pytest_plugin
from openpipe_mock.contract.findings import Planned
from openpipe_mock.contract.probe import Request
from openpipe_mock.contract.run import (
    Collector,
    run,
    server_of,
)
from openpipe_mock.contract.target import RunOptions, Target, UsageProblem
from openpipe_mock.openapi.spec import contract
from tests.environments import ROOT
from tests.judging import KNOWN, states, told, verdict_on
from tests.live import Live
from tests.live import run as run_command
from tests.reference.http import App, Event, Raw, Receive, Send, received, sent
from tests.reference.server import Reference
from tests.reference.strangers import STRANGERS, dead_port

pytestmark = pytest.mark.slow

Json = Any
OURS: dict[str, Any] = {"level": "decision", "latest": ("criterion-1=v1",)}
ELSEWHERE = Target("https://contract.test/api/v1", local=False, max_requests=60)


class Plan:
    """A plugin that keeps the cases of a run, those that are made and those that the budget cuts."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.cut: list[Any] = []
        self.numbers = Planned()

    def pytest_openpipe_planned(self, planned: Planned) -> None:
        self.numbers = planned

    def pytest_deselected(self, items: list[Any]) -> None:
        self.cut += [item.case for item in items]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.kept += [item.case for item in session.items if hasattr(item, "case")]


def planned(options: RunOptions, server: Target) -> Plan:
    """The suite's plan for a server, which gets no request."""
    plan = Plan()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openpipe_mock.contract.target.is_local", lambda url: server.local)
        asked = replace(options, dry_run=True, max_requests=server.max_requests)
        assert Collector(asked).run(pytest_plugin, plan) in (0, 5)
    return plan


# Our own server.


def test_our_server_keeps_the_contract_down_to_our_own_decisions(exact: Live) -> None:
    result = run(RunOptions(exact.base_url, **OURS))
    assert (result.verdict, result.exit_code) == ("kept", 0), told(result) + result.open_questions
    assert states(result, "broken", "flaky") == set()
    assert {"criteria.sorted", "chat.stream.finish", "judge.error.body"} <= states(result, "kept")


def test_our_server_refuses_every_edit_and_whatever_is_made_up(exact: Live) -> None:
    result = run(RunOptions(exact.base_url, **OURS, thorough=True, fuzz=15, seed=3))
    assert result.verdict == "kept", told(result) + result.open_questions
    assert states(result, "unchecked") == set()
    assert result.requests > 1000


def test_a_default_run_takes_at_most_400_requests_and_our_server_keeps_the_contract(live: Live) -> None:
    result = run(RunOptions(live.base_url))
    assert result.verdict == "kept", told(result) + result.open_questions
    assert result.requests <= 400
    singles = {outcome.check.id for outcome in result.outcomes if not in_family(outcome.check.id)}
    unchecked = states(result, "unchecked") & singles
    assert unchecked == {"judge.latest", "criteria.latest"} & unchecked, "only what needs to be told more"


def in_family(name: str) -> bool:
    return ".accepts." in name or ".rejects." in name


# The plan.


SEEDS = (0, 7)


@pytest.fixture(scope="module")
def elsewhere() -> Json:
    """The digests of the seeds, as another process with other modules makes them."""
    script = (
        "import sys, json, decimal, xml.dom, tests.contract.test_suite as suite\n"
        "print(json.dumps([suite.digest(seed) for seed in suite.SEEDS]))"
    )
    printed = run_command([sys.executable, "-c", script], {"PYTHONHASHSEED": "5"}, cwd=ROOT)
    return json.loads(printed.splitlines()[-1])


@pytest.mark.parametrize("seed", SEEDS)
def test_another_process_with_other_modules_makes_the_same_requests(seed: int, elsewhere: Json) -> None:
    assert elsewhere[SEEDS.index(seed)] == digest(seed)


def digest(seed: int) -> list[str]:
    """Every request of a plan, as text."""
    server = Target("http://127.0.0.1:9/api/v1")
    plan = planned(RunOptions(server.url, seed=seed), server)
    return [repr(request) for case in plan.kept for request in case.planned]


def test_another_seed_chooses_other_edits() -> None:
    assert digest(0) != digest(1)
    assert len(digest(0)) > 300


def test_the_plan_s_cost_is_what_is_sent(live: Live) -> None:
    result = run(RunOptions(live.base_url, only=("chat.choices", "judge.errors")))
    assert result.requests == result.planned.requests > 10
    assert result.planned.tokens > result.planned.bytes > 0


def test_a_dry_run_sends_nothing() -> None:
    app = counting()
    result = verdict_on(app, dry_run=True)
    assert (app.seen, result.requests, result.crashes) == ([], 0, ())
    assert result.planned.requests > 300


class Counting:
    """A reference server that remembers what it was asked."""

    def __init__(self, app: App) -> None:
        self.app, self.seen = app, list[Any]()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        request = await received(scope, receive)
        self.seen.append(request)

        async def again() -> Event:
            return {"type": "http.request", "body": request.body, "more_body": False}

        await self.app(scope, again, send)


def counting(app: App | None = None) -> Counting:
    return Counting(app or Reference())


def test_what_is_known_of_the_server_reaches_every_request() -> None:
    app = counting()
    result = verdict_on(app, max_requests=150)
    assert result.requests == len(app.seen) <= 150
    bodies = [request.json() for request in app.seen]
    assert {body["model"] for body in bodies if isinstance(body.get("model"), str)} >= {"reference"}
    assert "openai:gpt-4o-mini" not in {str(body.get("model")) for body in bodies}


# The seat belt.


def sent_elsewhere(**options: Any) -> list[Request]:
    plan = planned(RunOptions(ELSEWHERE.url, **options), ELSEWHERE)
    return [request for case in plan.kept for request in case.planned]


def test_a_server_elsewhere_gets_few_and_small_requests() -> None:
    requests = sent_elsewhere()
    assert 40 < len(set(requests)) <= 60
    for request in requests:
        body = request.value()
        assert len(request.body) < 20_000
        if request.endpoint == "chat" and isinstance(body, dict) and body:
            bounds = [body.get("max_tokens"), body.get("max_completion_tokens")]
            assert any(bound is not None for bound in bounds), body
            assert body.get("n") in (None, 1, 2, 3) or not is_valid(body)


def is_valid(body: Json) -> bool:
    return contract().checker("ChatCompletionRequest").is_valid(body)


def test_nothing_elsewhere_is_logged_but_where_the_log_is_the_point() -> None:
    chats = [request for request in sent_elsewhere(thorough=True) if request.endpoint == "chat"]
    assert len(chats) > 20
    for request in chats:
        understood = request.value() and request.credential == "key"
        assert request.header("op-log-request") or not understood, request


def test_long_texts_go_elsewhere_only_when_they_are_asked_for() -> None:
    few = {"only": ("chat.limits",)}
    assert max(len(request.body) for request in sent_elsewhere(**few)) < 10_000
    assert max(len(request.body) for request in sent_elsewhere(**few, large=True)) > 2**20


# Servers of which there is no verdict.


def test_a_dead_port_is_inconclusive_at_once() -> None:
    started = time.monotonic()
    result = run(RunOptions(f"http://127.0.0.1:{dead_port()}/api/v1"))
    assert (result.verdict, result.exit_code) == ("inconclusive", 3)
    assert "nothing listens there" in result.open_questions[0]
    assert result.requests <= 2
    assert time.monotonic() - started < 60


def test_a_server_that_hangs_is_given_up_after_two_requests() -> None:
    result = verdict_on(STRANGERS["hangs"], timeout=0.3)
    assert (result.verdict, result.requests) == ("inconclusive", 2)
    assert "no answer in time" in result.open_questions[0]
    assert "--timeout" in result.open_questions[0]


def test_html_for_all_is_another_server_and_no_verdict() -> None:
    result = verdict_on(STRANGERS["html-for-all"])
    assert result.verdict == "inconclusive"
    assert states(result, "broken", "kept") == set()
    assert result.requests == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lets-nobody-in", "--api-key"),
        ("always-busy", "busy"),
        ("busy-for-an-hour", "log"),
        ("nothing-here", "Does this server have the endpoint?"),
    ],
)
def test_a_server_that_answers_nobody_is_inconclusive_and_says_what_to_do(name: str, words: str) -> None:
    result = verdict_on(STRANGERS[name])
    assert result.verdict == "inconclusive", told(result)
    assert any(words in question for question in result.open_questions), result.open_questions
    assert not any(in_family(each) for each in states(result, "kept"))


def test_a_base_url_without_its_end_is_suspected(live: Live) -> None:
    result = run(RunOptions(live.origin))
    assert result.verdict == "inconclusive"
    assert all(f"Is /api/v1 missing? Try {live.origin}/api/v1" in each for each in result.open_questions)


@pytest.mark.parametrize(("given", "flag"), [("criteria", "--criterion"), ("models", "--model")])
def test_ids_that_nobody_knows_are_asked_for(given: str, flag: str) -> None:
    result = verdict_on(Reference(), **{given: ("no-such-name",), "latest": ()})
    assert result.verdict == "inconclusive"
    assert flag in result.open_questions[0]
    assert any(in_family(name) for name in states(result, "kept")), "the other endpoint is judged"


def test_one_id_that_is_known_is_enough() -> None:
    result = verdict_on(Reference(), models=("no-such-model", "reference"), only=("reachability",))
    assert result.verdict == "kept", result.open_questions


def test_a_server_that_crashes_at_the_simplest_is_broken_and_unjudged() -> None:
    result = verdict_on(STRANGERS["always-crashes"])
    assert result.verdict == "broken"
    assert states(result, "broken") == {"judge.no_5xx", "chat.no_5xx"}
    assert len(result.open_questions) == 2


# Fairness and repetition.


class Moody(Counting):
    """A server whose n-th answer to a request is another one."""

    def __init__(self, turn: int, instead: Raw, path: str = "/criteria/judge") -> None:
        super().__init__(Reference())
        self.turn, self.instead, self.path = turn, instead, path

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["path"].endswith(self.path):
            self.turn -= 1
            if not self.turn:
                await sent(self.instead, send)
                return
        await self.app(scope, receive, send)


SICK = Raw(500, {"content-type": "application/json"}, (b'{"message":"oh","code":"INTERNAL_SERVER_ERROR"}',))


def test_what_breaks_once_and_holds_when_asked_again_is_flaky_and_no_verdict() -> None:
    result = verdict_on(Moody(20, SICK))
    assert "judge.no_5xx" in states(result, "flaky")
    assert (result.verdict, result.exit_code) == ("inconclusive", 3)
    assert any("judge.no_5xx is flaky" in question for question in result.open_questions)


def test_a_busy_moment_is_waited_out() -> None:
    busy = Raw(429, {"content-type": "application/json", "retry-after": "0"}, (b"{}",))
    result = verdict_on(Moody(20, busy))
    assert result.verdict == "kept", told(result) + result.open_questions


def test_when_the_budget_ends_before_a_must_there_is_no_verdict() -> None:
    result = verdict_on(Reference(), max_requests=4)
    assert result.verdict == "inconclusive"
    assert result.requests <= 4
    assert any("the budget did not reach so far" in question for question in result.open_questions)


def test_checks_can_be_chosen_one_by_one() -> None:
    case = "judge.rejects.ToolMessage.required[input.messages.tool.tool_call_id.missing]"
    result = verdict_on(Reference(), only=(case,))
    assert result.verdict == "kept", result.open_questions
    assert states(result, "kept") >= {"judge.rejects.ToolMessage.required"}
    assert result.planned.cases == 2, "that, and whether the judge can be reached"


def test_a_check_of_every_answer_brings_the_requests_that_show_it() -> None:
    result = verdict_on(Reference(), only=("judge.response.score",), max_requests=30)
    assert "judge.response.score" in states(result, "kept")


def test_known_names_are_in_no_report_of_the_key() -> None:
    result = verdict_on(STRANGERS["lets-nobody-in"])
    assert KNOWN["api_key"] not in repr(result)


@pytest.fixture(scope="module", autouse=True)
def no_key_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENPIPE_API_KEY", raising=False)
        yield


def test_options_that_make_no_sense_are_refused() -> None:
    for options, words in (
        (RunOptions("http://127.0.0.1:1", latest=("criterion-1",)), "--latest wants"),
        (RunOptions("http://127.0.0.1:1", latest=("c=2",)), "--latest wants"),
        (RunOptions("http://127.0.0.1:1", only=("no.such.check",)), "--only no.such.check"),
        (RunOptions("127.0.0.1:1"), "http"),
    ):
        with pytest.raises(UsageProblem, match=words):
            run(options)
    assert server_of(RunOptions("http://127.0.0.1:1", thorough=True)).max_requests > 1500


# Made-up requests, and what goes wrong in the suite itself.


class Particular(Counting):
    """A reference server that answers judge requests with a word in them its own way."""

    def __init__(self, word: bytes, instead: Raw) -> None:
        super().__init__(Reference())
        self.word, self.instead = word, instead

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        request = await received(scope, receive)
        if scope["path"].endswith("/criteria/judge") and self.word in request.body:
            await sent(self.instead, send)
            return

        async def again() -> Event:
            return {"type": "http.request", "body": request.body, "more_body": False}

        await self.app(scope, again, send)


JSON = {"content-type": "application/json"}
NO = Raw(400, JSON, (b'{"message":"I don\'t like that","code":"BAD_REQUEST"}',))
YES = Raw(200, JSON, (b'{"score":1}',))
FUZZ: dict[str, Any] = {"only": ("judge.fuzz",), "fuzz": 60}


def test_made_up_requests_show_a_refusal_by_the_smallest_one() -> None:
    result = verdict_on(Particular(b'"developer"', NO), **FUZZ)
    assert states(result, "broken") == {"judge.fuzz.valid"}
    [broken] = result.breaks
    assert "I don't like that" in broken.first.sentence
    assert '"developer"' in str(broken.first.evidence)
    assert broken.first.size < 250, "shrunk"


def test_made_up_requests_show_what_is_let_through() -> None:
    result = verdict_on(Particular(b"{", YES), **FUZZ)
    assert "judge.fuzz.broken" in states(result, "broken")


def test_made_up_requests_keep_to_the_budget() -> None:
    result = verdict_on(Particular(b'"developer"', NO), **{**FUZZ, "max_requests": 300})
    assert result.requests <= 300


def failing(error: BaseException) -> Any:
    def send(self: Any, request: Request) -> None:
        raise error

    return send


def test_a_crash_of_the_suite_is_no_verdict_and_has_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "openpipe_mock.contract.probe.Probe.send", failing(RuntimeError(f"boom {KNOWN['api_key']}"))
    )
    result = verdict_on(Reference(), only=("judge.errors.malformed_json",))
    assert (result.verdict, result.exit_code) == ("inconclusive", 3)
    assert "RuntimeError: boom $OPENPIPE_API_KEY" in result.crashes[0]
    assert KNOWN["api_key"] not in repr(result)
    assert "The suite itself failed" in result.open_questions[-1]


def test_a_run_that_is_interrupted_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openpipe_mock.contract.probe.Probe.send", failing(KeyboardInterrupt()))
    result = verdict_on(Reference(), only=("judge.errors",))
    assert result.verdict == "inconclusive"
    assert "interrupted" in result.crashes[0]


def test_a_suite_that_can_t_be_planned_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any) -> str:
        raise RuntimeError("no plan")

    monkeypatch.setattr("openpipe_mock.contract.probe.Request.value", broken)
    result = verdict_on(Reference(), only=("judge.errors",), seed=99)
    assert result.verdict == "inconclusive"
    assert "no plan" in "".join(result.crashes)
