"""Score forms: what each gives, by content and in turn, what it inherits, and that best of n agrees."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers import scorers as scorers_module
from openpipe_mock.answers.scorers import (
    DRAWN,
    SCORERS,
    ByFunction,
    ByOutput,
    Case,
    Declared,
    Drawn,
    Failing,
    Fixed,
    Form,
    JudgedContent,
    Judgement,
    JudgeRule,
    Length,
    Near,
    PassRate,
    RawJudgement,
    Rules,
    Scorer,
    Sequence,
    Uniform,
)
from openpipe_mock.config import file as configfile
from openpipe_mock.config.file import Mistakes
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.listings import listed_criterion
from openpipe_mock.core.reading import At
from openpipe_mock.core.seeded import digest
from openpipe_mock.matching.conditions import Condition, When, demand
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.memory import Session
from tests.chatting import asking, choices, completion, judged, user
from tests.generate import brief, thorough
from tests.inprocess import answer, content_of, having, holds, message_of

Json = Any
CONTENTS = 2000


def content(text: str = "", number: int = 0, **given: Json) -> JudgedContent:
    """A content to be judged: the output's text, and a number that tells it from others."""
    output = {"role": "assistant", "content": text}
    return JudgedContent(given, output, digest(f"{number}\x1f{text}\x1f{given}".encode()))


def case(seen: JudgedContent, *, seed: int = 0, session: Session | None = None, name: str = "a") -> Case:
    return Case(name, 1, seen, seed, (session or Session()).count)


def score(form: Form | Scorer, seen: JudgedContent | None = None, *, seed: int = 0) -> float:
    """The score of one content."""
    form = form if isinstance(form, Form) else Form(form)
    return form.judge(case(seen or content(), seed=seed)).score


def scores(form: Form | Scorer, *, seed: int = 0, number: int = CONTENTS) -> list[float]:
    """The scores of many contents."""
    return [score(form, content(number=each), seed=seed) for each in range(number)]


def share(form: Form | Scorer, fits: Callable[[float], bool]) -> float:
    """The share of many contents whose score fits."""
    return sum(map(fits, scores(form))) / CONTENTS


def mean(form: Form | Scorer) -> float:
    return sum(scores(form)) / CONTENTS


def said(part: str, text: str) -> When:
    return When((Condition(part, "", (demand("contains", text),)),))


def ruled(*rules: tuple[When, Form], otherwise: Form = DRAWN) -> Form:
    """A form with rules, each with its place."""
    made = (JudgeRule(when, form, f"/rules/{number}") for number, (when, form) in enumerate(rules))
    return Form(Rules(tuple(made), otherwise))


def declaring(**criteria: Form | Scorer) -> Settings:
    forms = {name: form if isinstance(form, Form) else Form(form) for name, form in criteria.items()}
    return Settings(criteria={name: Declared({1: form}) for name, form in forms.items()})


def judge(service: Service, name: str = "a", **members: Json) -> Json:
    """What the judge answers, once it is what the contract says."""
    reply = answer(service, having(criterion_id=name, **members))
    assert holds(reply)
    assert reply.status == 200, reply.body
    return content_of(reply)


def output(text: str) -> Json:
    return {"role": "assistant", "content": text}


# One number.


@pytest.mark.parametrize(
    ("written", "given"),
    [
        (0, 0),
        (1, 1),
        (0.7, 0.7),
        (0.123456789, 0.123457),
        (-3, 0),
        (1.2, 1),
        (1e300, 1),
        (-0.0, 0),
        (5e-324, 0),
    ],
)
def test_a_fixed_score_is_clamped_and_rounded_to_six_decimals(written: float, given: float) -> None:
    found = score(Fixed(written))
    assert found == given
    assert json.dumps(found) == json.dumps(float(given)), "no negative zero"


def test_decimals_round_a_score() -> None:
    assert score(Form(Fixed(0.126), decimals=2)) == 0.13
    assert score(Form(Fixed(0.126), decimals=0)) == 0
    assert set(scores(Form(Uniform(), decimals=0))) == {0, 1}
    assert {round(found, 1) for found in scores(Form(Uniform(), decimals=1))} == set(
        scores(Form(Uniform(), decimals=1))
    )


# By content.

BY_CONTENT: Mapping[str, Form] = {
    "drawn": DRAWN,
    "uniform": Form(Uniform()),
    "part of a range": Form(Uniform(0.2, 0.8), decimals=3),
    "near": Form(Near(0.5, 0.05)),
    "pass rate": Form(PassRate(0.5)),
    "flipped": Form(Fixed(0.7), flip_share=0.5),
    "length": Form(Length(10, 100)),
    "rules": ruled(
        (said("output", "answer"), Form(Uniform(0, 0.5))), (said("output", "a"), Form(PassRate(0.5)))
    ),
    "by output": Form(ByOutput({"": Form(Fixed(0))}, Form(Near(0.9, 0.1)))),
    "rules in rules": ruled(
        (said("last_user", "Count"), ruled((said("output", "mock"), Form(PassRate(0.5))))), otherwise=DRAWN
    ),
    "reward": Form(Uniform(), usage=7),
    "explained": Form(PassRate(0.5), explanation="Because."),
}
DRAWING = [name for name in BY_CONTENT if name != "length"]
"""Those that depend on the digest of the content, and so on the seed."""


@pytest.mark.parametrize("name", BY_CONTENT)
def test_the_same_content_gets_the_same_score_in_any_order_and_session(name: str) -> None:
    session = Session()
    form, contents = BY_CONTENT[name], [content(f"answer {number}") for number in range(50)]
    once = [form.judge(case(each, session=session)) for each in contents]
    again = [form.judge(case(each)) for each in reversed(contents)]
    assert once == again[::-1]
    assert session.counts == {}


@pytest.mark.parametrize("name", DRAWING)
def test_another_seed_draws_other_scores(name: str) -> None:
    contents = [content("a mock answer", number=each) for each in range(200)]
    contents = [content(f"a mock answer {each}", messages=[user("Count")]) for each in range(200)]
    one, other = ([score(BY_CONTENT[name], each, seed=seed) for each in contents] for seed in (0, 1))
    assert one != other
    assert Counter(one) != Counter(other) or set(one) <= {0, 1}


def test_another_criterion_draws_other_scores() -> None:
    seen = [content(number=number) for number in range(200)]
    for scorer in (Uniform(), PassRate(0.5), Near(0.5, 0.5)):
        one, other = (
            [Form(scorer).judge(case(each, name=name)).score for each in seen] for name in ("a", "b")
        )
        assert one != other


def test_uniform_scores_are_spread_evenly_over_their_range() -> None:
    found = scores(Uniform(0.2, 0.8))
    assert 0.2 <= min(found) < 0.22
    assert 0.78 < max(found) <= 0.8
    assert abs(mean(Uniform(0.2, 0.8)) - 0.5) < 0.02
    thirds = Counter(min(2, int((each - 0.2) / 0.2)) for each in found)
    assert all(550 < thirds[third] < 790 for third in range(3)), thirds


def test_scores_near_a_centre_stay_near_it_on_both_sides() -> None:
    found = scores(Near(0.5, 0.05))
    assert min(found) == 0.45
    assert max(found) == 0.55
    assert abs(mean(Near(0.5, 0.05)) - 0.5) < 0.005


@pytest.mark.parametrize(("centre", "within"), [(0.98, 0.05), (0, 0.5), (1, 0), (-3, 1), (7, 2)])
def test_scores_near_an_edge_do_not_leave_the_range(centre: float, within: float) -> None:
    found = scores(Near(centre, within), number=300)
    assert 0 <= min(found) <= max(found) <= 1


@thorough
@given(
    bounds=st.lists(st.integers(0, 10**6).map(lambda number: number / 10**6), min_size=2, max_size=2).map(
        sorted
    ),
    number=st.integers(0, 1000),
)
def test_a_drawn_score_stays_between_the_numbers_that_are_written(bounds: list[float], number: int) -> None:
    """Rounding to two decimals would move 0.1234 … 0.1236 out of its range."""
    low, high = bounds
    assert low <= score(Uniform(low, high), content(number=number)) <= high
    within = (high - low) / 2
    found = score(Near(low, round(within, 6)), content(number=number))
    assert abs(found - low) <= within + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5, 0.8, 0.99, 1.0])
def test_the_share_of_contents_passes(rate: float) -> None:
    assert set(scores(PassRate(rate))) <= {0, 1}
    assert abs(mean(PassRate(rate)) - rate) < 0.04
    assert rate not in (0, 1) or set(scores(PassRate(rate))) == {rate}


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_contents_is_flipped(rate: float) -> None:
    form = Form(Fixed(0.7), flip_share=rate)
    assert abs(share(form, lambda found: found == 0.3) - rate) < 0.04
    assert set(scores(form)) <= {0.7, 0.3}


def test_what_is_flipped_has_nothing_to_do_with_what_is_drawn() -> None:
    plain, flipped = scores(Uniform()), scores(Form(Uniform(), flip_share=0.5))
    changed = [one for one, other in zip(plain, flipped, strict=True) if one != other]
    assert 0.4 < sum(changed) / len(changed) < 0.6
    assert all(other in (one, round(1 - one, 2)) for one, other in zip(plain, flipped, strict=True))


@pytest.mark.parametrize(
    ("characters", "expected"),
    [(0, 1), (40, 1), (41, 1), (130, 0.75), (220, 0.5), (400, 0), (401, 0), (9999, 0)],
)
def test_a_length_is_scored_along_a_line(characters: int, expected: float) -> None:
    assert score(Length(40, 400), content("x" * characters)) == expected


def test_a_length_counts_characters_and_not_bytes() -> None:
    assert score(Length(0, 10), content("😀" * 5)) == 0.5


def test_what_is_judged_is_the_content_else_the_refusal() -> None:
    for members in ({"content": "12345"}, {"content": None, "refusal": "12345"}):
        seen = JudgedContent({}, {"role": "assistant", **members}, b"")
        assert score(Length(0, 10), seen) == 0.5
    called = JudgedContent({}, {"role": "assistant", "content": None, "tool_calls": [{}]}, b"")
    assert score(Length(0, 10), called) == 1


# By text and by rule.

GRADED = Form(
    ByOutput({"1, 2, 3.": Form(Fixed(1)), "one two": Form(Fixed(0.4)), "": Form(Fixed(0))}, Form(Fixed(0.1)))
)


@pytest.mark.parametrize(
    ("text", "expected"), [("1, 2, 3.", 1), ("one two", 0.4), ("", 0), ("1, 2, 3. ", 0.1), ("One two", 0.1)]
)
def test_a_text_has_its_score_and_others_get_the_rest(text: str, expected: float) -> None:
    assert score(GRADED, content(text)) == expected


RULED = ruled(
    (said("output", "sorry"), Form(Fixed(0), explanation="It apologises.")),
    (
        When((*said("output", "1").conditions, *said("last_user", "count").conditions)),
        Form(Fixed(0.9)),
    ),
    (said("tool", "get"), Form(Fixed(0.8))),
    otherwise=Form(Fixed(0.2)),
)


@pytest.mark.parametrize(
    ("text", "given", "expected", "rule"),
    [
        ("so sorry 1", {"messages": [user("count")]}, 0, "/rules/0"),
        ("1", {"messages": [user("count")]}, 0.9, "/rules/1"),
        ("1", {"messages": [user("Count")]}, 0.2, ""),
        ("1", {}, 0.2, ""),
        ("x", {"tools": [{"function": {"name": "get_weather"}}]}, 0.8, "/rules/2"),
        ("", {"messages": []}, 0.2, ""),
    ],
)
def test_the_first_rule_whose_condition_holds_decides(
    text: str, given: Json, expected: float, rule: str
) -> None:
    found = RULED.judge(case(content(text, **given)))
    assert (found.score, found.rule) == (expected, rule)


def test_the_innermost_rule_is_named() -> None:
    inner = ruled((said("output", "b"), Form(Fixed(1))), otherwise=Form(Fixed(0)))
    outer = Form(Rules((JudgeRule(said("output", "a"), inner, "/outer"),), DRAWN))
    assert outer.judge(case(content("ab"))).rule == "/rules/0"
    assert outer.judge(case(content("a"))).rule == "/outer"
    assert outer.judge(case(content("b"))).rule == ""


def test_where_nothing_fits_and_no_rest_is_named_a_score_is_drawn() -> None:
    found = scores(ruled((said("output", "never"), Form(Fixed(0)))))
    assert found == scores(DRAWN)
    assert len(set(found)) == 101


# In turn.


def in_turn(form: Form, times: int, session: Session | None = None) -> list[float]:
    session = session or Session()
    return [form.judge(case(content(number=number), session=session)).score for number in range(times)]


THREE = tuple(Form(Fixed(number)) for number in (1, 0, 0.5))


def test_a_sequence_goes_round_or_stays_at_its_end() -> None:
    assert in_turn(Form(Sequence(THREE)), 7) == [1, 0, 0.5, 1, 0, 0.5, 1]
    assert in_turn(Form(Sequence(THREE, "last")), 6) == [1, 0, 0.5, 0.5, 0.5, 0.5]
    assert in_turn(Form(Sequence(THREE[:1], "last")), 3) == in_turn(Form(Sequence(THREE[:1])), 3) == [1, 1, 1]


def test_a_sequence_may_fail_after_its_end() -> None:
    form, session = Form(Sequence(THREE, "fail"), explanation="So it is."), Session()
    found = [form.judge(case(content(), session=session)) for _ in range(5)]
    assert [each.error for each in found[:3]] == [None, None, None]
    words = "The sequence has ended: it has 3 scores, and this is judgement"
    assert [each.error for each in found[3:]] == [(404, f"{words} 4."), (404, f"{words} 5.")]


def test_sequences_count_by_name_criterion_and_version() -> None:
    session = Session()
    one, other = Form(Sequence(THREE, counter="/a")), Form(Sequence(THREE, counter="/b"))
    assert in_turn(one, 2, session) + in_turn(other, 2, session) + in_turn(one, 2, session) == [
        1,
        0,
        1,
        0,
        0.5,
        1,
    ]
    assert one.judge(case(content(), session=session, name="b")).score == 1
    later = Case("a", 2, content(), 0, session.count)
    assert one.judge(later).score == 1


def test_a_sequence_counts_only_what_it_decides() -> None:
    form = ruled((said("output", "x"), Form(Fixed(0.3))), otherwise=Form(Sequence(THREE)))
    session = Session()
    found = [
        form.judge(case(content(text), session=session)).score for text in ("a", "x", "x", "a", "a", "a")
    ]
    assert found == [1, 0.3, 0.3, 0, 0.5, 1]


def test_forms_in_a_sequence_judge_by_content() -> None:
    form = Form(Sequence((Form(Length(0, 10)), GRADED), counter="/a"))
    session = Session()
    texts = ["12345", "one two", "", "x"]
    assert [form.judge(case(content(text), session=session)).score for text in texts] == [
        0.5,
        0.4,
        1,
        0.1,
    ]


def test_a_sequence_counts_choices_in_their_order_and_goes_on_at_the_judge() -> None:
    service = Service(declaring(a=Sequence(tuple(Form(Fixed(number / 10)) for number in range(10)))))
    found = choices(service, asking(n=4), op_criteria=["a"])
    by_text = {choice["message"]["content"]: choice["criteria_results"]["a"]["score"] for choice in found}
    made = [choice["message"]["content"] for choice in choices(Service(), asking(n=4))]
    assert [by_text[text] for text in made] == [0, 0.1, 0.2, 0.3]
    assert [choice["criteria_results"]["a"]["score"] for choice in found] == [0.3, 0.2, 0.1, 0]
    assert judge(service)["score"] == 0.4
    assert choices(service, asking(), op_criteria=["a"])[0]["criteria_results"]["a"]["score"] == 0.5


def test_criteria_that_share_a_sequence_take_turns_in_the_order_of_the_header() -> None:
    """Two versions of a criterion are two cases, so a count is shared by nobody else than the same case."""
    shared = Form(Sequence(THREE, counter="/same"))
    service = Service(Settings(criteria={"a": Declared({1: shared, 2: shared}), "b": Declared({1: shared})}))
    [choice] = choices(service, asking(), op_criteria=["b", "a@v2", "a@v1"])
    assert {key: each["score"] for key, each in choice["criteria_results"].items()} == {
        "a@v1": 1,
        "a@v2": 1,
        "b": 1,
    }


# What forms say.


def test_a_score_that_is_set_says_so_and_that_no_model_read_it() -> None:
    for scorer in (Fixed(0.5), Uniform(), Near(0.5), PassRate(0.5), Length(1, 2)):
        found = Form(scorer).judge(case(content()))
        assert found.explanation == (
            f"The mock's settings give this content {found.score} for a@v1; no model read it."
        )


def test_a_drawn_score_says_what_an_undeclared_criterion_says() -> None:
    declared, undeclared = judge(Service(declaring(a=Drawn()))), judge(Service())
    assert declared == judge(Service(), "a")
    assert undeclared["explanation"].startswith("The mock drew ")


def test_a_flipped_score_says_the_score_that_it_gives() -> None:
    found = Form(Drawn(), flip_share=1).judge(case(content()))
    assert str(found.score) in (found.explanation or "")
    assert "drew" not in (found.explanation or "")


def test_an_explanation_is_said_as_it_is_written() -> None:
    service = Service(
        declaring(a=Form(Fixed(1), explanation="Everything is helpful."), b=Form(Fixed(1), explanation=""))
    )
    assert judge(service) == {"score": 1, "explanation": "Everything is helpful."}
    assert judge(service, "b") == {"score": 1, "explanation": ""}


def test_a_reward_model_reports_tokens_and_explains_nothing_even_where_one_is_written() -> None:
    for form in (Form(Fixed(1), usage=0), Form(Fixed(1), usage=0, explanation="Never said.")):
        assert judge(Service(declaring(a=form))) == {"score": 1, "usage": {"total_tokens": 0}}


NESTS: Mapping[str, Callable[[Form, Form], Form]] = {
    "rules": lambda outer, inner: Form(
        Rules((JudgeRule(When(), inner),), DRAWN),
        outer.explanation,
        outer.usage,
        outer.flip_share,
        outer.decimals,
    ),
    "otherwise of rules": lambda outer, inner: Form(
        Rules((), inner), outer.explanation, outer.usage, outer.flip_share, outer.decimals
    ),
    "by output": lambda outer, inner: Form(
        ByOutput({"": inner}, DRAWN), outer.explanation, outer.usage, outer.flip_share, outer.decimals
    ),
    "otherwise of by output": lambda outer, inner: Form(
        ByOutput({"x": DRAWN}, inner), outer.explanation, outer.usage, outer.flip_share, outer.decimals
    ),
    "sequence": lambda outer, inner: Form(
        Sequence((inner,)), outer.explanation, outer.usage, outer.flip_share, outer.decimals
    ),
}


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (Form(explanation="outer"), Form(Fixed(1)), Judgement(1, "outer")),
        (Form(explanation="outer"), Form(Fixed(1), explanation="inner"), Judgement(1, "inner")),
        (Form(explanation="outer"), Form(Fixed(1), explanation=""), Judgement(1, "")),
        (Form(usage=5), Form(Fixed(1)), Judgement(1, None, 5)),
        (Form(usage=5), Form(Fixed(1), usage=0), Judgement(1, None, 0)),
        (Form(usage=5), Form(Fixed(1), explanation="inner"), Judgement(1, None, 5)),
        (Form(decimals=1, explanation=""), Form(Fixed(0.26)), Judgement(0.3, "")),
        (Form(decimals=1, explanation=""), Form(Fixed(0.26), decimals=0), Judgement(0, "")),
        (Form(flip_share=1, explanation=""), Form(Fixed(0.25)), Judgement(0.75, "")),
        (Form(explanation="", usage=5), Form(Failing(503, "No.")), Judgement(0, None, error=(503, "No."))),
    ],
)
def test_a_form_inside_another_says_what_the_outer_says_unless_it_says_so_itself(
    nest: str, outer: Form, inner: Form, expected: Judgement
) -> None:
    assert NESTS[nest](outer, inner).judge(case(content())) == expected


def test_a_form_is_flipped_once_however_deep_it_lies() -> None:
    form = Form(Fixed(0.2), flip_share=1)
    for _ in range(3):
        form = Form(Sequence((form,)), flip_share=1)
    assert score(form) == 0.8


# Errors and raw values.


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BAD_REQUEST"),
        (401, "UNAUTHORIZED"),
        (404, "NOT_FOUND"),
        (429, "TOO_MANY_REQUESTS"),
        (500, "INTERNAL_SERVER_ERROR"),
        (503, "SERVICE_UNAVAILABLE"),
    ],
)
def test_an_error_is_the_judges_answer_and_a_result_beside_the_choices(status: int, code: str) -> None:
    service = Service(declaring(broken=Failing(status, "No capacity."), fine=Fixed(1)))
    reply = answer(service, having(criterion_id="broken"))
    assert (reply.status, content_of(reply)) == (status, {"message": "No capacity.", "code": code})
    assert holds(reply)
    [choice] = choices(service, asking(), op_criteria=["broken", "fine"])
    failed = {"status": "error", "errorCode": status, "errorMessage": "No capacity."}
    assert choice["criteria_results"]["broken"] == failed
    assert choice["criteria_results"]["fine"]["score"] == 1


def test_an_error_inside_a_sequence_comes_at_its_turn() -> None:
    service = Service(declaring(a=Sequence((Form(Fixed(1)), Form(Failing(500, "Crashed."))), "repeat")))
    statuses = [answer(service, having(criterion_id="a")).status for _ in range(4)]
    assert statuses == [200, 500, 200, 500]
    found = choices(service, asking(n=4), op_criteria=["a"])
    assert [choice["criteria_results"]["a"]["status"] for choice in found] == ["success"] * 2 + ["error"] * 2


def test_an_errors_message_is_the_judges_message() -> None:
    service = Service(declaring(a=Failing()))
    assert message_of(answer(service, having(criterion_id="a"))) == "The criterion failed."


@pytest.mark.parametrize(
    "value",
    [{"score": 1.2}, {"score": "high"}, {}, [], None, "text", 5, True, {"score": None}, {"score": True}],
)
def test_a_raw_value_is_the_judges_whole_answer(value: Json) -> None:
    service = Service(declaring(a=RawJudgement(value)))
    reply = answer(service, having(criterion_id="a"))
    assert (reply.status, content_of(reply)) == (200, value)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"score": 1.2}, {"status": "success", "score": 1.2}),
        ({"status": "odd"}, {"status": "odd"}),
        ({}, {"status": "success"}),
        ([1], [1]),
        (None, None),
        (7, 7),
    ],
)
def test_a_raw_value_is_a_choices_result(value: Json, result: Json) -> None:
    service = Service(declaring(a=RawJudgement(value)))
    reply = answer(service, asking(), path="/api/v1/chat/completions", headers=with_criteria("a"))
    [choice] = content_of(reply)["choices"]
    assert choice["criteria_results"] == {"a": result}


def with_criteria(*names: str) -> dict[bytes, bytes]:
    return {
        b"authorization": b"Bearer op-test",
        b"content-type": b"application/json",
        b"op-criteria": json.dumps(names).encode(),
    }


def test_raw_scores_order_the_choices_and_huge_ones_do_no_harm() -> None:
    texts = [choice["message"]["content"] for choice in choices(Service(), asking(n=3))]
    raws = (1e308, -1e308, 10**400)
    forms = {text: Form(RawJudgement({"score": raw})) for text, raw in zip(texts, (5, 1.2, 900), strict=True)}
    service = Service(declaring(a=ByOutput(forms, DRAWN)))
    found = content_of(
        answer(service, asking(n=3), path="/api/v1/chat/completions", headers=with_criteria("a"))
    )["choices"]
    assert [choice["criteria_results"]["a"]["score"] for choice in found] == [900, 5, 1.2]
    for raw in raws:
        assert abs(Form(RawJudgement({"score": raw})).judge(case(content())).score) <= 1e6
    huge = Service(declaring(a=RawJudgement({"score": 1e308}), b=RawJudgement({"score": 1e308})))
    reply = answer(huge, asking(), path="/api/v1/chat/completions", headers=with_criteria("a", "b"))
    assert reply.status == 200


# The table of scorers.


def test_the_table_has_every_scorer_and_every_key_of_a_form() -> None:
    classes = {each for each in vars(scorers_module).values() if isinstance(each, type)}
    assert {*SCORERS, Drawn, ByFunction} == {each for each in classes if issubclass(each, Scorer)} - {Scorer}
    required = [branch["required"] for branch in configfile.schema()["$defs"]["form"]["oneOf"]]
    assert sorted([scorer.key] for scorer in SCORERS) == sorted(required)
    assert Drawn.key not in configfile.schema()["$defs"]["form"]["properties"]


@dataclass(frozen=True, slots=True)
class Vowels(Scorer):
    """A scorer of a user's own: the share of vowels that gets 1."""

    key = "vowels"
    enough: float

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        if not value["vowels"]:
            at.at("vowels").wrong("vowels", "expected a share above 0.")
        return cls(value["vowels"])

    def judge(self, form: Form, case: Case) -> Judgement:
        text = case.content.text
        return form.scored(sum(map(text.count, "aeiou")) / len(text) / self.enough, case)


@pytest.fixture
def vowels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A further scorer in the table, and its key in the schema."""
    schema = deepcopy(configfile.schema())
    form = schema["$defs"]["form"]
    form["properties"]["vowels"] = {"type": "number"}
    form["oneOf"].append({"required": ["vowels"]})
    cached = (configfile.part_schema, configfile.shape_validator)
    monkeypatch.setattr(scorers_module, "SCORERS", (*SCORERS, Vowels))
    monkeypatch.setattr(configfile, "schema", lambda: schema)
    for each in cached:
        each.cache_clear()
    yield
    for each in cached:
        each.cache_clear()


@pytest.mark.usefixtures("vowels")
def test_one_more_class_in_the_table_is_one_more_form() -> None:
    file = b"""
criteria:
  plain: {vowels: 1.0}
  nested: {by_output: {ax: {vowels: 1.0}}, otherwise: 0, explanation: Sung.}
"""
    service = Service(configfile.read_config(file))
    assert judge(service, "plain", output=output("ax"))["score"] == 0.5
    assert judge(service, "nested", output=output("ax")) == {"score": 0.5, "explanation": "Sung."}
    assert listed_criterion("plain", service.settings.criteria["plain"], False)["versions"] == {
        "v1": "vowels"
    }
    with pytest.raises(Mistakes, match=r"^/vowels: expected a share above 0\.$"):
        configfile.parse_criterion({"vowels": 0}, place="")


# Best of n.


@pytest.mark.parametrize("name", BY_CONTENT)
def test_the_judge_agrees_with_best_of_n(name: str) -> None:
    service = Service(declaring(a=BY_CONTENT[name]))
    body = asking(n=9)
    whole = completion(service, body, op_criteria=["a"])
    ordered = [choice["criteria_results"]["a"]["score"] for choice in whole["choices"]]
    assert ordered == sorted(ordered, reverse=True)
    for choice in whole["choices"]:
        result = choice["criteria_results"]["a"]
        again = judged(service, "a", body, choice["message"])
        assert result == {"status": "success", **{key: again[key] for key in again if key != "usage"}}
    assert whole["usage"].get("criteria") == ({"a": {"total_tokens": 63}} if name == "reward" else None)


@brief
@given(
    form=st.sampled_from(list(BY_CONTENT.values())),
    text=st.text(max_size=60),
    seed=st.integers(-5, 5),
    number=st.integers(0, 5),
)
def test_a_score_lies_within_0_and_1_and_has_at_most_six_decimals(
    form: Form, text: str, seed: int, number: int
) -> None:
    found = score(form, content(text, number), seed=seed)
    assert 0 <= found <= 1
    assert found == round(found, 6)
