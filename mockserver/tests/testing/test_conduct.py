"""What conduct is: each rule with requests that break it, and with the nearest that don't."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Head
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import ErrorAnswer
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.testing.conduct import (
    CONDUCT_RULES,
    MOST_AFTER,
    MOST_RETRIES,
    SOON_ENOUGH,
    UNDER_WAY,
    Observed,
    lapses,
    observed,
)
from tests.chatting import CHAT, asking
from tests.environments import ROOT
from tests.inprocess import HEADERS, JUDGE, MINIMAL, answer
from tests.tables import rows

Json = Any
BASE = Observed("default-0", "judge", 0.0, 0.0, 200, b"a")


def request(at: float, status: int = 200, same: str = "a", **members: Any) -> Observed:
    """A request that is answered at once."""
    return replace(BASE, id=f"default-{at:g}", at=at, ended=at, status=status, same=same.encode(), **members)


def broken(*requests: Observed) -> list[str]:
    return [warning.rule.name for warning in lapses(requests)]


TOLD = request(0, 429, retry_after=2.0)


def hammered(number: int, **members: Any) -> list[Observed]:
    """Requests of which the first is answered 429, and the others come when the client knows of that."""
    first = request(0, 429, "0", **members)
    return [first, *(request(UNDER_WAY + n / 100, 429, str(n), **members) for n in range(1, number))]


def later(request: Observed) -> Observed:
    return replace(request, at=request.at + 1, ended=request.at + 1, same=request.same + b"later")


FAILED = tuple(request(number, 503) for number in range(MOST_RETRIES + 2))


def results(calls: Sequence[Json], *answered: Json) -> Json:
    """A body in which tools are called with these ids, and results come for those."""
    tools = [{"role": "tool", "tool_call_id": each} for each in answered]
    return {"messages": [7, {"role": "assistant", "tool_calls": [{"id": each} for each in calls]}, *tools]}


CASES: Sequence[tuple[str, Sequence[Observed]]] = (
    ("ignored-retry-after", [request(0, 429, retry_after=2.0), request(1.5)]),
    ("ignored-retry-after", [request(0, 503, retry_after=2.0), request(1.0)]),
    ("", [request(0, 429, retry_after=2.0), request(1.9)]),
    ("", [request(0, 429, retry_after=2.0), request(1.0, same="b")]),
    ("", [request(0, 429), request(0.1)]),
    ("", [request(0, 429, retry_after=2.0), request(1.0, retry=False)]),
    ("", [request(0, 429, retry_after=2.0), request(0.1), request(2.0)]),
    ("ignored-retry-after", [request(0, 429, retry_after=2.0), request(0.1), request(0.2)]),
    ("ignored-retry-after", [TOLD, replace(TOLD, at=0.1, ended=0.1), request(2.0)]),
    ("", [TOLD, replace(TOLD, at=0.1, ended=0.1), request(2.0), request(2.1)]),
    ("", [replace(request(0, 429, retry_after=2.0), ended=1.0), request(0.1)]),
    ("", [replace(request(0, 429, retry_after=2.0), ended=None), request(0.1)]),
    ("retried-a-400", [request(0, 400), request(1, 400)]),
    ("retried-a-400", [request(0, 422), request(0.5, same="b"), request(1, retry=True)]),
    ("", [request(0, 400), request(1, 400, same="b")]),
    ("", [request(0, 400), request(1, 400, retry=False)]),
    ("", [request(0, 400, meant=True), request(1, 400)]),
    ("", [request(0, 400), request(1, 400, meant=True)]),
    ("", [request(0, 400), request(SOON_ENOUGH, 400)]),
    ("", [replace(request(0, 400), ended=5.0), request(1, 400)]),
    ("", [replace(request(0, 400), ended=None), request(1, 400)]),
    ("", [request(0, 401), request(1, 401)]),
    ("hammered-after-429", hammered(MOST_AFTER + 2, retry_after=2.0)),
    ("hammered-after-429", hammered(MOST_AFTER + 9, retry_after=2.0)),
    ("hammered-after-429", hammered(MOST_AFTER + 2)),
    ("", hammered(MOST_AFTER + 1, retry_after=2.0)),
    ("", [request(n / 1000, 429, str(n), retry_after=2.0) for n in range(100)]),
    ("", [request(n, 429, str(n), retry_after=1.0) for n in range(9)]),
    ("", [*hammered(2, retry_after=2.0), request(0.6, same="b"), *map(later, hammered(MOST_AFTER + 1))]),
    ("", [replace(each, endpoint=each.id) for each in hammered(9, retry_after=2.0)]),
    ("retried-without-end", FAILED),
    ("", FAILED[1:]),
    ("", [*FAILED[:3], request(3, 200), *(request(n, 503) for n in range(4, 9))]),
    ("", [request(n) for n in range(20)]),
    ("secret-in-query", [request(0, secrets=("api_key",))]),
    ("key-in-body", [request(0, body={"metadata": {"key": "***"}})]),
    ("key-in-body", [request(0, body=["x", "Bearer ***"])]),
    ("", [request(0, body={"messages": [{"content": "*** stars"}]})]),
    ("left-a-stream", [replace(request(0, streamed=True), ended=None)]),
    ("", [replace(request(0), ended=None), request(1, streamed=True)]),
    ("criteria-in-body", [request(0, endpoint="chat", body={"op-criteria": ["helpful"]})]),
    ("unknown-tool-call", [request(0, endpoint="chat", body=results(["a"], "b"))]),
    ("unknown-tool-call", [request(0, endpoint="chat", body=results(["a"], "a", "c"))]),
    ("unknown-tool-call", [request(0, endpoint="chat", body=results([None, 7], "a"))]),
    ("criteria-in-body", [request(0, endpoint="chat", body={"headers": {"op-criteria": "[]"}})]),
    ("", [request(0, endpoint="chat", body={"headers": {"op-tags": "{}"}, "extra_headers": 1})]),
    ("", [request(0, endpoint="report", body={"op-criteria": ["helpful"]})]),
    ("", [request(0, endpoint="chat", body=[1])]),
    ("", [request(0, endpoint="chat", body=results(["a", "b"], "b", "a", 7))]),
    ("", [request(0, endpoint="chat", body={"messages": [{"role": "tool"}, {"tool_calls": 7}]})]),
    ("", [request(0, endpoint="chat", body=results(["a"], "b"), meant=True)]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "requests"), CASES, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(CASES)]
)
def test_a_rule_is_broken_by_what_it_is_about_and_by_nothing_else(
    rule: str, requests: Sequence[Observed]
) -> None:
    assert broken(*requests) == ([rule] if rule else [])


def test_each_rule_has_a_case() -> None:
    assert {rule for rule, _ in CASES} - {""} == {rule.name for rule in CONDUCT_RULES}


def test_each_rule_says_what_is_wrong_and_what_to_do() -> None:
    for rule in CONDUCT_RULES:
        assert rule.sentence.endswith(".")
        assert rule.remedy.endswith(".")


def test_the_page_lists_the_rules() -> None:
    page = (ROOT / "docs" / "exec.md").read_text(encoding="utf-8")
    listed = [
        (row["rule"].strip("`"), row["what is wrong"], row["what to do"])
        for row in rows(page[page.index("| rule") :])
    ]
    assert listed == [(rule.name, rule.sentence, rule.remedy) for rule in CONDUCT_RULES]


def test_a_warning_is_told_in_one_line() -> None:
    [warning] = lapses([request(0, secrets=("api_key", "token")), request(1, secrets=("key",))])
    assert str(warning) == (
        "secret-in-query: A secret was sent in the query of a URL, where proxies and logs keep it. "
        "default-0: in its query: api_key, token, and 1 more. Send the key as `Authorization: Bearer KEY`."
    )


def test_waiting_is_no_matter_where_nobody_knows_it() -> None:
    requests = [request(0, 429, retry_after=2.0), request(0), *hammered(9), request(9, secrets=("key",))]
    assert [lapse.rule.name for lapse in lapses(requests, real_time=False)] == ["secret-in-query"]


# What is observed of the journal's entries.


def entries(*asked: tuple[str, Json, dict[bytes, bytes]], settings: Settings | None = None) -> list[Entry]:
    service = Service(settings)
    for path, body, headers in asked:
        answer(service, body, path=path, headers={**HEADERS, **headers})
    return list(service.sessions.default.journal.entries)


def test_an_entry_is_observed() -> None:
    count = b"x-stainless-retry-count"
    first, again, other, meant = map(
        observed,
        entries(
            (JUDGE, MINIMAL, {}),
            (JUDGE, MINIMAL, {count: b"1"}),
            (CHAT, asking(stream=True), {count: b"0"}),
            (JUDGE, {}, {b"x-mock-expect": b" Violation"}),
        ),
    )
    assert first.same == again.same != other.same
    assert (first.endpoint, first.status, first.body) == ("judge", 200, MINIMAL)
    assert [each.retry for each in (first, again, other)] == [None, True, False]
    assert (other.streamed, other.ended) == (True, 0.0)
    assert (meant.meant, meant.status, first.meant) == (True, 400, False)


def test_a_key_in_the_body_is_found_though_the_journal_hides_it() -> None:
    [entry] = entries(
        (CHAT, asking(metadata={"deep": "op-test-key"}), {b"authorization": b"Bearer op-test-key"})
    )
    assert b"op-test-key" not in json.dumps(str(entry)).encode()
    [warning] = lapses([observed(entry)])
    assert (warning.rule.name, warning.sights[0].told) == ("key-in-body", "at /metadata/deep")


def test_a_path_that_is_none_of_ours_stands_for_its_endpoint() -> None:
    service = Service()
    answer(service, path="/nowhere", method="GET")
    [entry] = service.sessions.default.journal.entries
    found = observed(entry)
    assert (found.endpoint, found.status, found.body) == ("/nowhere", 404, None)


def test_what_an_answer_and_a_query_say_is_observed() -> None:
    busy = Settings(faults=(Fault(kinds=(ErrorAnswer(429, retry_after=0.5),)),))
    [entry] = entries((JUDGE, MINIMAL, {}), settings=busy)
    assert (observed(entry).retry_after, observed(entry).status) == (0.5, 429)
    visit = Service().visit(Head("POST", JUDGE, HEADERS, b"api_key=op-1&limit=5&token="))
    assert observed(visit.entry).secrets == ("api_key",)


def test_long_bodies_that_begin_alike_are_not_the_same() -> None:
    one, other = (
        observed(entry)
        for entry in entries(*((CHAT, asking("x" * length), {}) for length in (90_000, 90_001)))
    )
    assert one.same != other.same


def test_conduct_is_that_of_a_journal() -> None:
    busy = Settings(faults=(Fault(first=1, kinds=(ErrorAnswer(429, retry_after=1.0),)),))
    came = list(map(observed, entries((JUDGE, MINIMAL, {}), (JUDGE, MINIMAL, {}), settings=busy)))
    [lapse] = lapses(came)
    assert (lapse.rule.name, [sight.id for sight in lapse.sights]) == ("ignored-retry-after", ["default-2"])
    assert lapses(came, real_time=False) == ()
