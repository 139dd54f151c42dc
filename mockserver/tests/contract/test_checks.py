"""The catalogue of checks: complete, sourced, explained, and what docs/checks.md says."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from openpipe_mock.contract.checks import (
    MEANINGS,
    Check,
    UnknownCheck,
    catalogue,
    citation,
    decides,
    explain,
    family_of,
    find,
)
from openpipe_mock.contract.run import family_members
from openpipe_mock.contract.text import documentation
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.resources import folder
from openpipe_mock.openapi.spec import contract

DOCUMENT = Path(__file__).parents[3] / "docs" / "checks.md"


def squeezed(text: str) -> str:
    """A text without what is only there to lay it out."""
    return re.sub(r"[\s\\]+", " ", text)


@cache
def pages() -> str:
    """All that is published: both pages, the second once more without its lists' and maps' nesting."""
    return squeezed(" ".join(path.read_text("utf-8") for path in sorted(folder("schemas").glob("sources/*"))))


@cache
def cases() -> dict[str, str]:
    return family_members()


@pytest.mark.parametrize("check", catalogue().values(), ids=lambda check: check.id)
def test_a_check_says_all_that_it_has_to(check: Check) -> None:
    assert check.level in LEVELS
    assert re.fullmatch(r"[a-z]+(\.[a-z_0-9]+)+", check.id)
    assert check.endpoint in ("judge", "chat", "")
    for sentence in (check.promise, check.remedy):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
    assert check.quote


def test_ids_are_unique() -> None:
    rows = yaml.safe_load((folder("schemas") / "checks.yaml").read_bytes())
    names = [row["id"] for row in rows]
    assert sorted(set(names)) == sorted(names)


DOCUMENTED = [check for check in catalogue().values() if check.level == "documented"]


@pytest.mark.parametrize("check", DOCUMENTED, ids=lambda check: check.id)
def test_what_is_called_documented_is_quoted_from_the_pages(check: Check) -> None:
    words = re.findall(r"[\w$'`]+", squeezed(check.quote))
    told = re.findall(r"[\w$'`]+", pages())
    places = [place for place, word in enumerate(told) if word == words[0]]
    assert any(in_order(words, told[place : place + 12 * len(words)]) for place in places), check.quote


def in_order(words: list[str], told: list[str]) -> bool:
    """Whether the words follow each other in a text, perhaps with others between them."""
    rest = iter(told)
    return all(word in rest for word in words)


def test_levels_decide_from_the_firmest_word_on() -> None:
    assert [decides(level, "sdk") for level in LEVELS] == [True, True, False, False]
    assert [decides(level, "decision") for level in LEVELS] == [True] * 4
    assert list(MEANINGS) == list(LEVELS)


def test_every_check_has_a_case_and_every_case_a_check() -> None:
    """What costs nothing looks at others' answers; all else is there to be asked for."""
    families = {check.id for check in catalogue().values() if check.family}
    assert {family.id for name in cases() if (family := family_of(name))} == families
    assert all(find(name).id == name for name in cases())


def test_each_pair_of_component_and_rule_has_its_id() -> None:
    assert cases()["judge.rejects.ToolMessage.required"] == "documented"
    assert cases()["chat.rejects.ChatCompletionRequest.maximum"] == "decision"
    components = {name.split(".")[2] for name in cases() if name.startswith("judge.rejects.")}
    assert components <= contract().document["components"]["schemas"].keys()


def test_a_member_has_its_family_s_words_and_a_level_of_its_own() -> None:
    member = find("chat.rejects.ChatCompletionRequest.maximum", "decision")
    assert (member.promise, member.level) == (catalogue()["chat.rejects"].promise, "decision")
    assert find("chat.rejects.ToolCall.type").level == "decision"
    assert not member.family
    with pytest.raises(KeyError):
        find("judge.no_such_check")


@pytest.mark.slow
def test_a_case_that_breaks_a_rule_cites_what_its_schema_says_of_it() -> None:
    """An `enum` is explained by the values that may stand there, not by `additionalProperties`."""
    checks = [find(name, level) for name, level in cases().items() if ".rejects." in name]
    assert len(checks) > 200
    for check in checks:
        component, rule = check.id.split(".")[2:]
        words = f"(^|.* )({rule}|anyOf|oneOf): " if rule == "type" else f"(^|.* ){rule}: "
        assert re.match(rf"{component}: ", check.quote), check
        assert re.match(words, check.quote.partition(": ")[2]), check


@pytest.mark.parametrize(
    ("check", "pointer", "words"),
    [
        ("judge.rejects.ToolCall.enum", "", "ToolCall: type: enum: [function]"),
        ("judge.rejects.AssistantMessage.enum", "/output/role", "AssistantMessage: role: enum: [assistant]"),
        ("judge.rejects.ToolCallFunction.type", "/arguments", "ToolCallFunction: arguments: type: string"),
        (
            "chat.rejects.ChatCompletionRequest.required",
            "/model",
            "ChatCompletionRequest: required: [messages, model]",
        ),
        ("chat.rejects.OpCache.enum", "", "OpCache: enum: [readWrite, readOnly, writeOnly, 'true', 'false']"),
        ("judge.rejects.NoSuchComponent.enum", "", "the quote"),
        ("criteria.sorted", "/choices", "the quote"),
    ],
)
def test_a_citation_is_the_line_that_the_pointer_leads_to(check: str, pointer: str, words: str) -> None:
    assert citation(check, "the quote", pointer) == words


def test_a_long_citation_is_cut() -> None:
    check = "chat.rejects.ChatCompletionRequest.type"
    assert citation(check, "").count(";") == 3
    assert citation(check, "").endswith("; …")
    assert citation(check, "", "/stop").startswith("ChatCompletionRequest: stop: ")


def test_an_explanation_has_promise_level_source_and_remedy() -> None:
    told = explain("criteria.sorted")
    check = catalogue()["criteria.sorted"]
    for part in (check.id, check.promise, check.quote, check.remedy, MEANINGS["documented"], "inconclusive"):
        assert part in told


def test_a_family_lists_its_cases() -> None:
    told = explain("judge.rejects", cases())
    assert "judge.rejects.ToolMessage.required" in told
    assert f"{sum(name.startswith('judge.rejects.') for name in cases())} cases" in told
    assert "cases" not in explain("judge.rejects.ToolMessage.required", cases())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("criteria.sortd", "Did you mean criteria.sorted?"),
        ("judge.rejects.ToolMessage.requird", "Did you mean judge.rejects.ToolMessage.required?"),
        ("qqqqqqqq", "`openpipe-mock explain` lists them."),
    ],
)
def test_an_unknown_id_is_answered_by_the_nearest_one(name: str, near: str) -> None:
    with pytest.raises(UnknownCheck) as caught:
        explain(name, cases())
    assert str(caught.value).endswith(near)


def test_the_document_is_made_from_the_code() -> None:
    """If this fails: `openpipe-mock explain --markdown > docs/checks.md`."""
    assert DOCUMENT.read_text("utf-8") == documentation(cases())
