"""The control API: what can be set and seen at runtime, in which session, and how mistakes are told."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock import __version__
from openpipe_mock.answers.scorers import Declared, Fixed, Form
from openpipe_mock.config import file as configfile
from openpipe_mock.config.file import ConfigFile
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import Control
from openpipe_mock.control.parameters import MOST_BODY
from openpipe_mock.core.effects import Head, ReadBody, Reply, Tick
from openpipe_mock.sessions.memory import IDLE_SECONDS, MOST_SESSIONS
from tests.controlling import CHAT, Mock, score, text
from tests.inprocess import HEADERS, JUDGE, answer, content_of, issues_of

Json = Any


@pytest.fixture
def mock() -> Mock:
    return Mock()


def from_file(**members: Any) -> Mock:
    """A mock whose config file says this."""
    return Mock(configfile.settings(members))


# About the mock


def test_health_says_what_decides_the_answers() -> None:
    mock = Mock(Settings(seed=7, validation="lenient"))
    said = mock.json("GET", "/health")
    assert said == {
        "status": "ok",
        "name": "openpipe-mock",
        "version": __version__,
        "seed": 7,
        "answers": 2,
        "validation": "lenient",
    }


def test_status_counts_what_is_in_force_and_what_came() -> None:
    mock = from_file(criteria={"a": {"score": 1}, "b": {"score": 0}}, faults=[{"status": 500, "call": 9}])
    mock.json("POST", "/completions", [{"text": "x"}, {"text": "y"}], status=201)
    mock.judge("a")
    said = mock.json("GET", "/status")
    counts = [said[name] for name in ("criteria", "completions", "faults", "requests", "sessions")]
    assert counts == [2, 2, 1, 1, 1]
    assert said["config"]["file"] is None


def test_status_says_where_sessions_are_remembered(mock: Mock) -> None:
    said = mock.json("GET", "/status")["memory"]
    assert {**said, "place": "this process", "shared": True, "redis": None} == said


def test_status_says_why_the_newest_file_is_not_in_force(mock: Mock) -> None:
    mock.service.file = ConfigFile("x.yaml", 3, ("x.yaml:1:1: no",))
    said = mock.json("GET", "/status")["config"]
    assert said == {
        "file": "x.yaml",
        "loads": 3,
        "in_force": False,
        "missing": False,
        "problems": ["x.yaml:1:1: no"],
        "replaced": False,
    }


def test_a_file_that_is_gone_is_not_in_force(mock: Mock) -> None:
    mock.service.file = ConfigFile("x.yaml", 1, (), missing=True)
    assert mock.json("GET", "/status")["config"]["in_force"] is False


def test_head_is_answered_as_get_is(mock: Mock) -> None:
    assert mock.ask("HEAD", "/health").status == 200


def test_reset_forgets_all_of_the_session(mock: Mock) -> None:
    mock.json("PUT", "/criteria/helpful", {"score": 0.125})
    mock.json("POST", "/completions", {"text": "scripted"}, status=201)
    mock.json("POST", "/faults", {"status": 500}, status=201)
    mock.json("PUT", "/limits", {"concurrent": 1})
    mock.judge()
    assert mock.json("POST", "/reset") == {"status": "ok"}
    assert mock.json("GET", "/criteria")["criteria"] == []
    assert mock.json("GET", "/completions")["completions"] == []
    assert mock.json("GET", "/faults")["faults"] == []
    assert mock.json("GET", "/limits")["source"] == "default"
    assert mock.json("GET", "/requests")["count"] == 0


# A whole config


CONFIG = b"criteria: {helpful: {score: 0.25}}\ncompletions: [{text: By this text.}]\n"


def test_a_session_answers_by_the_text_of_a_config_in_place_of_all_before() -> None:
    mock = from_file(criteria={"kind": {"score": 1}}, completions=[{"text": "By the file."}])
    mock.json("PUT", "/criteria/helpful", {"score": 1})
    mock.json("POST", "/completions", {"text": "At runtime."}, status=201)
    assert mock.json("PUT", "/config", CONFIG) == {"status": "ok"}
    assert (score(mock.judge()), text(mock.chat())) == (0.25, "By this text.")
    assert mock.judge("kind").status == 404
    assert mock.json("GET", "/status")["config"]["replaced"] is True
    assert mock.json("GET", "/status", query="session=other", status=404)
    assert mock.json("DELETE", "/config") == {"status": "ok"}
    assert (score(mock.judge("kind")), text(mock.chat())) == (1, "By the file.")
    assert mock.json("GET", "/status")["config"]["replaced"] is False


def test_what_is_set_at_runtime_stands_on_top_of_such_a_config(mock: Mock) -> None:
    mock.json("PUT", "/config", CONFIG)
    mock.json("PUT", "/criteria/helpful", {"score": 0.5})
    assert score(mock.judge()) == 0.5
    mock.json("DELETE", "/criteria/helpful")
    assert score(mock.judge()) == 0.25


def test_a_config_with_mistakes_changes_nothing_and_names_their_lines(mock: Mock) -> None:
    wrong = b"seed: many\ncriteria:\n  helpful: {scor: 1}\n"
    before = score(mock.judge())
    refused = mock.json("PUT", "/config", wrong, status=400)
    assert [issue["message"].split(": ")[0] for issue in refused["issues"]] == ["1:1", "3:13"]
    assert score(mock.judge()) == before
    checked = mock.json("POST", "/config/check", wrong)
    assert checked["ok"] is False
    places = [(each["line"], each["column"], each["pointer"]) for each in checked["mistakes"]]
    assert places == [(1, 1, "/seed"), (3, 13, "/criteria/helpful/scor")]


@pytest.mark.parametrize("given", [b"", b"{}", CONFIG])
def test_a_right_config_is_right_and_only_looked_at(mock: Mock, given: bytes) -> None:
    assert mock.json("POST", "/config/check", given) == {"ok": True, "mistakes": []}
    assert mock.json("GET", "/criteria")["criteria"] == []


@pytest.mark.parametrize(
    "given", [b"a: [", b"\xff\xfe", b"a: !!python/name:os.system ''", b"auth: {keys: hush-hush}"]
)
def test_what_is_no_config_is_told_without_what_may_be_a_key(mock: Mock, given: bytes) -> None:
    checked = mock.json("POST", "/config/check", given)
    assert checked["mistakes"]
    assert "hush" not in json.dumps(checked)


def test_what_becomes_of_other_criteria_is_set_at_runtime(mock: Mock) -> None:
    mock.json("PUT", "/criteria", {"unknown_criteria": "judge"})
    mock.json("PUT", "/criteria/helpful", {"score": 1})
    assert mock.judge("other").status == 200
    assert mock.json("PUT", "/criteria", {"unknown_criteria": None})["unknown_criteria"] == "not_found"
    assert mock.judge("other").status == 404


@pytest.mark.parametrize("body", [{}, {"unknown_criteria": "maybe"}, {"unknown": "judge"}, [], 1])
def test_other_values_for_other_criteria_are_refused(mock: Mock, body: Json) -> None:
    assert "unknown" in mock.message("PUT", "/criteria", body)


# Paths, methods, queries


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/health/", "//health", "/health/x", "/requests/1/2"])
def test_an_unknown_path_is_404(mock: Mock, path: str) -> None:
    assert mock.json("GET", path, status=404)["code"] == "NOT_FOUND"


def test_an_unknown_path_names_the_nearest(mock: Mock) -> None:
    assert "did you mean /_mock/completions?" in mock.message("POST", "/completion", {}, status=404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/reset", b"POST"),
        ("POST", "/health", b"GET, HEAD"),
        ("PATCH", "/completions", b"DELETE, GET, HEAD, POST"),
        ("POST", "/criteria/x", b"DELETE, PUT"),
        ("GET", "/verify", b"POST"),
    ],
)
def test_the_wrong_method_is_405_and_names_the_right_ones(
    mock: Mock, method: str, path: str, allow: bytes
) -> None:
    reply = mock.ask(method, path)
    assert (reply.status, dict(reply.headers)[b"allow"]) == (405, allow)


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        ("/requests", "statsu=429", 'Did you mean "status"?'),
        ("/health", "x=1", 'known are "session"'),
        ("/requests", "status=429&status=500", "given twice"),
        ("/requests", "&".join("status=1" for _ in range(101)), "more than 100 parameters"),
        ("/requests", "status=many", "as in 4xx"),
        ("/requests", "endpoint=judgement", '"judge"'),
        ("/requests", "validity=maybe", '"valid", "invalid" or "unknown"'),
        ("/requests", "criterion=", '"helpful@v2"'),
        ("/requests", "limit=0", "from 1 to 1000"),
        ("/requests", "limit=1001", "from 1 to 1000"),
        ("/requests", "limit=%D9%A1", "from 1 to 1000"),
    ],
)
def test_a_parameter_that_is_unknown_or_wrong_is_refused(
    mock: Mock, path: str, query: str, told: str
) -> None:
    assert told in mock.message("GET", path, query=query)


@pytest.mark.parametrize("path", ["/criteria/x", "/limits"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN", b"[" * 300])
def test_a_body_that_is_no_json_is_400(mock: Mock, path: str, body: bytes) -> None:
    assert mock.json("PUT", path, body, status=400)["code"] == "PARSE_ERROR"


def test_a_body_over_a_mebibyte_is_413(mock: Mock) -> None:
    assert mock.ask("PUT", "/limits", b" " * (MOST_BODY + 1)).status == 413
    announced = {b"content-length": b"%d" % (MOST_BODY + 1)}
    assert mock.ask("PUT", "/limits", {}, headers=announced).status == 413
    assert mock.ask("PUT", "/limits", b" " * (MOST_BODY - 2) + b"{}").status == 200


# Criteria


def test_a_criterion_that_is_set_judges_so(mock: Mock) -> None:
    said = mock.json("PUT", "/criteria/helpful", {"score": 0.125})
    assert said == {
        "id": "helpful",
        "latest": "helpful@v1",
        "versions": {"v1": "score"},
        "source": "runtime",
    }
    assert score(mock.judge()) == 0.125


def test_a_plain_form_is_that_of_every_declared_version() -> None:
    mock = from_file(criteria={"helpful": {"v1": {"score": 0}, "v3": {"score": 0.5}}})
    assert mock.json("PUT", "/criteria/helpful", {"score": 1})["versions"] == {"v1": "score", "v3": "score"}
    assert [score(mock.judge(each)) for each in ("helpful@v1", "helpful@v3", "helpful")] == [1, 1, 1]


def test_one_version_is_set_and_the_others_stay() -> None:
    mock = from_file(criteria={"helpful": {"v1": {"score": 0.25}, "v2": {"score": 0.5}}})
    mock.json("PUT", "/criteria/helpful@v2", {"score": 1})
    assert [score(mock.judge(each)) for each in ("helpful@v1", "helpful@v2")] == [0.25, 1]
    mock.json("PUT", "/criteria/helpful@v7", {"pass_rate": 0})
    assert score(mock.judge("helpful")) == 0


def test_versions_replace_all_versions() -> None:
    mock = from_file(criteria={"helpful": {"v1": {"score": 0.25}, "v2": {"score": 0.5}}})
    assert mock.json("PUT", "/criteria/helpful", {"v5": {"score": 1}})["latest"] == "helpful@v5"
    assert mock.judge("helpful@v1").status == 404


def test_versions_for_one_version_are_refused(mock: Mock) -> None:
    assert "got versions" in mock.message("PUT", "/criteria/helpful@v1", {"v1": {"score": 1}})


def test_what_is_removed_is_again_what_the_file_says() -> None:
    mock = from_file(criteria={"helpful": {"v1": {"score": 0.25}, "v2": {"score": 0.5}}})
    mock.json("PUT", "/criteria/helpful", {"score": 1})
    mock.json("DELETE", "/criteria/helpful@v1")
    assert [score(mock.judge(each)) for each in ("helpful@v1", "helpful@v2")] == [0.25, 1]
    mock.json("DELETE", "/criteria/helpful@v2")
    [shown] = mock.json("GET", "/criteria")["criteria"]
    assert (shown["source"], score(mock.judge())) == ("file", 0.5)
    mock.json("PUT", "/criteria/helpful", {"score": 1})
    mock.json("DELETE", "/criteria/helpful")
    mock.json("DELETE", "/criteria/helpful")
    assert score(mock.judge()) == 0.5


def test_a_criterion_of_no_file_is_gone_once_it_is_removed(mock: Mock) -> None:
    mock.json("PUT", "/criteria/helpful@v2", {"score": 1})
    mock.json("PUT", "/criteria/helpful@v3", {"score": 1})
    mock.json("DELETE", "/criteria/helpful@v3")
    [shown] = mock.json("GET", "/criteria")["criteria"]
    assert shown["versions"] == {"v2": "score"}
    mock.json("DELETE", "/criteria/helpful@v2")
    assert mock.json("GET", "/criteria") == {"criteria": [], "unknown_criteria": "judge"}


def test_removing_what_nobody_set_names_the_nearest(mock: Mock) -> None:
    mock.json("PUT", "/criteria/helpful", {"score": 1})
    assert 'Did you mean "helpful"?' in mock.message("DELETE", "/criteria/helpfull", status=404)


def test_an_id_may_hold_a_slash_and_any_letters(mock: Mock) -> None:
    mock.json("PUT", "/criteria/äh/né", {"score": 0.125})
    assert score(mock.judge("äh/né")) == 0.125


@pytest.mark.parametrize("name", ["a b", "x@v0", "x@", "@v1", "\ud800 "])
def test_an_id_that_is_none_is_refused_with_the_grammar(mock: Mock, name: str) -> None:
    assert "A criterion id is" in mock.message("PUT", f"/criteria/{name}", {"score": 1})


def test_half_a_character_in_a_path_does_no_harm(mock: Mock) -> None:
    assert mock.json("PUT", "/criteria/\ud800", {"score": 1})["id"] == "?"


def test_the_list_names_each_form_by_its_key() -> None:
    forms: dict[str, Json] = {
        "score": {"score": 1},
        "uniform": {"uniform": [0, 1]},
        "near": {"near": 0.5},
        "pass_rate": {"pass_rate": 0.5},
        "length": {"length": {"best": 1, "worst": 2}},
        "by_output": {"by_output": {"x": 1}},
        "rules": {"rules": [{"when": {"output": "x"}, "score": 1}]},
        "sequence": {"sequence": [1]},
        "error": {"error": {"status": 500}},
        "raw": {"raw": {"score": 2}},
    }
    mock = from_file(criteria=forms)
    shown = {each["id"]: each["versions"]["v1"] for each in mock.json("GET", "/criteria")["criteria"]}
    assert shown == {name: name for name in forms}
    assert mock.json("GET", "/criteria")["unknown_criteria"] == "not_found"


def test_a_mistake_in_a_form_is_told_as_in_the_file(mock: Mock) -> None:
    reply = mock.ask("PUT", "/criteria/x", {"uniform": [0, 1], "decimls": 2})
    assert reply.status == 400
    assert any(issue.startswith("/decimls: ") and '"decimals"' in issue for issue in issues_of(reply))
    assert mock.json("GET", "/criteria")["criteria"] == []


# Scripts and faults


def test_a_newer_script_stands_in_front() -> None:
    mock = from_file(completions=[{"name": "old", "text": "file"}])
    assert text(mock.chat()) == "file"
    first = mock.json("POST", "/completions", {"text": "first"}, status=201)["places"]
    both = [{"text": "second", "name": "two"}, {"text": "never"}]
    second = mock.json("POST", "/completions", both, status=201)["places"]
    assert text(mock.chat()) == "second"
    assert mock.json("GET", "/completions")["completions"] == [
        {"place": second[0], "name": "two", "source": "runtime"},
        {"place": second[1], "name": None, "source": "runtime"},
        {"place": first[0], "name": None, "source": "runtime"},
        {"place": "/completions/0", "name": "old", "source": "file"},
    ]
    assert len({*first, *second}) == 3
    assert mock.json("DELETE", "/completions") == {"status": "ok", "removed": 3}
    assert text(mock.chat()) == "file"


def test_a_fault_strikes_until_it_is_removed(mock: Mock) -> None:
    [place] = mock.json("POST", "/faults", {"status": 503, "name": "down"}, status=201)["places"]
    assert mock.judge().status == 503
    assert mock.json("GET", "/faults")["faults"] == [{"place": place, "name": "down", "source": "runtime"}]
    assert mock.json("DELETE", "/faults")["removed"] == 1
    assert mock.judge().status == 200


def test_a_fault_that_is_set_again_counts_anew(mock: Mock) -> None:
    for _ in range(2):
        mock.json("DELETE", "/faults")
        mock.json("POST", "/faults", {"status": 503, "first": 1}, status=201)
        assert [mock.judge().status for _ in range(2)] == [503, 200]


@pytest.mark.parametrize("path", ["/completions", "/faults"])
def test_mistakes_in_a_list_of_rules_come_at_once_and_nothing_is_set(mock: Mock, path: str) -> None:
    reply = mock.ask("POST", path, [{"bad": 1}, {"when": {}, "text": "x", "status": 500}, 3])
    pointers = {issue.split(":")[0].split("/")[1] for issue in issues_of(reply)}
    assert (reply.status, pointers) == (400, {"0", "1", "2"})
    assert mock.json("GET", path)[path[1:]] == []


def test_an_empty_list_of_rules_is_a_mistake(mock: Mock) -> None:
    assert "an empty list" in mock.message("POST", "/faults", [])


# Limits


def test_limits_are_set_shown_and_removed() -> None:
    mock = Mock(Settings(limits=Limits(concurrent=7)))
    assert mock.json("GET", "/limits") == {
        "requests_per_minute": None,
        "concurrent": 7,
        "source": "file",
    }
    assert mock.json("PUT", "/limits", {"requests_per_minute": 1}) == {
        "requests_per_minute": 1,
        "concurrent": None,
        "source": "runtime",
    }
    assert [mock.judge().status for _ in range(2)] == [200, 429]
    assert mock.json("DELETE", "/limits")["concurrent"] == 7
    assert mock.judge().status == 200


@pytest.mark.parametrize("limits", [{}, {"concurrent": None}])
def test_limits_that_nothing_sets_are_of_no_file(limits: Json) -> None:
    mock = Mock(configfile.settings({"limits": limits}))
    mock.service.file.path = "openpipe-mock.yaml"
    mock.json("PUT", "/limits", {"concurrent": 1})
    assert mock.json("DELETE", "/limits")["source"] == mock.json("GET", "/limits")["source"] == "default"


@pytest.mark.parametrize("fault", [None, {"status": 500}, {"delay_ms": 1}])
def test_criteria_are_named_alike_whatever_becomes_of_the_request(fault: Json) -> None:
    faults = [fault] if fault else []
    mock = Mock(configfile.settings({"criteria": {"a": {"v2": {"score": 1}}}, "faults": faults}))
    for asked in ("a", "a@v2", "a@v1", "b"):
        mock.judge(asked)
        mock.send(CHAT, CHAT_BODY, headers={**HEADERS, b"op-criteria": json.dumps([asked]).encode()})
    found = [entry["criteria"] for entry in mock.json("GET", "/requests")["requests"]]
    assert found[::-1] == [[name] for name in ("a@v2", "a@v2", "a@v1", "b") for _ in range(2)]


def test_wrong_limits_are_refused(mock: Mock) -> None:
    assert issues_of(mock.ask("PUT", "/limits", {"concurrent": 0}))[0].startswith("/concurrent: ")


def test_huge_limits_do_no_harm(mock: Mock) -> None:
    mock.ask("PUT", "/limits", b'{"concurrent": 1e300}')
    assert mock.ask("GET", "/limits").status == 200


# Sessions


def test_a_fresh_session_has_urls_that_lead_to_it(mock: Mock) -> None:
    made = mock.json("POST", "/sessions", status=201, headers={b"host": b"localhost:6736"})
    assert made == {
        "name": "s1",
        "base_url": "http://localhost:6736/_mock/sessions/s1/api/v1",
        "control_url": "http://localhost:6736/_mock/sessions/s1/_mock",
        "expires_after_seconds": IDLE_SECONDS,
        "requests": 0,
    }
    assert mock.send("/_mock/sessions/s1/api/v1/criteria/judge", MINIMAL).status == 200
    assert mock.json("GET", "/sessions/s1")["requests"] == 1
    assert mock.json("GET", "/sessions/default")["requests"] == 0


MINIMAL = {"criterion_id": "helpful", "output": {"role": "assistant"}}


@pytest.mark.parametrize(
    ("headers", "start"),
    [
        ({b"host": b"mock.test", b"x-forwarded-proto": b"https"}, "https://mock.test/"),
        ({b"host": b"[::1]:80"}, "http://[::1]:80/"),
        ({}, "/"),
        ({b"host": b"a b"}, "/"),
    ],
)
def test_urls_begin_with_the_origin_that_the_client_used(
    mock: Mock, headers: dict[bytes, bytes], start: str
) -> None:
    made = mock.json("POST", "/sessions", {}, status=201, headers=headers)
    assert made["base_url"] == f"{start}_mock/sessions/s1/api/v1"


def test_a_session_by_name_is_made_once(mock: Mock) -> None:
    assert mock.json("POST", "/sessions", {"name": "w1"}, status=201)["name"] == "w1"
    assert mock.json("POST", "/sessions", {"name": "w1"}, status=200)["name"] == "w1"
    assert [each["name"] for each in mock.json("GET", "/sessions")["sessions"]] == ["default", "w1"]


def test_where_all_places_are_taken_no_way_opens_a_further_session(mock: Mock) -> None:
    for _ in range(MOST_SESSIONS):
        mock.json("POST", "/sessions", status=201)
    for method, path, body in (
        ("POST", "/sessions", None),
        ("POST", "/sessions", {"name": "more"}),
        ("POST", "/reset", None),
        ("PUT", "/criteria/c", {"score": 1}),
        ("POST", "/completions", {"text": "x"}),
        ("POST", "/faults", {"status": 500}),
        ("PUT", "/limits", {}),
    ):
        query = "" if path == "/sessions" else "session=more"
        refused = mock.json(method, path, body, query=query, status=409)
        assert refused["code"] == "CONFLICT"
        assert "DELETE one that is done with" in refused["message"]
    mock.json("DELETE", "/sessions/s1")
    assert mock.json("POST", "/sessions", {"name": "more"}, status=201)["name"] == "more"


@pytest.mark.parametrize("body", [{"name": 1}, {"name": "a b"}, {"nam": "x"}, [], {"name": ""}])
def test_a_session_that_can_not_be_is_refused(mock: Mock, body: Json) -> None:
    assert mock.ask("POST", "/sessions", body).status == 400
    assert len(mock.json("GET", "/sessions")["sessions"]) == 1


def test_the_session_is_named_by_query_header_or_path(mock: Mock) -> None:
    mock.json("PUT", "/criteria/c", {"score": 0.125}, query="session=a")
    mock.json("PUT", "/criteria/c", {"score": 0.25}, headers={b"x-mock-session": b"b"})
    mock.json("PUT", "/sessions/c/_mock/criteria/c", {"score": 0.5})
    found = [score(mock.judge("c", session=name)) for name in ("a", "b", "c")]
    assert found == [0.125, 0.25, 0.5]
    assert mock.json("GET", "/criteria")["criteria"] == []


def test_the_query_goes_before_the_path_and_the_path_before_the_header(mock: Mock) -> None:
    for name in ("a", "b", "c"):
        mock.json("POST", "/sessions", {"name": name}, status=201)
    header = {b"x-mock-session": b"b"}
    assert mock.json("GET", "/status", headers=header)["session"] == "b"
    assert mock.json("GET", "/sessions/c/_mock/status", headers=header)["session"] == "c"
    assert mock.json("GET", "/sessions/c/_mock/status", headers=header, query="session=a")["session"] == "a"
    assert mock.json("GET", "/sessions/c/_mock/status")["session"] == "c"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/criteria"),
        ("GET", "/completions"),
        ("DELETE", "/faults"),
        ("GET", "/limits"),
        ("GET", "/status"),
        ("GET", "/requests"),
        ("DELETE", "/requests"),
    ],
)
def test_looking_into_a_session_that_is_not_there_is_404(mock: Mock, method: str, path: str) -> None:
    assert '"nobody"' in mock.message(method, path, status=404, query="session=nobody")
    assert len(mock.json("GET", "/sessions")["sessions"]) == 1


def test_an_expired_session_says_so_until_it_is_closed(mock: Mock) -> None:
    mock.json("POST", "/sessions", {"name": "w1"}, status=201)
    mock.at += IDLE_SECONDS + 1
    for method, path in (("GET", "/sessions/w1"), ("PUT", "/sessions/w1/_mock/limits")):
        assert "has expired" in mock.message(method, path, {}, status=404)
    mock.json("DELETE", "/sessions/w1")
    assert mock.json("POST", "/sessions", {"name": "w1"}, status=201)["name"] == "w1"


def test_a_closed_session_is_gone_and_the_default_stays(mock: Mock) -> None:
    mock.json("POST", "/sessions", {"name": "w1"}, status=201)
    mock.json("DELETE", "/sessions/w1")
    assert mock.ask("GET", "/sessions/w1").status == 404
    assert mock.ask("DELETE", "/sessions/w1").status == 404
    assert "can't be closed" in mock.message("DELETE", "/sessions/default")


# What is refused changes nothing


REFUSALS: list[tuple[str, str, Json]] = [
    ("PUT", "/criteria/helpful", {"scor": 1}),
    ("PUT", "/criteria/helpful@v1", {"v1": {"score": 1}}),
    ("POST", "/completions", {"txt": "a"}),
    ("POST", "/faults", [{"status": 500}, {}]),
    ("PUT", "/limits", {"concurrent": 0}),
]


@pytest.mark.parametrize(("method", "path", "body"), REFUSALS)
def test_what_is_refused_makes_no_session_and_takes_no_place(
    mock: Mock, method: str, path: str, body: Json
) -> None:
    assert mock.ask(method, path, body, query="session=ghost").status == 400
    assert [each["name"] for each in mock.json("GET", "/sessions")["sessions"]] == ["default"]
    assert mock.ask(method, path, body).status == 400
    assert mock.json("POST", "/faults", {"status": 500}, status=201)["places"] == ["/runtime/1"]


@pytest.mark.parametrize("body", [b'{"score": 1, "score": 0}', b'{"raw": {"a": [{"b": 1, "b": 2}]}}'])
def test_a_key_that_stands_twice_is_refused_as_in_the_file(mock: Mock, body: bytes) -> None:
    assert "stands twice" in mock.message("PUT", "/criteria/helpful", body)
    assert mock.json("GET", "/criteria")["criteria"] == []


def test_a_session_keeps_a_thousand_rules_of_a_kind(mock: Mock) -> None:
    rules = [("faults", {"status": 500}, 1001), ("completions", {"text": "a"}, 2002)]
    for kind, rule, place in rules:  # what is refused takes none
        mock.json("POST", f"/{kind}", [rule] * 999, status=201)
        assert "keeps 1,000 of a kind, and 999 are set" in mock.message("POST", f"/{kind}", [rule] * 2)
        mock.json("POST", f"/{kind}", rule, status=201)
        assert mock.ask("POST", f"/{kind}", rule).status == 400
        mock.json("DELETE", f"/{kind}")
        assert mock.json("POST", f"/{kind}", rule, status=201)["places"] == [f"/runtime/{place}"]


def test_a_session_keeps_a_thousand_criteria(mock: Mock) -> None:
    for number in range(1000):
        mock.json("PUT", f"/criteria/c{number}", {"score": 1})
    assert "1,000 are set" in mock.message("PUT", "/criteria/more", {"score": 1})
    mock.json("PUT", "/criteria/c7", {"score": 0})


def test_a_version_that_is_not_there_is_not_reset(mock: Mock) -> None:
    mock.json("PUT", "/criteria/helpful", {"v1": {"score": 1}, "v3": {"score": 0}})
    told = mock.message("DELETE", "/criteria/helpful@v9", status=404)
    assert told.endswith('the criterion "helpful" has no version v9; it has v1 and v3.')
    mock.json("DELETE", "/criteria/helpful@v3")
    assert mock.json("GET", "/criteria")["criteria"][0]["versions"] == {"v1": "score"}


@pytest.mark.parametrize("path", ["", "/"])
def test_the_root_of_the_control_api_leads_to_its_document(mock: Mock, path: str) -> None:
    assert "GET /_mock/openapi.yaml describes" in mock.message("GET", path, status=404)


def test_a_share_is_the_same_wherever_the_fault_stands(mock: Mock) -> None:
    fault = {"share": 0.5, "status": 500, "when": {"endpoint": "judge"}}

    def struck() -> list[int]:
        return [mock.judge(text=str(number)).status for number in range(40)]

    mock.json("POST", "/faults", fault, status=201)
    first = struck()
    assert set(first) == {200, 500}
    mock.json("POST", "/reset")
    mock.json("POST", "/completions", {"text": "a"}, status=201)
    mock.json("POST", "/faults", fault, status=201)
    mock.json("POST", "/faults", {"when": {"model": "x"}, "status": 500}, status=201)
    assert struck() == first


def test_the_rule_of_an_answer_from_the_cache_is_not_said_to_have_fired(mock: Mock) -> None:
    cached = {**HEADERS, b"op-cache": b"true"}
    body = {"model": "openpipe:m", "messages": [{"role": "user", "content": "Hi"}]}
    mock.json("POST", "/completions", {"text": "One."}, status=201)
    mock.send(CHAT, body, headers=cached)
    mock.json("POST", "/completions", {"text": "Two."}, status=201)
    assert text(mock.send(CHAT, body, headers=cached)) == "One."
    listed = mock.json("GET", "/requests")["requests"]
    assert [each["rules"] for each in listed] == [[], ["/runtime/1"]]
    unmatched = mock.json("GET", "/requests/default-2")["unmatched"]
    assert all("the cache" in each["reason"] for each in unmatched)


def test_a_fault_s_name_can_not_pass_for_another_s(mock: Mock) -> None:
    mock.json("POST", "/faults", {"name": "x) (fault /runtime/2", "status": 503}, status=201)
    mock.json("POST", "/faults", {"when": {"endpoint": "chat"}, "status": 500}, status=201)
    mock.judge()
    found = mock.json("GET", "/requests/default-1")
    assert [each["place"] for each in found["unmatched"]] == ["/runtime/2"]


# Journal


def test_requests_are_listed_newest_first_and_filtered(mock: Mock) -> None:
    mock.judge("helpful@v2")
    mock.judge("other")
    mock.chat()
    mock.send(CHAT, {"model": 1})
    mock.send("/api/v1/nowhere", {})

    def ids(query: str) -> list[str]:
        return [each["id"] for each in mock.json("GET", "/requests", query=query)["requests"]]

    assert ids("") == ["default-5", "default-4", "default-3", "default-2", "default-1"]
    assert ids("endpoint=judge") == ["default-2", "default-1"]
    assert ids("criterion=helpful") == ids("criterion=helpful@v2") == ["default-1"]
    assert ids("criterion=helpful@v1") == []
    assert ids("status=4xx") == ["default-5", "default-4"]
    assert ids("status=400") == ids("validity=invalid") == ["default-4"]
    assert ids("limit=2") == ["default-5", "default-4"]
    assert mock.json("GET", "/requests", query="limit=2")["count"] == 5


def test_all_sessions_can_be_read_at_once(mock: Mock) -> None:
    mock.judge(session="a")
    mock.judge()
    assert {each["id"] for each in mock.json("GET", "/requests", query="session=*")["requests"]} == {
        "a-1",
        "default-1",
    }
    assert mock.json("DELETE", "/requests", query="session=*")["removed"] == 2


def test_the_id_in_the_answer_leads_to_the_exchange(mock: Mock) -> None:
    reply = mock.judge(session="w-1")
    id = dict(reply.headers)[b"x-request-id"].decode()
    found = mock.json("GET", f"/requests/{id}")
    assert (found["id"], found["session"], found["status"]) == (id, "w-1", 200)
    assert found["answer"]["body"] == content_of(reply)


@pytest.mark.parametrize("id", ["default-9", "nobody-1", "1", "default-", "-1", "default-x", "default-٣"])
def test_an_exchange_that_is_not_there_is_404(mock: Mock, id: str) -> None:
    assert mock.ask("GET", f"/requests/{id}").status == 404


def test_the_journal_is_emptied_and_the_counts_go_on(mock: Mock) -> None:
    mock.judge()
    assert mock.json("DELETE", "/requests")["removed"] == 1
    mock.judge()
    assert [each["id"] for each in mock.json("GET", "/requests")["requests"]] == ["default-2"]


def test_a_criterion_is_found_in_requests_that_nobody_judged(mock: Mock) -> None:
    mock.json("PUT", "/criteria/helpful", {"score": 1})
    mock.json("POST", "/faults", {"when": {"header": {"x-test": "down"}}, "status": 503}, status=201)
    mock.judge("concise@v2")
    mock.judge("helpful", headers={**HEADERS, b"x-test": b"down"})
    asked = {**HEADERS, b"op-criteria": b'["helpful", "clear@v3"]'}
    message = {"messages": [{"role": "user", "content": "Hi"}]}
    mock.send(CHAT, {"model": "openpipe:m", **message}, headers=asked)

    def found(criterion: str) -> list[tuple[str, int]]:
        listed = mock.json("GET", "/requests", query=f"criterion={criterion}")["requests"]
        return [(each["id"], each["status"]) for each in listed]

    assert found("concise") == found("concise@v2") == [("default-1", 404)]
    assert found("concise@v1") == []
    assert found("helpful") == found("helpful@v1") == [("default-3", 404), ("default-2", 503)]
    assert mock.json("GET", "/requests/default-3")["criteria"] == ["helpful@v1", "clear@v3"]


REFUSED: dict[str, Mapping[bytes, bytes]] = {
    "no key": {b"content-type": b"application/json"},
    "too long": {**HEADERS, b"content-length": b"99999999"},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_the_validity_of_a_request_that_nobody_read_is_unknown(mock: Mock, reason: str) -> None:
    mock.send(JUDGE, {"criterion_id": 5}, headers=REFUSED[reason])
    mock.judge()
    mock.send(JUDGE, {})
    mock.send("/api/v1/nowhere", {})
    found = {each["id"]: each["valid"] for each in mock.json("GET", "/requests")["requests"]}
    assert found == {"default-4": None, "default-3": False, "default-2": True, "default-1": None}
    for validity, ids in {"valid": [2], "invalid": [3], "unknown": [4, 1]}.items():
        listed = mock.json("GET", "/requests", query=f"validity={validity}")["requests"]
        assert [each["id"] for each in listed] == [f"default-{number}" for number in ids]


def test_a_request_without_a_body_is_valid(mock: Mock) -> None:
    answer(mock.service, path="/api/v1/models", method="GET")
    answer(mock.service, path="/api/v1/models", method="GET", headers={})
    listed = mock.json("GET", "/requests")["requests"]
    assert [each["valid"] for each in listed] == [None, True]


CHAT_BODY = {"model": "openpipe:m", "messages": [{"role": "user", "content": "Hi"}]}
STRUCK: dict[str, tuple[str, Json, dict[bytes, bytes], str]] = {
    "a number that the engine refuses": (CHAT, {**CHAT_BODY, "max_tokens": -1}, {}, "max_tokens"),
    "a cache that there isn't": (CHAT, CHAT_BODY, {b"op-cache": b"bogus"}, "op-cache"),
    "criteria that are no list": (CHAT, CHAT_BODY, {b"op-criteria": b"helpful"}, "op-criteria"),
    "tags that are none": (CHAT, CHAT_BODY, {b"op-tags": b"[1]"}, "op-tags"),
    "criteria with a stream": (CHAT, {**CHAT_BODY, "stream": True}, {b"op-criteria": b'["a"]'}, "stream"),
    "a field of no log": (
        "/api/v1/logs/update-tags",
        {"filters": [{"field": "modle", "equals": "m"}], "tags": {"a": "b"}},
        {},
        "modle",
    ),
    "no JSON": (JUDGE, b"{", {}, "parse"),
    "nothing": (CHAT, CHAT_BODY, {}, ""),
    "an unknown criterion": (CHAT, CHAT_BODY, {b"op-criteria": b'["a@v0"]'}, ""),
    "a right judge request": (JUDGE, {"criterion_id": "a", "output": {"role": "assistant"}}, {}, ""),
}


@pytest.mark.parametrize("case", STRUCK)
def test_a_request_that_a_fault_struck_is_held_against_all_that_its_engine_asks(
    mock: Mock, case: str
) -> None:
    path, body, headers, told = STRUCK[case]
    mock.json("POST", "/faults", {"status": 503}, status=201)
    assert mock.send(path, body, headers={**HEADERS, **headers}).status == 503
    [found] = mock.json("GET", "/requests")["requests"]
    assert found["valid"] is (told == "")
    assert told in "".join(found["violations"])
    assert bool(found["violations"]) is (told != "")


def test_a_late_request_belongs_to_what_was_forgotten(mock: Mock) -> None:
    body = json.dumps({"criterion_id": "mock-delay-5", "output": {"role": "assistant"}}).encode()
    late = mock.service.exchange(Head("POST", JUDGE, HEADERS))
    assert isinstance(next(late), ReadBody)
    late.send(body)
    mock.json("POST", "/reset")
    mock.judge()
    assert isinstance(late.send(None), Tick)
    with pytest.raises(StopIteration):
        late.send(1.0)
    [found] = mock.json("GET", "/requests")["requests"]
    assert (found["id"], found["criteria"]) == ("default-1", ["helpful@v1"])


@pytest.mark.parametrize("place", ["header", "path"])
def test_a_session_is_not_named_like_the_key(mock: Mock, place: str) -> None:
    if place == "header":
        reply = mock.judge(session="op-test")
    else:
        reply = mock.send(f"/_mock/sessions/op-test{JUDGE}", {})
    assert reply.status == 400
    assert "the request's own key" in reply.body.decode()
    assert "op-test" not in mock.ask("GET", "/sessions").body.decode()


# Verify


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 200_000}}


def see(mock: Mock, text: str, **more: Json) -> None:
    """A chat request with a picture, far over what the journal keeps of a body."""
    content = [{"type": "text", "text": text}, PICTURE, {"type": "text", "text": " Please."}]
    messages = [{"role": "system", "content": "You see."}, {"role": "user", "content": content}]
    assert mock.send(CHAT, {"messages": messages, **more, "model": "openpipe:eyes"}).status == 200


TOOLS = [{"type": "function", "function": {"name": "zoom", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    "when",
    [
        {"model": "openpipe:eyes"},
        {"last_user": "What is it? Please."},
        {"system": {"contains": "see"}},
        {"messages": {"user": {"matches": "^What"}}},
        {"tool": "zoom"},
        {"metadata": {"prompt_id": "p1"}},
        {"endpoint": "chat", "header": {"content-type": "application/json"}},
    ],
    ids=lambda when: next(iter(when)),
)
def test_a_request_with_a_picture_can_be_verified(mock: Mock, when: Json) -> None:
    see(mock, "What is it?", tools=TOOLS, metadata={"prompt_id": "p1"}, store=True)
    found = mock.json("POST", "/verify", {"when": when, "exactly": 1})
    assert (found["ok"], found["count"], found["unreadable"]) == (True, 1, 0)
    assert mock.json("GET", "/requests")["requests"][0]["model"] == "openpipe:eyes"
    assert mock.json("POST", "/verify", {"when": {"model": "other"}, "at_most": 0})["ok"]


def test_a_long_judge_request_can_be_verified(mock: Mock) -> None:
    asked = {"messages": [{"role": "user", "content": [PICTURE, {"type": "text", "text": "What?"}]}]}
    output = {"role": "assistant", "content": "A cat."}
    mock.send(JUDGE, {"input": asked, "output": output, "criterion_id": "helpful"})
    when = {"criterion": "helpful", "output": "A cat.", "last_user": "What?"}
    assert mock.json("POST", "/verify", {"when": when, "exactly": 1})["ok"]


def test_what_is_kept_of_a_long_request_holds_no_secret(mock: Mock) -> None:
    see(mock, "My key is op-test.", metadata={"password": "hunter2"})
    [entry] = mock.service.sessions.default.journal.entries
    assert entry.gist
    assert "op-test" not in entry.gist
    assert "hunter2" not in entry.gist
    assert mock.json("POST", "/verify", {"when": {"last_user": {"contains": "***"}}})["ok"]
    assert entry.size > len(entry.gist)


def test_a_verdict_never_rests_on_what_can_not_be_read(mock: Mock) -> None:
    mock.chat("long " * 30_000)
    mock.chat("short")

    def verdict(when: Json, **expected: int) -> tuple[bool, int, int]:
        found = mock.json("POST", "/verify", {"when": when, **expected})
        return found["ok"], found["count"], found["unreadable"]

    said = {"last_user": {"contains": "short"}}
    assert verdict(said, exactly=1) == verdict(said, at_most=1) == (False, 1, 1)
    assert verdict(said, at_least=1) == verdict(said, at_most=2) == (True, 1, 1)
    assert verdict({**said, "endpoint": "judge"}, at_most=0) == (True, 0, 0)
    assert verdict({"criterion": "a"}, exactly=0) == (True, 0, 0)
    assert verdict({"endpoint": "chat"}, exactly=2) == (True, 2, 0)


def test_a_long_body_that_is_no_json_is_none_for_sure(mock: Mock) -> None:
    mock.send(CHAT, b"model" * 20_000)
    found = mock.json("POST", "/verify", {"when": {"model": "m"}, "exactly": 0})
    assert (found["ok"], found["unreadable"]) == (True, 0)


def test_verify_counts_the_requests_that_meet_a_condition(mock: Mock) -> None:
    for words in ("one", "two", "two"):
        mock.chat(words)
    when = {"endpoint": "chat", "last_user": "two"}
    assert mock.json("POST", "/verify", {"when": when, "exactly": 2})["ok"] is True
    assert mock.json("POST", "/verify", {"when": when})["expected"] == "at least 1"
    assert mock.json("POST", "/verify", {"when": when, "at_most": 1}) == {
        "ok": False,
        "expected": "at most 1",
        "count": 2,
        "unreadable": 0,
        "near_misses": [],
        "matched": ["default-3", "default-2"],
        "dropped": 0,
    }


def test_verify_shows_the_nearest_when_too_few_came(mock: Mock) -> None:
    mock.judge()
    mock.chat("tow")
    said = mock.json("POST", "/verify", {"when": {"endpoint": "chat", "last_user": "two"}})
    assert (said["ok"], said["count"], [each["id"] for each in said["near_misses"]]) == (
        False,
        0,
        ["default-2", "default-1"],
    )
    assert said["near_misses"][0] == {
        "id": "default-2",
        "held": 1,
        "failed": [{"condition": "last_user", "expected": 'equals "two"', "seen": '"tow"'}],
    }


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"when": {"modle": "x"}}, "/when/modle: "),
        ({"when": {"last_user": {"matches": "("}}}, "/when/last_user/matches: "),
        ({"exactly": -1}, "/exactly: "),
        ({"exactly": 1.5}, "/exactly: "),
        ({"exactly": True}, "/exactly: "),
        ({"at_most": 10**30}, "/at_most: "),
        ({"exactly": 1, "at_most": 2}, "body: "),
        ({"atleast": 1}, "/atleast: "),
        ({"a/b~": 1}, "/a~1b~0: "),
        ([], "body: "),
    ],
)
def test_a_verification_that_is_none_is_refused(mock: Mock, body: Json, pointer: str) -> None:
    assert issues_of(mock.ask("POST", "/verify", body))[0].startswith(pointer)


# Anything at all

PATHS = st.one_of(
    st.text(max_size=20).map(lambda tail: f"/{tail}"),
    st.sampled_from(
        [
            *("/health", "/status", "/openapi.yaml", "/reset", "/criteria", "/criteria/a", "/criteria/a@v2"),
            *("/completions", "/faults", "/limits", "/sessions", "/sessions/a", "/sessions/default"),
            *("/requests", "/requests/default-1", "/requests/a-1", "/verify", "/sessions/a/_mock/limits"),
        ]
    ),
)
KEYS = st.text(max_size=4) | st.sampled_from(
    [
        *("name", "when", "exactly", "at_most", "score", "uniform", "rules", "sequence", "v1", "output"),
        *(
            "text",
            "choices",
            "raw",
            "status",
            "call",
            "share",
            "concurrent",
            "requests_per_minute",
            "last_user",
        ),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
BODIES = st.binary(max_size=40) | VALUES.map(lambda value: json.dumps(value).encode())
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]) | st.text(max_size=6)
QUERIES = st.text(max_size=20) | st.sampled_from(
    [
        "session=a",
        "session=*",
        "session=b",
        "status=4xx",
        "limit=1&endpoint=chat",
        "criterion=a",
        "validity=valid",
    ]
)
ORDERS = st.tuples(METHODS, PATHS, BODIES, QUERIES, st.floats(min_value=0, max_value=10_000))


@given(orders=st.lists(ORDERS, max_size=8))
def test_whatever_a_client_sends_is_answered_as_the_document_says(
    orders: list[tuple[str, str, bytes, str, float]],
) -> None:
    mock = Mock(Settings(criteria={"a": Declared({1: Form(Fixed(1.0))})}))
    mock.judge("a")
    for method, path, body, query, later in orders:
        mock.at += later
        mock.ask(method, path, body, query=query)
        mock.ask("GET", "/status")


def test_every_header_may_be_any_bytes(mock: Mock) -> None:
    headers = {b"host": b"\xff\x00", b"x-mock-session": b"\xff", b"content-length": b"1e9"}
    assert mock.ask("POST", "/sessions", {}, headers=headers).status == 201
    assert mock.ask("GET", "/status", headers=headers).status == 404


def test_a_crash_of_a_query_never_happens(mock: Mock) -> None:
    exchange = Control(mock.service).exchange(Head("GET", "/_mock/health", HEADERS, b"%ff=\xff&;=%zz"))
    with pytest.raises(StopIteration) as stopped:
        next(exchange)
    reply: Reply = stopped.value.value
    assert reply.status == 400
