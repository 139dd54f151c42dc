"""The control API: what can be set and seen at runtime, in which session, and how mistakes are told."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver import __version__, configfile
from mockserver.config import Declared, Fixed, Form, Limits, Settings
from mockserver.control import Control
from mockserver.effects import Head, Reply
from mockserver.orders import MOST_BODY
from mockserver.service import ConfigFile
from mockserver.state import IDLE_SECONDS
from mockserver.tests.controlling import CHAT, Mock, score, text
from mockserver.tests.inprocess import HEADERS, content_of, issues_of

Json = Any


@pytest.fixture
def mock() -> Mock:
    return Mock()


def from_file(**members: Any) -> Mock:
    """A mock whose config file says this."""
    return Mock(configfile.settings(members))


# About the mock


def test_health_says_what_decides_the_answers() -> None:
    mock = Mock(Settings(seed=7, validation="report"))
    said = mock.json("GET", "/health")
    assert said == {
        "status": "ok",
        "name": "openpipe-mock",
        "version": __version__,
        "seed": 7,
        "answers": 1,
        "validation": "report",
    }


def test_status_counts_what_is_in_force_and_what_came() -> None:
    mock = from_file(criteria={"a": {"score": 1}, "b": {"score": 0}}, faults=[{"status": 500, "call": 9}])
    mock.json("POST", "/completions", [{"text": "x"}, {"text": "y"}], status=201)
    mock.judge("a")
    said = mock.json("GET", "/status")
    counts = [said[name] for name in ("criteria", "completions", "faults", "requests", "sessions")]
    assert counts == [2, 2, 1, 1, 1]
    assert said["config"]["file"] is None


def test_status_says_why_the_newest_file_is_not_in_force(mock: Mock) -> None:
    mock.service.file = ConfigFile("x.yaml", 3, ("x.yaml:1:1: no",))
    said = mock.json("GET", "/status")["config"]
    assert said == {
        "file": "x.yaml",
        "loads": 3,
        "in_force": False,
        "missing": False,
        "problems": ["x.yaml:1:1: no"],
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
    assert mock.json("GET", "/limits")["source"] == "file"
    assert mock.json("GET", "/requests")["count"] == 0


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
        ("/requests", "validity=maybe", '"valid" or "invalid"'),
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


def test_the_query_goes_before_the_header_and_the_header_before_the_path(mock: Mock) -> None:
    for name in ("a", "b", "c"):
        mock.json("POST", "/sessions", {"name": name}, status=201)
    header = {b"x-mock-session": b"b"}
    assert mock.json("GET", "/sessions/c/_mock/status", headers=header)["session"] == "b"
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


# Verify


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
@settings(deadline=None)
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
