"""Rules that are looked up: the same ones hold as when each is tried, and of many only a few are tried."""

import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.matching import rules as ruleindex
from openpipe_mock.matching.conditions import ALWAYS, READERS, Condition, Kind, Subject, When, demand
from openpipe_mock.matching.rules import (
    FEW,
    INDEX_KEYS,
    KINDS,
    LONGEST_KEY,
    MOST_SEARCHED,
    PATTERNS,
    Rulebook,
    rulebook,
    rules_that_hold,
)
from tests.chatting import asking, tool, user
from tests.generate import anything, thorough

Json = Any
MANY = 1000


@dataclass(frozen=True)
class Named:
    """A rule with a number, which tells it from its equals."""

    number: int
    when: When


@dataclass(frozen=True)
class Watched(Named):
    """A rule that notes in `tried` when somebody asks for its conditions."""

    tried: list[int] = field(default_factory=list, compare=False)

    def __getattribute__(self, name: str) -> Any:
        if name == "when":
            object.__getattribute__(self, "tried").append(object.__getattribute__(self, "number"))
        return object.__getattribute__(self, name)


def numbered(*whens: When) -> list[Named]:
    return [Named(number, when) for number, when in enumerate(whens)]


def when(*conditions: Condition) -> When:
    return When(conditions)


def of(part: str, kind: Kind, wanted: str, key: str = "") -> Condition:
    return Condition(part, key, (demand(kind, wanted),))


def said(kind: Kind, wanted: str) -> When:
    return when(of("last_user", kind, wanted))


def chat(text: str = "", **members: Json) -> Subject:
    return Subject("chat", {}, {**asking(text), **members})


def found(rules: list[Named], subject: Subject) -> list[int]:
    """The numbers of those that hold, looked up; fails where trying each finds others."""
    numbers = [rule.number for rule in rules_that_hold(Rulebook(rules), subject)]
    assert numbers == [rule.number for rule in rules if rule.when.holds(subject)]
    return numbers


# The same rules hold.

LETTERS = st.text("ab[", max_size=3) | st.sampled_from(
    ["é", "😀", "A", ".", "\x00", "\ud800", "a\nb", "ab " * 99]
)
GLOBS = st.text("ab*?[!]-", max_size=4)
EXPRESSIONS = st.sampled_from(
    [
        "a",
        "^a",
        "b$",
        "^ab?$",
        "[ab]{2}",
        "(?i)A",
        "a.b",
        r"\bab\b",
        "",
        "é",
        r"\pL",
        "a|b",
        "^$",
        "(?m)^b$",
        "\x00",
    ]
)
DEMANDS = (
    LETTERS.map(lambda text: demand("equals", text))
    | LETTERS.map(lambda text: demand("contains", text))
    | GLOBS.map(lambda text: demand("glob", text))
    | EXPRESSIONS.map(lambda text: demand("matches", text))
)
ROLES = ("user", "system", "assistant")
NAMES = ("x-a", "X-A", "x-b", "é")
KEYED = {"messages": st.sampled_from(ROLES), "header": st.sampled_from(NAMES), "metadata": LETTERS}
KEYED["body"] = st.sampled_from(["/model", "/metadata", "/messages/0/role"])
CONDITIONS = st.sampled_from(sorted(READERS)).flatmap(
    lambda part: st.builds(
        Condition,
        st.just(part),
        KEYED.get(part, st.just("")),
        st.lists(DEMANDS, max_size=2).map(tuple),
    )
)
TOLD = {"role": "tool", "tool_call_id": "1", "name": "ab", "content": "ab"}
WHENS = st.lists(CONDITIONS, max_size=3).map(lambda each: When(tuple(each)))
PLAIN = st.text("ab[", max_size=4) | st.sampled_from(
    ["é", "x 😀", "A", "\x00", "a\nb", "ab " * 999, "b" * 2001]
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": st.sampled_from(ROLES), "content": PLAIN}), max_size=3)
BODIES = anything | st.fixed_dictionaries(
    {"messages": MESSAGES | anything},
    optional={
        "model": PLAIN,
        "metadata": st.dictionaries(PLAIN, PLAIN, max_size=3) | anything,
        "tools": st.lists(PLAIN.map(tool), max_size=2),
        "input": st.fixed_dictionaries({"messages": MESSAGES}),
        "output": st.fixed_dictionaries({"content": PLAIN}),
        "criterion_id": PLAIN,
    },
)
HEADERS = st.dictionaries(
    st.sampled_from([b"x-a", b"x-b", b"\xff", "é".encode()]), st.binary(max_size=3), max_size=3
)
SUBJECTS = st.builds(Subject, st.sampled_from(["chat", "judge", "report"]), HEADERS, BODIES)


@pytest.mark.slow
@pytest.mark.parametrize("few", [0, 2, FEW])
@thorough
@given(
    whens=st.lists(WHENS, max_size=24),
    subjects=st.lists(SUBJECTS, min_size=1, max_size=4),
    front=st.integers(0, 24),
)
def test_the_rules_that_are_found_are_those_that_hold_one_by_one(
    few: int, whens: list[When], subjects: list[Subject], front: int
) -> None:
    with patch.object(ruleindex, "FEW", few):
        rules = numbered(*whens)
        book = Rulebook(rules)
        layered = Rulebook(rules[front:]).under(rules[:front])
        for subject in subjects:
            wanted = [rule for rule in rules if rule.when.holds(subject)]
            assert list(rules_that_hold(rules, subject)) == wanted
            assert list(rules_that_hold(book, subject)) == wanted
            assert list(rules_that_hold(layered, subject)) == wanted


@thorough
@given(
    st.lists(st.text(string.ascii_lowercase + "é😀.*[(\\", min_size=1, max_size=9), min_size=1, max_size=60),
    st.lists(st.integers(0, 59), max_size=20),
)
def test_whatever_is_put_together_of_texts_contains_those(texts: list[str], chosen: list[int]) -> None:
    """Texts that overlap, begin alike and lie inside each other."""
    spoken = chat("".join(texts[number % len(texts)] for number in chosen))
    found(numbered(*(said("contains", text) for text in texts)), spoken)


def test_rules_of_every_part_and_kind_are_found() -> None:
    """Otherwise the agreement above would be worth little."""
    subject = Subject(
        "judge",
        {b"x-a": b"ab", b"op-criteria": b'["ab"]'},
        {
            "model": "ab",
            "metadata": {"k": "ab"},
            "criterion_id": "ab",
            "input": {
                "messages": [TOLD, {"role": "system", "content": "ab"}, user("ab")],
                "tools": [tool("ab")],
            },
            "output": {"content": "ab"},
        },
    )
    keys = {"messages": "user", "header": "X-A", "metadata": "k", "body": "/model"}
    parts = [(part, keys.get(part, "")) for part in READERS if part != "endpoint"]
    wanted: dict[Kind, str] = {"equals": "ab", "contains": "b", "matches": "^a", "glob": "a?"}
    assert set(wanted) == set(KINDS) == {"equals", *PATTERNS}
    assert set(keys) == {*INDEX_KEYS, "messages", "body"}
    held = [when(of(part, kind, text, key)) for part, key in parts for kind, text in wanted.items()]
    missed = [when(of(part, kind, f"{text}c", key)) for part, key in parts for kind, text in wanted.items()]
    with patch.object(ruleindex, "FEW", 0):
        assert found(numbered(*held, *missed), subject) == list(range(len(held)))


def test_those_without_conditions_always_hold() -> None:
    rules = numbered(*[ALWAYS, said("equals", "a"), When()] * FEW)
    assert len(found(rules, chat("b"))) == 2 * FEW
    assert len(found(rules, chat("a"))) == 3 * FEW


def test_a_rule_that_two_texts_meet_is_found_once() -> None:
    either = when(of("messages", "contains", "a", "user"))
    assert found(numbered(*[either] * MANY), chat(messages=[user("a"), user("ba"), user("a")])) == [
        *range(MANY)
    ]


# Of many only a few are tried.

METADATA = {f"key {number}": "x" for number in range(MANY)}
QUICK: dict[str, tuple[Callable[[int], When], Subject]] = {
    "equals": (lambda n: said("equals", f"text {n}"), chat("text 777")),
    "contains": (lambda n: said("contains", f"order {n:04d}"), chat("So where is order 0777 now?")),
    "contains, behind the same beginning": (
        lambda n: said("contains", f"{'You are helpful. ' * 40}{n:04d}"),
        chat(f"{'You are helpful. ' * 40}0777"),
    ),
    "contains, in a long text": (
        lambda n: said("contains", f"order {n:04d}"),
        chat("order " * 99_999 + "0777"),
    ),
    "contains, without ASCII": (lambda n: said("contains", f"é{n:04d}😀"), chat("é0777😀")),
    "matches": (lambda n: said("matches", rf"(?i)\border {n}\b"), chat("ORDER 777, please")),
    "a glob": (lambda n: when(of("model", "glob", f"m-{n:04d}-*")), chat(model="m-0777-x")),
    "a glob with a bracket": (lambda n: when(of("model", "glob", f"m-{n:04d}[ab]")), chat(model="m-0777b")),
    "a model's name": (lambda n: when(of("model", "glob", f"m-{n}")), chat(model="m-777")),
    "one of several messages": (
        lambda n: when(of("messages", "equals", f"text {n}", "user")),
        chat(messages=[user("text 777"), user("other"), user("text 5000")]),
    ),
    "a tool": (lambda n: when(of("tool", "equals", f"t{n}")), chat(tools=[tool("a"), tool("t777")])),
    "headers of many names": (
        lambda n: when(of("header", "equals", "x", f"X-{n}")),
        Subject("chat", {b"x-777": b"x", b"x-test": b"x"}, asking()),
    ),
    "metadata of many keys": (
        lambda n: when(of("metadata", "equals", "x", f"key {n}")),
        chat(metadata={"key 777": "x", "other": "x"}),
    ),
    "metadata of many keys, all there": (
        lambda n: when(of("metadata", "equals", "y" if n == 777 else "z", f"key {n}")),
        chat(metadata={**METADATA, "key 777": "y"}),
    ),
    "the same model for all": (
        lambda n: when(of("model", "glob", "gpt-*"), of("last_user", "contains", f"order {n:04d}")),
        chat("order 0777", model="gpt-4o"),
    ),
    "the same endpoint for all": (
        lambda n: when(of("endpoint", "equals", "chat"), of("last_user", "equals", f"text {n}")),
        chat("text 777"),
    ),
    "two demands of one text": (
        lambda n: When(
            (Condition("last_user", "", (demand("contains", "order"), demand("matches", rf"\b{n}\b"))),)
        ),
        chat("order 777"),
    ),
}


def watched(rule: Callable[[int], When], tried: list[int]) -> Iterator[Watched]:
    for number in range(MANY):
        yield Watched(number, rule(number), tried)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_of_a_thousand_rules_only_the_one_that_holds_is_tried(name: str) -> None:
    rule, subject = QUICK[name]
    tried: list[int] = []
    book = Rulebook(watched(rule, tried))
    list(rules_that_hold(book, Subject("none", {}, {})))  # the index is there from here on
    tried.clear()
    assert [each.number for each in rules_that_hold(book, subject)] == [777]
    assert tried == [777]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_of_a_thousand_rules_none_is_tried_where_none_can_hold(name: str) -> None:
    tried: list[int] = []
    book = Rulebook(watched(QUICK[name][0], tried))
    list(rules_that_hold(book, chat("Nothing like them.")))
    tried.clear()
    assert list(rules_that_hold(book, chat("Nothing like them.", model="other"))) == []
    assert tried == []


def test_the_first_that_holds_is_found_without_a_look_at_the_others() -> None:
    tried: list[int] = []
    book = Rulebook(watched(lambda number: said("contains", "a"), tried))
    next(rules_that_hold(book, chat("a")))
    tried.clear()
    assert next(rules_that_hold(book, chat("a"))).number == 0
    assert tried == [0]


def test_in_a_long_text_patterns_are_tried_one_by_one() -> None:
    """There the set could need far longer than all of them alone."""
    tried: list[int] = []
    book = Rulebook(watched(lambda number: said("matches", rf"\border {number}\b"), tried))
    assert [each.number for each in rules_that_hold(book, chat("order 5 " + "a" * MOST_SEARCHED))] == [5]
    assert len(tried) >= MANY


# Where RE2 finds nothing in one pass, each is tried.


@pytest.mark.parametrize("memory", [1, 20_000, 100_000, 300_000, 1_000_000])
def test_texts_that_are_too_many_for_the_memory_are_found_all_the_same(memory: int) -> None:
    rules = numbered(
        *(said("contains", f"{number:03d} of an order that has a long name") for number in range(300))
    )
    with patch.object(ruleindex, "_MOST_MEMORY", memory):
        for number in (0, 150, 299):
            text = f"What of the {number:03d} of an order that has a long name?"
            assert found(rules, chat(text)) == [number]
        assert found(rules, chat("What of an order?")) == []


def test_a_search_that_runs_out_of_memory_says_so_by_finding_nothing() -> None:
    """Not even the empty text, which is in all: so nobody takes it for an answer."""
    with patch.object(ruleindex, "_MOST_MEMORY", 1):
        assert not ruleindex.united([b"", b"a"])(b"a")
    assert sorted(ruleindex.united([b"", b"a", b"b"])(b"a") or ()) == [0, 1]


@pytest.mark.parametrize("wanted", ["", "\ud800", "a\ud800b"])
def test_what_no_pattern_can_say_is_tried_each_time(wanted: str) -> None:
    rules = numbered(
        *(said("contains", f"text {number}") for number in range(FEW + 1)), said("contains", wanted)
    )
    assert found(rules, chat("text 3")) == [3, *([FEW + 1] if not wanted else [])]
    assert found(rules, chat(f"text 3 {wanted}")) == [3, FEW + 1]


def test_globs_with_half_a_surrogate_pair_are_globs_too() -> None:
    whens = [when(of("model", "glob", f"{number}\ud800*")) for number in range(FEW + 2)]
    assert found(numbered(*whens), chat(model="3\ud800b")) == [3]


def test_a_long_text_is_looked_for_by_its_end_and_compared_as_a_whole() -> None:
    end = "e" * LONGEST_KEY
    rules = numbered(*(said("contains", f"{number}{end}") for number in range(FEW + 1)))
    assert found(rules, chat(f"-{7}{end}-")) == [7]


# Books.


def test_a_book_is_the_tuple_of_its_rules() -> None:
    rules = numbered(ALWAYS, said("equals", "a"))
    assert rulebook(rules) == tuple(rules)
    assert not rulebook([])
    assert repr(rulebook(rules)) == repr(tuple(rules))


def test_a_book_stays_itself() -> None:
    book = Rulebook(numbered(ALWAYS))
    assert rulebook(book) is book


def test_rules_in_front_come_first_and_leave_what_lies_behind_as_it_was() -> None:
    texts = [said("equals", f"text {number}") for number in range(MANY)]
    base = Rulebook(numbered(*texts))
    front = [Named(-1, said("equals", "text 7")), Named(-2, said("equals", "text 8"))]
    book = base.under(front)
    assert book == (*front, *base)
    assert [rule.number for rule in rules_that_hold(book, chat("text 7"))] == [-1, 7]
    assert [rule.number for rule in rules_that_hold(base, chat("text 7"))] == [7]


def test_what_was_worked_out_of_rules_is_shared_by_all_that_stand_in_front_of_them() -> None:
    """A session that overrides one rule doesn't pay for the thousand of the file again."""
    base = Rulebook(numbered(*(said("equals", f"text {number}") for number in range(MANY))))
    books = [base.under(numbered(said("equals", f"other {number}"))) for number in range(3)]
    with patch.object(ruleindex, "Index", side_effect=ruleindex.Index) as made:
        for book in books:
            assert [rule.number for rule in rules_that_hold(book, chat("text 7"))] == [7]
    assert made.call_count == 1


def test_of_many_books_the_newest_keep_what_was_worked_out_of_them() -> None:
    """A journal keeps the settings of each request; thousands of indexes would fill the memory."""
    books = [Rulebook(numbered(*(said("equals", f"{n}") for n in range(number)))) for number in range(20, 60)]
    with patch.object(ruleindex, "_MOST_INDEXED", 200):
        for _ in range(2):
            for book in books:
                assert [rule.number for rule in rules_that_hold(book, chat("7"))] == [7]
        assert [len(book) for book in books if book.made] == [57, 58, 59]
        list(rules_that_hold(large := Rulebook(numbered(*[ALWAYS] * 300)), chat()))
        assert large.made, "one is always kept"
        assert not any(book.made for book in books)


def test_rules_in_front_of_rules_in_front_of_rules_keep_their_order() -> None:
    book = Rulebook(numbered(ALWAYS)).under([Named(1, ALWAYS)]).under([Named(2, ALWAYS)]).under([])
    assert [rule.number for rule in rules_that_hold(book, chat())] == [2, 1, 0]


def test_a_list_that_is_no_book_is_tried_one_by_one() -> None:
    tried: list[int] = []
    rules = list(watched(lambda number: said("equals", f"text {number}"), tried))
    assert [rule.number for rule in rules_that_hold(rules, chat("text 7"))] == [7]
    assert tried == list(range(MANY))


def test_a_few_rules_are_tried_without_an_index() -> None:
    tried: list[int] = []
    rules = list(watched(lambda number: said("equals", "a"), tried))[:FEW]
    with patch.object(ruleindex, "Index", side_effect=AssertionError):
        assert list(rules_that_hold(Rulebook(rules), chat("b"))) == []
    assert tried == list(range(FEW))
