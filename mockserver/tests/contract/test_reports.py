"""The reports of a run: text, JUnit, JSON, a page; known deviations and a baseline."""

import datetime
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from openpipe_mock.contract.checks import find
from openpipe_mock.contract.deviations import (
    BadFile,
    Known,
    against_baseline,
    applied,
    draft,
    read_baseline,
    read_known,
)
from openpipe_mock.contract.findings import CaseResult, Finding, Outcome, Planned, Result, outcomes
from openpipe_mock.contract.html import report_page
from openpipe_mock.contract.junit import report_junit
from openpipe_mock.contract.probe import Exchange, Request
from openpipe_mock.contract.text import curl, header, id_list, plan, report_json, report_text
from tests.judging import states, verdict_on
from tests.reference.habits import Habits
from tests.reference.mutants import mutants

AGAIN = "openpipe-mock contract http://mock.test/api/v1"
TODAY = datetime.date(2026, 1, 31)
BODY = '{"a":"it\'s <b>"}'
REQUEST = Request(
    "POST",
    "/chat/completions",
    BODY.encode(),
    (("content-type", "application/json"), ("op-criteria", '["it\'s"]')),
)
EVIDENCE = Exchange(REQUEST, 200, (("content-type", "application/json"),), b"<script>alert(1)</script>\x01")


def finding(check: str = "criteria.sorted", **changes: Any) -> Finding:
    made = Finding(check, "it is <b>not</b> sorted.", "/choices", "broken", "documented", EVIDENCE, check)
    return replace(made, **changes)


def shown(**changes: Any) -> Finding:
    """A finding whose request has these changes."""
    return finding(evidence=replace(EVIDENCE, request=replace(REQUEST, **changes)))


def outcome(*findings: Finding, state: Any = "broken") -> Outcome:
    return Outcome(find(findings[0].check), state, findings)


def result(*made: Outcome, **changes: Any) -> Result:
    planned = Planned(requests=3, musts=frozenset({"judge.response.schema"}))
    whole = Result("http://mock.test/api/v1", "sdk", 7, 400, planned, made, requests=3, seconds=1.5)
    return replace(whole, **changes)


KEPT = Outcome(find("chat.choices.count"), "kept")


@cache
def mutant_s(name: str) -> Result:
    """The suite's result for a one-bug server."""
    found = next(mutant for mutant in mutants() if mutant.name == name)
    only = ("criteria.results", "criteria.sorted", "reachability", "chat.response.score")
    return verdict_on(found.make(Habits()), only=only, max_requests=90)


def text(found: Result) -> str:
    return "\n".join(report_text(found, AGAIN))


# Verdicts.


@pytest.mark.parametrize(
    ("found", "verdict", "code"),
    [
        (result(KEPT), "kept", 0),
        (result(outcome(finding())), "broken", 1),
        (result(outcome(finding()), crashes=("Traceback",)), "broken", 1),
        (result(KEPT, crashes=("Traceback",)), "inconclusive", 3),
        (result(KEPT, unreached={"judge": "Nobody is there."}), "inconclusive", 3),
        (result(), "inconclusive", 3),
        (result(KEPT, Outcome(find("judge.response.schema"), "unchecked")), "inconclusive", 3),
        (result(KEPT, Outcome(find("judge.latest"), "unchecked")), "kept", 0),
        (result(outcome(finding(kind="flaky"), state="flaky")), "inconclusive", 3),
        (result(outcome(finding(kind="lenient"), state="lenient")), "kept", 0),
        (result(outcome(finding(kind="known"), state="known")), "kept", 0),
        (result(outcome(finding("chat.model", level="decision"))), "kept", 0),
        (result(outcome(finding("chat.model", level="decision")), level="decision"), "broken", 1),
        (result(outcome(finding(level="source"))), "kept", 0),
    ],
)
def test_a_result_has_one_verdict_and_its_exit_code(found: Result, verdict: str, code: int) -> None:
    assert (found.verdict, found.exit_code) == (verdict, code)


def test_what_breaks_on_a_firm_word_in_one_place_counts_by_it() -> None:
    found = result(outcome(finding(level="decision"), finding(level="sdk")))
    assert found.outcomes[0].level == "sdk"
    assert found.outcomes[0].first.level == "sdk"


def test_the_worst_that_was_seen_is_a_check_s_state() -> None:
    findings = (finding("chat.model", kind="lenient"), finding("judge.no_5xx"))
    result = CaseResult(find("chat.model"), findings, frozenset({"chat.usage.sum"}))
    made = outcomes([result], Planned(cut=("criteria.sorted",)))
    assert {each.check.id: each.state for each in made} == {
        "judge.no_5xx": "broken",
        "chat.model": "lenient",
        "chat.usage.sum": "kept",
        "criteria.sorted": "unchecked",
    }
    assert made[0].check.id == "judge.no_5xx", "in the catalogue's order"


# Text.


@pytest.mark.slow
def test_a_failure_is_told_once_with_all_that_is_needed_to_see_it_again() -> None:
    found = mutant_s("criteria-score-above-1")
    told = text(found)
    assert told.count("BROKEN chat.response.score") == 1
    check = find("chat.response.score")
    for part in (
        check.promise,
        check.quote,
        check.remedy,
        "outside 0 to 1",
        "$OPENPIPE_API_KEY",
        f"{AGAIN} --only ",
    ):
        assert part in told
    assert "The contract is broken: 1 check at level sdk." in told
    assert "exit code 1" in told


def test_the_smallest_request_that_shows_it_is_shown() -> None:
    found = mutant_s("criteria-score-above-1")
    [broken] = [each for each in found.outcomes if each.state == "broken"]
    assert len(broken.findings) > 1
    assert broken.first.size == min(each.size for each in broken.findings)


@pytest.mark.slow
def test_the_curl_line_is_what_a_shell_takes() -> None:
    line = curl(finding(), "http://mock.test/api/v1")
    words = shlex.split(line.replace('"Authorization: Bearer $OPENPIPE_API_KEY"', "KEY"))
    assert words[:2] == ["curl", "-sS"]
    assert 'op-criteria: ["it\'s"]' in words
    assert words[-1] == BODY
    echoed = subprocess.run(["sh", "-c", f"printf '%s' {shlex.quote(BODY)}"], capture_output=True, check=True)
    assert echoed.stdout.decode() == BODY


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"credential": "none"}, "Authorization"),
        ({"body": b" " * 10**6}, "curl"),
        ({"body": b"\x00"}, "curl"),
    ],
)
def test_a_curl_line_has_no_more_than_was_sent(changes: Mapping[str, Any], part: str) -> None:
    assert part not in curl(shown(**changes), "http://mock.test")


def test_a_wrong_key_is_in_the_curl_line_as_it_was_meant() -> None:
    assert "Bearer invalid-key" in curl(shown(credential="wrong"), "http://x")


def test_what_decides_nothing_is_told_in_a_line() -> None:
    found = result(
        KEPT,
        outcome(finding("chat.model", level="decision")),
        outcome(finding("judge.rejects.ToolCall.type", kind="lenient"), state="lenient"),
        outcome(finding("judge.no_5xx", kind="flaky", level="source"), state="flaky"),
        remarks=("Mind the gap.",),
    )
    told = text(found)
    for part in (
        "Deviations beyond the level",
        "chat.model (decision)",
        "More is accepted",
        "Flaky",
        "Mind the gap.",
    ):
        assert part in told
    assert "The contract is kept." in told


def test_a_long_list_is_cut_with_its_number() -> None:
    many = [
        outcome(finding(f"judge.rejects.C{number}.type", kind="lenient"), state="lenient")
        for number in range(20)
    ]
    assert "and 8 more" in text(result(*many))
    assert id_list([f"a.b{number}" for number in range(20)]).endswith("8 more")
    assert id_list(["judge.rejects.A.type", "judge.rejects.B.type"]) == "judge.rejects.* (2)"


def test_the_table_counts_by_level() -> None:
    told = text(result(KEPT, outcome(finding("chat.model", level="decision"))))
    rows = {
        line.split()[0]: line.split()[1:]
        for line in told.splitlines()
        if line.startswith(("documented", "decision"))
    }
    assert rows["documented"][:6] == ["1", "0", "0", "0", "0", "0"]
    assert rows["decision"][:6] == ["0", "1", "0", "0", "0", "0"]


def test_header_and_plan_say_what_is_about_to_happen() -> None:
    planned = Planned(
        57, 3, 9902, 70770, {"judge.errors.method": 2, "judge.errors.empty_body": 1}, cut=("chat.model",)
    )
    told = "\n".join([*header("http://mock.test", "sdk", 7, 60), *plan(planned), *plan(planned, whole=True)])
    for part in (
        "level sdk, seed 7, at most 60 requests",
        "57 requests, 3 kept back",
        "70,770 tokens",
        "chat.model",
    ):
        assert part in told
    assert re.search(r"judge.errors +3\n", told)
    assert re.search(r"judge.errors.method +2\n", told)


# Files.


def test_json_has_every_check_and_every_finding() -> None:
    found = json.loads(report_json(mutant_s("criteria-score-above-1")))
    assert (found["version"], found["verdict"], found["exit_code"]) == (1, "broken", 1)
    [broken] = [check for check in found["checks"] if check["state"] == "broken"]
    assert broken["id"] == "chat.response.score"
    assert broken["decides"] is True
    assert broken["findings"][0]["evidence"]["status"] == 200


def test_junit_has_a_case_for_each_check() -> None:
    made = result(KEPT, outcome(finding()), Outcome(find("judge.latest"), "unchecked", (), ("no --latest",)))
    suite = ElementTree.fromstring(report_junit(made, AGAIN))[0]
    assert suite.attrib["tests"] == "3"
    assert (suite.attrib["failures"], suite.attrib["skipped"], suite.attrib["errors"]) == ("1", "1", "0")
    [failure] = suite.iter("failure")
    assert "not</b> sorted" in failure.attrib["message"]
    assert "--only criteria.sorted" in str(failure.text)
    assert next(suite.iter("skipped")).attrib["message"] == "no --latest"


def test_junit_tells_of_no_verdict_and_of_what_is_only_reported() -> None:
    made = result(
        outcome(finding("chat.model", level="decision")), unreached={"judge": "Nobody."}, crashes=("Oh",)
    )
    suite = ElementTree.fromstring(report_junit(made, AGAIN))[0]
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "1")
    assert "Oh" in str(next(suite.iter("error")).text)
    assert "chat.model" in str(next(suite.iter("system-out")).text)


class Tags(HTMLParser):
    """The tags of a page, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else_and_escapes_what_servers_say() -> None:
    made = report_page(result(KEPT, outcome(finding()), crashes=("<i>oh</i>",), remarks=("<u>",)), AGAIN)
    tags = Tags(made)
    assert tags.links == []
    assert not {"script", "link", "img", "b", "i", "u"} & set(tags.tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made
    assert "prefers-color-scheme:dark" in made
    assert 'name="viewport"' in made


def test_the_page_unfolds_what_is_broken_and_shows_all_checks_by_endpoint() -> None:
    made = report_page(mutant_s("criteria-score-above-1"), AGAIN)
    assert made.count("<details open>") == 1
    assert "<code>results.<wbr>asked</code>" in made
    assert "Findings (1)" in made


def test_a_page_without_findings_says_so() -> None:
    assert "None." in report_page(result(KEPT), AGAIN)


def test_a_family_is_one_cell_with_its_number() -> None:
    family = [Outcome(find(f"judge.rejects.C{number}.type"), "kept") for number in range(3)]
    made = report_page(result(*family, outcome(finding("judge.rejects.X.type"))), AGAIN)
    assert "✗ 1/4" in made


# Known deviations.


def known_file(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "known.yaml"
    path.write_text(content)
    return path


def test_known_deviations_fail_nothing_until_they_expire(tmp_path: Path) -> None:
    path = known_file(tmp_path, "- {id: criteria.*, reason: Sorted next week., expires: 2026-01-31}")
    found = result(KEPT, outcome(finding()))
    kept = applied(found, read_known(path), TODAY)
    assert kept.verdict == "kept"
    assert states(kept, "known") == {"criteria.sorted"}
    late = applied(found, read_known(path), TODAY + datetime.timedelta(days=1))
    assert late.verdict == "broken"
    assert "expired on 2026-01-31" in late.remarks[0]


def test_an_entry_that_nothing_needs_is_told() -> None:
    found = applied(result(KEPT), [Known("judge.latest", "Because.", TODAY)], TODAY)
    assert "was not seen" in found.remarks[0]
    assert found.verdict == "kept"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id: x", "expected a list"),
        ("- {id: x}", "entry 1: expected exactly id, reason and expires"),
        ("- {id: 1, reason: x, expires: 2030-01-01}", "the id is no text"),
        ("- {id: x, reason: ' ', expires: 2030-01-01}", "the reason is empty"),
        ("- {id: x, reason: y, expires: soon}", "no date such as"),
        ("- [", "known.yaml:2:1: this is not YAML: the text ends too early"),
        ("- \x07", "known.yaml:1:3: the character U\\+0007 may not stand in YAML"),
        ("[" * 2000, "known.yaml:1:62: .*nested deeper than 60 levels"),
    ],
)
def test_a_file_of_known_deviations_is_read_strictly(content: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=words):
        read_known(known_file(tmp_path, content))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"gone\.yaml: No such file or directory$"):
        read_known(tmp_path / "gone.yaml")


@pytest.mark.parametrize("read", [read_known, read_baseline])
def test_a_file_that_never_ends_is_not_read_to_its_end(read: Callable[[Path], object]) -> None:
    with pytest.raises(BadFile, match=r"/dev/zero: it has more than \d+ MiB"):
        read(Path("/dev/zero"))


def test_a_draft_has_every_break_and_waits_for_reasons(tmp_path: Path) -> None:
    made = draft(result(KEPT, outcome(finding(sentence="two\nlines"))), TODAY)
    [entry] = yaml.safe_load(made)
    assert entry == {"id": "criteria.sorted", "reason": "", "expires": datetime.date(2026, 5, 1)}
    with pytest.raises(BadFile, match="the reason is empty"):
        read_known(known_file(tmp_path, made))
    assert read_known(known_file(tmp_path, draft(result(KEPT), TODAY))) == ()


# The baseline.


def test_only_new_breaks_fail_against_a_baseline(tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    kept = Outcome(find("chat.no_5xx"), "kept")
    path.write_text(report_json(result(kept, outcome(finding()), outcome(finding("judge.no_5xx")))))
    now = result(outcome(finding()), outcome(finding("chat.no_5xx")), Outcome(find("judge.no_5xx"), "kept"))
    found = against_baseline(now, read_baseline(path))
    assert found.compared is not None
    assert found.compared.new == ("chat.no_5xx",)
    assert found.compared.gone == ("judge.no_5xx",)
    assert found.compared.unchanged == ("criteria.sorted",)
    assert [each.check.id for each in found.breaks] == ["chat.no_5xx"]
    assert found.verdict == "broken"
    told = text(found)
    assert "Broken before, too" in told
    assert "New since the baseline: chat.no_5xx" in told
    assert json.loads(report_json(found))["baseline"]["gone"] == ["judge.no_5xx"]


def test_nothing_new_is_no_break(tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    path.write_text(report_json(result(outcome(finding()))))
    assert against_baseline(result(outcome(finding())), read_baseline(path)).verdict == "kept"


def test_what_a_baseline_did_not_check_is_not_new(tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    path.write_text(report_json(result(KEPT, Outcome(find("criteria.sorted"), "unchecked"))))
    now = result(outcome(finding()), outcome(finding("chat.no_5xx")))
    found = against_baseline(now, read_baseline(path))
    assert (found.verdict, found.breaks) == ("kept", [])
    assert "Broken, and not checked by the baseline: criteria.sorted, chat.no_5xx" in text(found)


def test_a_break_of_the_baseline_that_was_not_checked_again_is_told(tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    path.write_text(report_json(result(outcome(finding()))))
    found = against_baseline(result(KEPT), read_baseline(path))
    assert found.compared is not None
    assert found.compared.gone == ()
    assert found.remarks == ("criteria.sorted was broken in the baseline and was not checked this time.",)


def test_what_the_baseline_left_open_leaves_nothing_open(tmp_path: Path) -> None:
    """An unchanged server without one of the endpoints, or of too small a budget, does not fail."""
    schema = Outcome(find("judge.response.schema"), "unchecked")
    before = result(KEPT, schema, Outcome(find("reachability.chat"), "unchecked"), unreached={"chat": "No."})
    path = tmp_path / "last.json"
    path.write_text(report_json(before))
    assert before.exit_code == 3
    assert against_baseline(before, read_baseline(path)).exit_code == 0
    more = result(KEPT, schema, unreached={"chat": "No.", "judge": "No."})
    assert against_baseline(more, read_baseline(path)).exit_code == 3


def test_a_baseline_that_checked_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    path.write_text(report_json(result(Outcome(find("criteria.sorted"), "unchecked"))))
    with pytest.raises(BadFile, match="that run checked nothing"):
        read_baseline(path)


@pytest.mark.parametrize("content", ["{", "[]", '{"checks": [1]}'])
def test_a_baseline_that_is_no_result_is_told(content: str, tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    path.write_text(content)
    with pytest.raises(BadFile, match="expected the file that --json wrote"):
        read_baseline(path)
    with pytest.raises(BadFile, match="No such file"):
        read_baseline(tmp_path / "gone.json")
