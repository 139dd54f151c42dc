"""The reports of a run: text, JUnit, JSON, a page; known deviations and a baseline."""

import datetime
import html
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

from openpipe_mock.contract.checks import catalogue, find
from openpipe_mock.contract.deviations import (
    BadFile,
    Known,
    against_baseline,
    applied,
    draft,
    read_baseline,
    read_known,
    refuse_unknown_ids,
)
from openpipe_mock.contract.facts import curl, id_list, sent, verdict
from openpipe_mock.contract.findings import CaseResult, Finding, Outcome, Planned, Result, outcomes
from openpipe_mock.contract.html import report_page
from openpipe_mock.contract.junit import report_junit
from openpipe_mock.contract.probe import Exchange, Request
from openpipe_mock.contract.summary import report_summary
from openpipe_mock.contract.text import header, plan, report_json, report_text
from openpipe_mock.core.levels import LEVELS
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
    assert told.count("chat.response.score (documented: ") == 1
    check = find("chat.response.score")
    for part in (
        check.promise,
        check.quote,
        check.remedy,
        "outside 0 to 1",
        f"{AGAIN} --only ",
    ):
        assert part in told
    assert "The contract is broken: 1 check at level sdk, 1 cause." in told
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


def test_names_of_headers_are_told_as_they_were_written() -> None:
    line = curl(shown(name_case="upper", headers=(("op-cache", "true"),)), "http://x")
    assert "'OP-CACHE: true'" in line
    assert "AUTHORIZATION: Bearer" in line
    told = sent(Exchange(Request("POST", "/", b"{}", name_case="upper")), catalogue()["judge.http.names"])
    assert "header names in upper case" in told


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


def test_verbose_has_a_block_for_each_check_and_a_line_for_what_fails_nothing() -> None:
    made = result(
        outcome(finding("judge.response.score")),
        outcome(finding("chat.response.score")),
        outcome(finding("chat.model", level="decision")),
        outcome(finding("chat.usage.sum", level="decision")),
    )
    told = "\n".join(report_text(made, AGAIN, verbose=True))
    assert told.count("\nBROKEN ") == 2
    assert told.count("curl -sS") == 2
    assert "  chat.usage.sum (decision) /choices: " in told


def test_what_else_a_check_has_seen_is_told_up_to_three_times() -> None:
    found = [finding(sentence=f"the {word} is wrong.") for word in ("id", "model", "usage", "time", "role")]
    told = text(result(outcome(*found)))
    assert told.count("  And      ") == 4
    assert "And      1 more; --verbose and --json have them" in told


def test_what_steers_a_terminal_is_not_repeated() -> None:
    told = text(result(outcome(finding(evidence=replace(EVIDENCE, body=b"\x1b[2J\r\nx")))))
    assert "\x1b" not in told
    assert "[2J  x" in told


def test_a_long_list_is_cut_with_its_number() -> None:
    many = [
        outcome(finding(f"judge.rejects.C{number}.type", kind="lenient"), state="lenient")
        for number in range(20)
    ]
    assert "lenient" in text(result(*many))
    told = "\n".join(report_text(result(*many), AGAIN, verbose=True))
    assert told.count("judge.rejects.C") == 20
    assert id_list([f"a.b{number}" for number in range(20)]).endswith("8 more")
    assert id_list(["judge.rejects.A.type", "judge.rejects.B.type"]) == "judge.rejects.* (2)"


def test_the_table_counts_by_level() -> None:
    told = text(result(KEPT, outcome(finding("chat.model", level="decision"))))
    rows = {line.split()[0]: line.split()[1:] for line in told.splitlines() if line}
    assert rows["checks"] == [*LEVELS]
    assert rows["kept"] == ["1", "0", "0", "0"]
    assert rows["broken"] == ["0", "0", "0", "1"]
    assert "flaky" not in rows, "a state in which nothing is has no row"
    assert "level source and decision fails nothing" in told


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
    assert told.count("judge.errors.method ") == 1, "only the whole plan names each check"
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
    assert {link for link in tags.links if not link.startswith("#")} == set()
    assert not {"link", "img", "b", "i", "u"} & set(tags.tags)
    assert tags.tags.count("script") == 1
    assert "alert" not in made.rpartition("<script>")[2]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made
    assert "prefers-color-scheme:dark" in made
    assert "@media print" in made
    assert 'name="viewport"' in made


def test_the_page_has_the_checks_first_and_what_is_broken_folded_below() -> None:
    made = report_page(mutant_s("criteria-score-above-1"), AGAIN)
    assert "<details open>" not in made
    assert "results.<wbr>asked" in made
    assert made.index("<h2>Checks</h2>") < made.index("What fails the run (1)") < made.index("<dt>curl</dt>")
    assert made.count('href="#cause-chat.response.score"') == 2, "from the list of causes, and from the grid"
    assert made.count('id="cause-chat.response.score"') == 1


def test_the_page_copies_the_curl_line_and_the_command_that_asks_again() -> None:
    made = report_page(result(outcome(finding())), AGAIN)
    copied = re.findall(r"<button type=\"button\" hidden>copy</button><pre>([^<]*)</pre>", made)
    assert [html.unescape(each) for each in copied] == [
        curl(finding(), "http://mock.test/api/v1"),
        f"{AGAIN} --only criteria.sorted",
    ]


def test_a_cause_on_the_page_names_every_check_that_it_breaks() -> None:
    made = report_page(
        result(outcome(finding("judge.response.score")), outcome(finding("chat.response.score"))), AGAIN
    )
    assert "All 2 checks that it breaks" in made
    assert "<code>chat.<wbr>response.<wbr>score</code> documented, broken" in made
    assert made.count("it is &lt;b&gt;not&lt;/b&gt; sorted.") == 5, "list, cause, its fact, and each check"


def test_a_page_without_findings_says_so() -> None:
    made = report_page(result(KEPT), AGAIN)
    assert "What fails the run (0)" in made
    assert "Nothing." in made


def test_a_family_is_one_field_with_its_number() -> None:
    family = [Outcome(find(f"judge.rejects.C{number}.type"), "kept") for number in range(3)]
    made = report_page(result(*family, outcome(finding("judge.rejects.X.type"))), AGAIN)
    assert "✗ rejects 1/4" in made


@pytest.mark.parametrize("number", [0, 1, 20])
def test_a_page_folds_all_notes_but_the_first(number: int) -> None:
    made = report_page(result(KEPT, remarks=tuple(f"Note {each}." for each in range(number))), AGAIN)
    assert made.count("<p>Note ") == number
    assert ("15 more notes" in made) == (number == 20)


def test_the_summary_has_at_most_40_lines_of_markdown() -> None:
    names = [f"chat.{name}" for name in ("model", "usage.sum", "same_again", "json_object", "choices.cut")]
    many = [outcome(finding(name, sentence="a | b\n`c` <d>")) for name in [*names, *MANY]]
    notes = tuple(f"Note {number}." for number in range(30))
    for made in (result(KEPT), result(*many), result(*many, KEPT, remarks=notes)):
        told = report_summary(made)
        lines = told.splitlines()
        assert len(lines) <= 40
        assert verdict(made) in lines[0].replace("\\", "")
    assert "| kept | 1 | 0 | 0 | 0 |" in told
    assert "- 25 more notes" in told
    assert "a \\| b \\`c\\` \\<d\\>" in told


MANY = [name for name, check in catalogue().items() if not check.family and name.startswith("judge.")]


def test_each_format_says_what_the_budget_left_out() -> None:
    cut = Outcome(find("chat.model"), "unchecked", (), ("the budget did not reach so far",))
    made = result(KEPT, cut, planned=Planned(more=7))
    words = "left out 1 check (chat.model) and 7 further cases"
    told = {
        "text": text(made),
        "page": report_page(made, AGAIN),
        "junit": report_junit(made, AGAIN),
        "json": report_json(made),
        "summary": report_summary(made).replace("\\", ""),
    }
    assert [name for name, each in told.items() if words not in each] == []
    left = json.loads(told["json"])["left_out"]
    assert (left["checks"], left["cases"]) == (["chat.model"], 7)
    assert "left out" not in text(result(KEPT))


# Evidence.


def test_a_request_is_told_with_the_headers_on_which_a_finding_rests() -> None:
    [line] = [each for each in text(result(outcome(finding()))).splitlines() if "Sent" in each]
    assert line.split("Sent")[1].strip() == f'POST /chat/completions, op-criteria: ["it\'s"] {BODY}'
    assert "content-type" not in line


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"credential": "none"}, ", no key"),
        ({"credential": "wrong"}, ", a key that doesn't exist"),
        ({"headers": (("content-type", "text/plain"),)}, "content-type: text/plain"),
        ({"headers": ()}, ", no content-type"),
        ({"body": b""}, ", no body"),
        ({"headers": (("op-cache", "readOnly"), ("content-type", "application/json"))}, "op-cache: readOnly"),
    ],
)
def test_what_is_unusual_about_a_request_is_told(changes: Mapping[str, Any], part: str) -> None:
    found = shown(**changes)
    assert found.evidence
    assert part in sent(found.evidence, find(found.check))


def test_a_finding_about_a_content_type_shows_it() -> None:
    assert "content-type: application/json" in sent(EVIDENCE, find("judge.errors.content_type"))


def test_a_finding_cites_what_its_own_rule_says() -> None:
    case = "judge.rejects.ImageUrl.enum"
    pointer = "/input/messages/0/content/0/image_url/detail"
    told = text(result(outcome(finding(case, pointer=pointer))))
    assert "Rests on “ImageUrl: detail: enum: [auto, low, high]”" in told
    assert "additionalProperties" not in told


# Standings.


def test_junit_skips_what_is_known_or_in_the_baseline_with_the_reason() -> None:
    known = applied(result(outcome(finding())), [Known("criteria.*", "Ticket 4711.", TODAY)], TODAY)
    before = against_baseline(result(outcome(finding())), {"criteria.sorted": "broken"})
    told = []
    for made in (known, before):
        suite = ElementTree.fromstring(report_junit(made, AGAIN))[0]
        assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("0", "1")
        told.append(next(suite.iter("skipped")).attrib["message"])
    assert told == ["known until 2026-01-31: Ticket 4711.", "broken as in the baseline"]


@pytest.mark.parametrize(
    ("known", "before", "words"),
    [
        ((), None, "The contract is broken: 1 check at level sdk, 1 cause"),
        ((), {"criteria.sorted": "broken"}, "No new break; 1 as in the baseline"),
        ((), {"chat.model": "broken"}, "No new break; 1 not checked by the baseline"),
        ((), {"criteria.sorted": "kept"}, "The contract is broken anew: 1 check at level sdk, 1 cause"),
        (("criteria.sorted",), None, "The contract is kept, but for 1 known deviation"),
    ],
)
def test_the_verdict_says_what_it_leaves_aside(
    known: tuple[str, ...], before: dict[str, str] | None, words: str
) -> None:
    found = applied(result(outcome(finding())), [Known(each, "Because.", TODAY) for each in known], TODAY)
    found = found if before is None else against_baseline(found, before)
    assert verdict(found) == words
    assert f"{words}." in text(found)
    assert f"{words}." in report_page(found, AGAIN)
    assert json.loads(report_json(found))["summary"] == f"{words}."


def test_an_open_question_is_told_right_behind_the_verdict() -> None:
    lines = text(result(KEPT, unreached={"judge": "Nobody."})).splitlines()
    assert lines[1:3] == ["Inconclusive: 1 open question.", "Not judged: judge was not judged. Nobody."]


def test_many_open_questions_are_counted() -> None:
    made = result(*(outcome(finding(name, kind="flaky"), state="flaky") for name in MANY))
    told = text(made)
    assert told.count("Not judged: ") == 13
    assert f"and {len(made.open_questions) - 12} more" in told


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
        ("- {id: x}", "entry 1: reason and expires is missing"),
        ("- {id: x, reason: y, until: z}", "entry 1: expected id, reason and expires, and nothing else"),
        ("- {id: x, reason: y, expires: 2026-13-45}", "no date such as"),
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


def test_what_a_server_says_steers_neither_terminal_nor_page() -> None:
    made = result(
        outcome(finding(sentence="a\x1b[2Jb\x9bc\u202ed")), crashes=("e\x1bf",), remarks=("g\x1bh",)
    )
    for report in (
        "\n".join(report_text(made, "", verbose=True)),
        report_page(made, ""),
        report_junit(made, ""),
    ):
        assert "a\ufffd[2Jb\ufffdc\ufffdd" in report
        assert all(line.replace("\t", "").isprintable() for line in report.split("\n"))


def test_a_draft_has_every_break_and_is_read_as_it_is(tmp_path: Path) -> None:
    made = draft(result(KEPT, outcome(finding(sentence="two\nlines\x00"))), TODAY)
    assert "# two lines\ufffd" in made
    [entry] = read_known(known_file(tmp_path, made))
    assert (entry.id, entry.expires) == ("criteria.sorted", datetime.date(2026, 5, 1))
    assert "2026-01-31" in entry.reason
    assert read_known(known_file(tmp_path, draft(result(KEPT), TODAY))) == ()


@pytest.mark.parametrize(
    ("number", "ids"),
    [(2, {"judge.rejects.C0.type", "judge.rejects.C1.type"}), (4, {"judge.rejects.*"})],
)
def test_a_draft_has_a_pattern_for_many_cases_of_a_family(number: int, ids: set[str], tmp_path: Path) -> None:
    many = [outcome(finding(f"judge.rejects.C{each}.type")) for each in range(number)]
    made = result(*many)
    known = read_known(known_file(tmp_path, draft(made, TODAY)))
    assert {each.id for each in known} == ids
    assert applied(made, known, TODAY).verdict == "kept"


@pytest.mark.parametrize("pattern", ["judge.rejects", "judge.rejects.*", "judge.rejects.C?.type", "judge.*"])
def test_a_family_or_a_pattern_covers_its_cases(pattern: str) -> None:
    made = result(outcome(finding("judge.rejects.C1.type")))
    assert applied(made, [Known(pattern, "Because.", TODAY)], TODAY).verdict == "kept"


MEMBERS = ("judge.rejects.ToolCall.type", "judge.rejects.ToolCall.enum")


@pytest.mark.parametrize(
    "name",
    ["criteria.sorted", "judge.rejects", "judge.rejects.Tool*", "judge.rejects.ToolCall.type", "chat.*"],
)
def test_an_id_that_a_check_has_may_be_known(name: str) -> None:
    refuse_unknown_ids(Path("known.yaml"), [Known(name, "Because.", TODAY)], lambda: MEMBERS)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("criteria.sortd", "Did you mean criteria.sorted?"),
        ("judge.reject.*", "Did you mean judge.rejects.*?"),
        ("judge.rejects.ToolCal.type", "Did you mean judge.rejects.ToolCall.type?"),
        ("judge.rejects.ToolCall.type[output.role]", "Did you mean judge.rejects.ToolCall.type?"),
        ("qqqqqqqq", "`openpipe-mock explain` lists them."),
    ],
)
def test_an_id_that_no_check_has_is_told_with_the_nearest(name: str, near: str) -> None:
    known = [Known("criteria.sorted", "Because.", TODAY), Known(name, "Because.", TODAY)]
    with pytest.raises(BadFile) as caught:
        refuse_unknown_ids(Path("known.yaml"), known, lambda: MEMBERS)
    assert str(caught.value).startswith("known.yaml: entry 2: no check is called ")
    assert str(caught.value).endswith(near)


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
    assert "As in the baseline, which fails nothing:\n  criteria.sorted" in told
    assert "broken anew" in told
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
