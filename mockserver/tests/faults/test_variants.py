"""Variants: within the contract for whatever is asked, unlike the usual, and the same each time."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openpipe_mock.answers.events import DONE
from openpipe_mock.answers.pace import Pace
from openpipe_mock.answers.scorers import Declared, Failing, Fixed, Form
from openpipe_mock.answers.scripts import Script, ScriptedCall, ScriptedChoice
from openpipe_mock.config.settings import Settings
from openpipe_mock.core import eventstream
from openpipe_mock.core.effects import Begin, Effect, Effects, Head, Piece, Reply, Wait
from openpipe_mock.core.strictjson import parse
from openpipe_mock.faults import rewriting, variants
from openpipe_mock.faults.framing import MOST_PAUSES, MOST_SINGLE, PAUSE, one_by_one
from openpipe_mock.faults.kinds import Context
from openpipe_mock.faults.variants import ONLY_NAMED, VARIANTS, Variant, variant_named, with_variant
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.violations import DIALECT
from openpipe_mock.payloads.strategies import chat_requests, criteria_headers, judge_requests
from openpipe_mock.service.refusals import refusal
from openpipe_mock.service.service import Service
from tests.chatting import asking, sent_with, tool
from tests.environments import ROOT
from tests.inprocess import HEADERS, JUDGE, MINIMAL, answer_validator, carried_out, having, statuses
from tests.tables import rows

Json = Any
CHAT = f"{BASE}/chat/completions"
PAGE = ROOT / "docs" / "variants.md"
CRITERIA = sent_with(op_criteria=["helpful", "polite"])

EVERY = (*VARIANTS, *ONLY_NAMED)
by_variant = pytest.mark.parametrize("variant", EVERY, ids=lambda variant: variant.name)


class Counting:
    """Numbers, as a session gives them."""

    def __init__(self, *seen: str) -> None:
        self.numbers = Counter(seen)

    def __call__(self, name: str) -> int:
        self.numbers[name] += 1
        return self.numbers[name]


class Answered:
    """What came of one request: the reply, and the effects that carried it."""

    def __init__(self, exchange: Effects, body: Json) -> None:
        self.effects: list[Effect] = []
        sent = json.dumps(body).encode()
        try:
            effect = next(exchange)
            while True:
                self.effects.append(effect)
                effect = exchange.send(carried_out(effect, sent, []))
        except StopIteration as stop:
            self.reply: Reply = stop.value

    @property
    def pieces(self) -> list[bytes]:
        return [effect.data for effect in self.effects if isinstance(effect, Piece)]

    @property
    def text(self) -> bytes:
        return b"".join(self.pieces) or self.reply.body

    @property
    def body(self) -> Json:
        return parse(self.text)

    @property
    def chunks(self) -> list[Json]:
        """The JSON of a stream's events, read as the standard has it."""
        read = eventstream.read_events(self.text)
        assert not read.unfinished
        return [parse(event.data.encode()) for event in read.events if event.data != eventstream.DONE_DATA]

    @property
    def headers(self) -> dict[bytes, bytes]:
        begun = next((effect for effect in self.effects if isinstance(effect, Begin)), None)
        return dict(begun.headers if begun else self.reply.headers)

    @property
    def sent(self) -> tuple[Json, ...]:
        """All that a client can tell one answer from another by."""
        return self.reply.status, self.headers, self.pieces, self.text, self.waits

    @property
    def waits(self) -> float:
        return sum(effect.seconds for effect in self.effects if isinstance(effect, Wait))


def seen_before(variant: Variant) -> Counting:
    """The counts of a session in which each endpoint was asked before."""
    return Counting(*(f"variant {variant.name} {endpoint}" for endpoint in ("judge", "chat")))


def ask(
    body: Json,
    variant: Variant | str | None = None,
    *,
    path: str = CHAT,
    headers: Mapping[bytes, bytes] = HEADERS,
    given: Settings | None = None,
    count: Callable[[str], int] | None = None,
) -> Answered:
    """The answer to a request in a variant, by default not to the first one of its session."""
    found = variant_named(variant) if isinstance(variant, str) else variant
    exchange = Service(given).exchange(Head("POST", path, headers))
    if found:
        endpoint = {JUDGE: "judge", CHAT: "chat"}.get(path, "other")
        refused = partial(refusal, path=path)
        context = Context(endpoint, False, Pace(), refused, count or seen_before(found))
        exchange = with_variant(exchange, found, context, body)
    return Answered(exchange, body)


def judged(variant: str | None = None, **members: Json) -> Json:
    return ask(having(**members), variant, path=JUDGE).body


def best_of(number: int, variant: str | None = None, given: Settings | None = None, **members: Json) -> Json:
    return ask(asking(n=number, **members), variant, headers=CRITERIA, given=given).body


def streamed(variant: str | None = None, **members: Json) -> Answered:
    return ask(asking(stream=True, **members), variant)


def joined(chunks: list[Json]) -> dict[int, Json]:
    """What each choice of a stream says in the end."""
    found: dict[int, Json] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            said = found.setdefault(choice["index"], {"content": "", "arguments": {}, "finish": None})
            said["content"] += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or ():
                calls = said["arguments"]
                calls[call["index"]] = calls.get(call["index"], "") + (
                    call["function"].get("arguments") or ""
                )
            said["finish"] = choice.get("finish_reason") or said["finish"]
    return found


# Within the contract, whatever is asked.


def chunk_validator() -> Any:
    schema = {"$ref": "#/components/schemas/ChatCompletionChunk"}
    return jsonschema_rs.validator_for(
        {"$schema": DIALECT, **schema, "components": contract().document["components"]}
    )


def holds(found: Answered, path: str) -> bool:
    """Whether an answer is what the document says of it."""
    if found.headers[b"content-type"].lower().startswith(b"text/event-stream"):
        valid = chunk_validator().is_valid
        return all(valid(chunk) for chunk in found.chunks)
    status = str(found.reply.status)
    return status in statuses(path.removeprefix(BASE)) and bool(
        answer_validator(path, status).is_valid(found.body)
    )


@by_variant
@settings(max_examples=3)
@given(body=judge_requests(), new=st.booleans())
def test_a_judgement_stays_within_the_contract(variant: Variant, body: Json, new: bool) -> None:
    count = Counting() if new else None
    assert holds(ask(body, variant, path=JUDGE, count=count), JUDGE)


@pytest.mark.slow
@by_variant
@settings(max_examples=5)
@given(body=chat_requests(), criteria=criteria_headers() | st.none(), new=st.booleans())
def test_a_completion_stays_within_the_contract(
    variant: Variant, body: Json, criteria: str | None, new: bool
) -> None:
    headers = HEADERS if criteria is None else {**HEADERS, b"op-criteria": criteria.encode()}
    found = ask(body, variant, headers=headers, count=Counting() if new else None)
    assert holds(found, CHAT)
    if found.reply.status == 200 and found.reply.body and b"criteria_results" in found.reply.body:
        totals = [rewriting.combined(choice) for choice in found.body["choices"]]
        assert totals == sorted(totals, reverse=True)


@by_variant
@settings(max_examples=3)
@given(body=chat_requests(stream=True))
def test_a_stream_says_what_the_whole_answer_says(variant: Variant, body: Json) -> None:
    found = ask(body, variant)
    whole = ask({**body, "stream": False, "stream_options": None}, variant)
    if found.reply.status != 200 or not found.pieces:
        return
    said = joined(found.chunks)
    for choice in whole.body["choices"]:
        message = choice["message"]
        assert said[choice["index"]]["content"] == (message.get("content") or "")
        calls = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
        assert list(said[choice["index"]]["arguments"].values()) == calls
        assert said[choice["index"]]["finish"] == choice["finish_reason"]


@by_variant
def test_the_same_request_gets_the_same_bytes(variant: Variant) -> None:
    for body, headers in ((asking(n=3), CRITERIA), (asking(stream=True, n=2), HEADERS)):
        one, other = (ask(body, variant, headers=headers) for _ in range(2))
        assert (one.pieces, one.reply) == (other.pieces, other.reply)


CALLING = asking("What is the weather in Rome?", tools=[tool("weather")], stream=True)
TELLING: tuple[Callable[[Variant | None, Counting], Answered], ...] = (
    lambda variant, count: ask(dict(MINIMAL), variant, path=JUDGE, count=count),
    lambda variant, count: ask(asking(n=3, logprobs=True), variant, headers=CRITERIA, count=count),
    lambda variant, count: ask(
        asking(stream=True, stream_options={"include_usage": True}), variant, count=count
    ),
    lambda variant, count: ask(
        asking("What is the weather in Rome?", tools=[tool("weather")]), variant, count=count
    ),
    lambda variant, count: ask({"model": "gpt-4o"}, variant, count=count),
    lambda variant, count: ask(CALLING, variant, count=count),
    lambda variant, count: ask(asking(stream=True, n=2), variant, count=count),
)


@by_variant
def test_each_variant_makes_a_difference(variant: Variant) -> None:
    count = Counting()
    assert any(
        ask_in(variant, new).sent != ask_in(None, count).sent
        for ask_in in TELLING
        for new in (count, Counting())
    )


def test_names_and_seeds_are_each_a_variants_own() -> None:
    assert len({variant.name for variant in EVERY}) == len(EVERY)
    assert len({variant.seed for variant in EVERY}) == len(EVERY)


def test_the_page_lists_the_variants_in_their_order() -> None:
    listed = [(row["variant"].strip("`"), row["what is different"]) for row in rows(PAGE.read_text("utf-8"))]
    assert listed == [(variant.name, variant.sentence) for variant in VARIANTS]


def test_an_unknown_name_is_answered_by_the_nearest() -> None:
    with pytest.raises(ValueError, match=r'there is no variant "no-dome"\. Did you mean "no-done"\?'):
        variant_named("no-dome")
    with pytest.raises(ValueError, match="There are no-choices, no-space, whole-calls"):
        variant_named("zzzzzzzzzz")


def test_the_first_ones_are_as_many_as_there_are() -> None:
    assert variants.chosen(0) == ()
    assert variants.chosen(2) == VARIANTS[:2]
    assert variants.chosen(1000) == variants.chosen() == VARIANTS


def test_variants_are_named_or_left_out() -> None:
    no_done, refusal = map(variant_named, ("no-done", "refusal"))
    assert variants.chosen(names=("refusal", "no-done")) == (refusal, no_done)
    assert variants.chosen(2, without=(VARIANTS[0].name,)) == VARIANTS[1:3]
    with pytest.raises(ValueError, match="Did you mean"):
        variants.chosen(without=("no-dome",))


def test_a_variant_that_is_named_twice_is_tried_once() -> None:
    crlf, no_done = map(variant_named, ("crlf", "no-done"))
    assert variants.chosen(names=("crlf", "no-done", "crlf")) == (crlf, no_done)


def test_not_all_that_are_named_are_left_out() -> None:
    with pytest.raises(ValueError, match="each variant that is named is left out, too"):
        variants.chosen(names=("crlf", "no-done"), without=("no-done", "crlf"))


# One by one.


def test_kept_index() -> None:
    plain, kept = best_of(3)["choices"], best_of(3, "kept-index")["choices"]
    assert [choice["index"] for choice in plain] == [0, 1, 2]
    assert sorted(choice["index"] for choice in kept) == [0, 1, 2]
    assert kept[0]["index"] != 0
    assert [choice["message"] for choice in kept] == [choice["message"] for choice in plain]


def fixed(**scores: float | None) -> Settings:
    """Settings whose criteria always give these scores; None: they fail."""
    forms = {name: Form(Failing() if score is None else Fixed(score)) for name, score in scores.items()}
    return Settings(criteria={name: Declared({1: form}) for name, form in forms.items()})


def test_equal_choices_keep_the_order_of_their_making() -> None:
    tied = best_of(3, "kept-index", fixed(helpful=0.5, polite=0.5))
    assert [choice["index"] for choice in tied["choices"]] == [0, 1, 2]


def test_without_criteria_choices_keep_their_place() -> None:
    plain = ask(asking(n=3), "kept-index").body
    assert [choice["index"] for choice in plain["choices"]] == [0, 1, 2]


def results(body: Json, name: str) -> list[Json]:
    return [choice["criteria_results"][name] for choice in body["choices"]]


@pytest.mark.parametrize(
    ("variant", "beside"),
    [("errored-criterion", {}), ("scored-error", {"score": 0, "explanation": ""})],
)
def test_one_criterion_fails_in_each_choice(variant: str, beside: Json) -> None:
    body = best_of(3, variant)
    failed = {
        name
        for name in ("helpful", "polite")
        if all(each == {**rewriting.FAILED, **beside} for each in results(body, name))
    }
    assert len(failed) == 1


def test_the_only_criterion_fails_too() -> None:
    body = ask(asking(), "errored-criterion", headers=sent_with(op_criteria=["helpful"])).body
    assert [each["status"] for each in results(body, "helpful")] == ["error"]


def test_no_done() -> None:
    plain, found = streamed(), streamed("no-done")
    assert plain.pieces == [*found.pieces, DONE]


@pytest.mark.parametrize(
    ("variant", "status", "retry_after"), [("too-many-requests", 429, b"1"), ("unavailable-once", 503, None)]
)
def test_each_endpoint_refuses_once(variant: str, status: int, retry_after: bytes | None) -> None:
    count = Counting()
    replies = [
        ask(body, variant, path=path, count=count).reply
        for body, path in ((asking(), CHAT), (having(), JUDGE), (asking(), CHAT), (having(), JUDGE))
    ]
    assert [reply.status for reply in replies] == [status, status, 200, 200]
    assert dict(replies[0].headers).get(b"retry-after") == retry_after
    chat, judge = (parse(reply.body) for reply in replies[:2])
    assert chat["error"] == {"code": chat["code"], "message": chat["message"]}
    assert "error" not in judge


def test_bare() -> None:
    [choice] = ask(asking(), "bare").body["choices"]
    assert set(choice) == {"finish_reason", "index", "message"}
    assert set(choice["message"]) == {"role", "content"}
    first, *_, last = streamed("bare").chunks
    assert first["choices"][0] == {"index": 0, "delta": {"role": "assistant", "content": ""}}
    assert last["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}


def test_reward_model() -> None:
    assert set(judged("reward-model")) == {"score", "usage"}
    body = best_of(2, "reward-model")
    assert all(set(each) == {"status", "score"} for each in results(body, "polite"))
    assert set(body["usage"]["criteria"]) == {"helpful", "polite"}
    assert ask(asking(), "reward-model").body == ask(asking()).body


def test_no_usage() -> None:
    assert "usage" not in ask(asking(), "no-usage").body
    counted = streamed("no-usage", stream_options={"include_usage": True})
    assert all("usage" not in chunk and chunk["choices"] for chunk in counted.chunks)
    assert counted.pieces[-1] == DONE


@pytest.mark.parametrize(
    ("variant", "said"), [("unusual-text", rewriting.UNUSUAL), ("single-bytes", rewriting.SEVERAL_BYTES)]
)
def test_texts_end_in_other_characters(variant: str, said: str) -> None:
    plain, found = ask(asking()).body, ask(asking(), variant).body
    before, after = (body["choices"][0]["message"]["content"] for body in (plain, found))
    assert after == before + said
    assert found["usage"]["completion_tokens"] > plain["usage"]["completion_tokens"]
    assert judged(variant)["explanation"].endswith(said)


def test_long_text() -> None:
    assert len(ask(asking(), "long-text").body["choices"][0]["message"]["content"]) > rewriting.LONG
    assert len(judged("long-text")["explanation"]) > rewriting.LONG


def test_long_text_is_shorter_where_each_token_is_listed() -> None:
    body = asking(logprobs=True, top_logprobs=20)
    before = ask(body).body["choices"][0]["message"]["content"]
    [choice] = ask(body, "long-text").body["choices"]
    assert len(choice["message"]["content"]) == len(before) + rewriting.MOST_LIKELY
    said = joined(ask({**body, "stream": True}, "long-text").chunks)[0]["content"]
    assert said == choice["message"]["content"]


@pytest.mark.parametrize(
    "members",
    [
        {"max_tokens": 2},
        {"response_format": {"type": "json_object"}},
        {"tools": [tool("weather")], "tool_choice": "required"},
    ],
)
def test_what_is_cut_or_json_or_a_call_says_no_more(members: Json) -> None:
    assert ask(asking(**members), "long-text").body == ask(asking(**members)).body
    assert streamed("long-text", **members).pieces == streamed(None, **members).pieces


def test_a_judgement_without_explanation_gets_none() -> None:
    silent = Settings(criteria={"helpful": Declared({1: Form(Fixed(1), usage=12)})})
    plain, found = (ask(having(), variant, path=JUDGE, given=silent).body for variant in (None, "long-text"))
    assert found == plain


def test_what_is_added_has_its_log_probabilities() -> None:
    body = asking(logprobs=True, top_logprobs=2)
    [whole] = ask(body, "unusual-text").body["choices"]
    listed = [each["token"] for each in whole["logprobs"]["content"]]
    assert "".join(listed) == whole["message"]["content"]
    assert {len(each["top_logprobs"]) for each in whole["logprobs"]["content"]} == {2}
    parts = [
        each["token"]
        for chunk in ask({**body, "stream": True}, "unusual-text").chunks
        for choice in chunk["choices"]
        for each in (choice["logprobs"] or {}).get("content") or ()
    ]
    assert parts == listed


def test_criteria_order() -> None:
    plain, found = best_of(2), best_of(2, "criteria-order")
    assert found == plain  # as JSON says it; the order of the keys is what differs
    assert [list(choice["criteria_results"]) for choice in found["choices"]] == [["polite", "helpful"]] * 2
    rewards = Settings(
        criteria={name: Declared({1: Form(Fixed(1), usage=9)}) for name in ("helpful", "polite")}
    )
    assert list(best_of(2, "criteria-order", rewards)["usage"]["criteria"]) == ["polite", "helpful"]


def test_single_bytes_are_single_and_split_characters() -> None:
    found = streamed("single-bytes")
    assert {len(piece) for piece in found.pieces[:MOST_SINGLE]} == {1}
    several = sum(not char.isascii() for char in found.text.decode())
    assert found.waits == pytest.approx(PAUSE * several)
    assert several >= 3
    judged_so = ask(dict(MINIMAL), "single-bytes", path=JUDGE)
    assert len(judged_so.pieces) == len(judged_so.text)
    head = next(effect for effect in judged_so.effects if isinstance(effect, Begin))
    assert dict(head.headers)[b"content-length"] == b"%d" % len(judged_so.text)


def test_long_answers_in_single_bytes_end() -> None:
    found = ask(asking(n=20), "single-bytes")
    assert MOST_SINGLE < len(found.pieces) < len(found.text)
    assert found.waits == pytest.approx(PAUSE * MOST_PAUSES)


def test_one_piece() -> None:
    plain, found = streamed(), streamed("one-piece")
    assert found.pieces == [b"".join(plain.pieces)]


def test_time_passes_in_a_stream_as_it_would() -> None:
    slow = Settings(pace=Pace(1.0, 10.0))
    for variant in (None, *VARIANTS):
        if variant is None or variant.framing is not one_by_one:
            found = ask(asking(stream=True), variant, given=slow)
            assert found.waits == pytest.approx(
                ask(asking(stream=True), given=slow).waits, abs=0.21
            )  # an event fewer or two


def test_whole_scores() -> None:
    given = fixed(helpful=0.5, polite=0.49)
    body = best_of(2, "whole-scores", given)
    scores = [each["score"] for name in ("helpful", "polite") for each in results(body, name)]
    assert json.dumps(scores) == "[1, 1, 0, 0]"
    assert judged("whole-scores")["score"] in (0, 1)


@pytest.mark.parametrize("score", [0.0, 0.3, 0.5, 1.0])
def test_fine_scores(score: float) -> None:
    [found] = results(best_of(1, "fine-scores", fixed(helpful=score, polite=score)), "helpful")
    assert 0 < abs(found["score"] - score) < 1e-6
    assert 0 <= found["score"] <= 1
    assert len(repr(found["score"])) > 10


def test_ties() -> None:
    plain, found = best_of(4), best_of(4, "ties")
    assert [choice["message"] for choice in found["choices"]] == [
        choice["message"] for choice in plain["choices"]
    ]
    assert {rewriting.combined(choice) for choice in found["choices"]} == {
        rewriting.combined(plain["choices"][0])
    }


def test_ties_of_what_failed() -> None:
    found = best_of(2, "ties", fixed(helpful=None, polite=0.5))
    assert [each["status"] for each in results(found, "helpful")] == ["error", "error"]


def test_nulls() -> None:
    [choice] = ask(asking(), "nulls").body["choices"]
    nulls = [name for name, member in choice["message"].items() if member is None]
    assert sorted(nulls) == ["function_call", "reasoning_content", "refusal", "tool_calls"]
    assert choice["message"]["content"]
    chunk = streamed("nulls").chunks[1]
    assert chunk["usage"] is None
    assert [name for name in ("role", "tool_calls") if chunk["choices"][0]["delta"][name] is None] == [
        "role",
        "tool_calls",
    ]


def test_more_members() -> None:
    body = best_of(2, "more-members")
    assert body["system_fingerprint"]
    assert body["choices"][0]["message"]["annotations"] == []
    assert all("system_fingerprint" in chunk for chunk in streamed("more-members").chunks)


def test_no_logprobs() -> None:
    assert ask(asking(logprobs=True)).body["choices"][0]["logprobs"]
    assert ask(asking(logprobs=True), "no-logprobs").body["choices"][0]["logprobs"] is None
    assert b'"logprobs":{' not in streamed("no-logprobs", logprobs=True).text


def test_finish_with_text() -> None:
    *_, last = streamed("finish-with-text").chunks
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["choices"][0]["delta"]["content"]
    assert len(streamed("finish-with-text", n=2).chunks) == len(streamed(n=2).chunks) - 2


def test_empty_first_delta() -> None:
    plain, found = streamed(n=2).chunks, streamed("empty-first-delta", n=2).chunks
    firsts = [chunk["choices"][0] for chunk in found if not chunk["choices"][0]["delta"]]
    assert [choice["index"] for choice in firsts if choice["finish_reason"] is None] == [0, 1]
    assert [chunk for chunk in found if chunk in plain] == plain


def test_roles_repeated() -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed("roles-repeated").chunks]
    assert {delta["role"] for delta in deltas} == {"assistant"}


def test_no_choices() -> None:
    chunks = streamed("no-choices").chunks
    assert [place for place, chunk in enumerate(chunks) if not chunk["choices"]] == [0, len(chunks) - 1]


def test_stop_beside_calls() -> None:
    weather = asking("What is the weather in Rome?", tools=[tool("weather")])
    [choice] = ask(weather, "stop-beside-calls").body["choices"]
    assert choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "stop"
    assert joined(ask({**weather, "stream": True}, "stop-beside-calls").chunks)[0]["finish"] == "stop"


def test_crlf_and_comments() -> None:
    plain, crlf, comments = streamed(), streamed("crlf"), streamed("comments")
    assert crlf.text == plain.text.replace(b"\n", b"\r\n")
    assert crlf.chunks == comments.chunks == plain.chunks
    assert comments.text.count(b": keep-alive\n") == len(plain.pieces)


def test_bare_errors() -> None:
    bad = {"model": "gpt-4o"}
    plain, found = ask(bad).body, ask(bad, "bare-errors").body
    assert set(plain) == {"message", "code", "issues", "error"}
    assert found == {"message": plain["message"], "code": plain["code"]}
    assert set(ask({}, "bare-errors", path=JUDGE).body) == {"message", "code"}


def streamed_calls(variant: str | None, calls: int = 1, **members: Json) -> list[Json]:
    """The pieces of calls in a stream; of several, scripted ones."""
    scripted = tuple(ScriptedCall(name, '{"a": 1}') for name in ("one", "two", "three")[:calls])
    given = Settings(completions=(Script(choices=(ScriptedChoice(calls=scripted),)),))
    chunks = ask({**CALLING, **members}, variant, given=given).chunks
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return [call for delta in deltas for call in delta.get("tool_calls") or ()]


def test_calls_come_whole_or_in_turns() -> None:
    assert [call["function"]["arguments"] for call in streamed_calls("whole-calls", 2)] == ['{"a": 1}'] * 2
    plain, turns = (
        [call["index"] for call in streamed_calls(name, 2)] for name in (None, "interleaved-calls")
    )
    assert plain == sorted(plain)
    assert turns == [0, 1] * (len(plain) // 2)


@pytest.mark.parametrize("variant", ["two-calls", "interleaved-calls"])
@pytest.mark.parametrize(
    ("members", "calls"),
    [
        ({}, 2),
        ({"tool_choice": "auto"}, 2),
        ({"tool_choice": "required"}, 1),
        ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, 1),
        ({"parallel_tool_calls": False}, 1),
    ],
)
def test_a_tool_is_called_twice_where_the_request_leaves_it_free(
    variant: str, members: Json, calls: int
) -> None:
    assert len({call["id"] for call in streamed_calls(variant, **members) if call.get("id")}) == calls
    [choice] = ask({**CALLING, **members, "stream": False}, variant).body["choices"]
    assert len({call["id"] for call in choice["message"]["tool_calls"]}) == calls


def test_each_choice_comes_at_once() -> None:
    told, end = (chunk["choices"][0] for chunk in streamed("all-at-once").chunks)
    assert told["delta"]["role"] == "assistant"
    assert told["delta"]["content"] == ask(asking()).body["choices"][0]["message"]["content"]
    assert (told["finish_reason"], end["delta"], end["finish_reason"]) == (None, {}, "stop")


def test_the_first_answer_is_late() -> None:
    for variant, path, body in (("slow-start", CHAT, asking(stream=True)), ("slow-judge", JUDGE, having())):
        count = Counting()
        waits = [ask(body, variant, path=path, count=count).waits for _ in range(2)]
        assert waits == [pytest.approx(variants.SLOW), pytest.approx(0)]


def test_what_is_compressed_can_be_read_piece_by_piece_and_the_journal_reads_it() -> None:
    service = Service(Settings(variant="compressed"))
    for body in (asking(), asking(stream=True)):
        for accepted in (b"gzip", b"br, GZIP;q=0.5", b"identity", b"gzip;q=0", b""):
            headers = {**HEADERS, b"accept-encoding": accepted}
            found = Answered(service.exchange(Head("POST", CHAT, headers)), body)
            packed = found.headers.get(b"content-encoding") == b"gzip"
            assert packed == (accepted in (b"gzip", b"br, GZIP;q=0.5"))
            unpack = zlib.decompressobj(wbits=31)
            read = b"".join(map(unpack.decompress, found.pieces)) if packed else found.text
            assert read == ask(body).text
            assert b"content-length" not in found.headers or not packed


def test_headers_and_pieces_of_plain_answers() -> None:
    assert ask(asking(), "charset").headers[b"content-type"] == b"application/json; charset=UTF-8"
    assert streamed("no-charset").headers[b"content-type"] == b"text/event-stream"
    assert streamed("other-case").headers[b"content-type"].startswith(b"Text/Event-Stream")
    chunked = ask(asking(), "chunked")
    assert b"content-length" not in chunked.headers
    assert chunked.text == ask(asking()).text


@pytest.mark.parametrize("variant", ["refusal", "cut-off", "content-filter"])
def test_json_and_calls_are_never_taken_away(variant: str) -> None:
    for body in ({**CALLING, "stream": False}, asking(response_format={"type": "json_object"})):
        assert ask(body, variant).body == ask(body).body


# What is left alone.


def scripted(raw: Json) -> Settings:
    return Settings(completions=(Script(raw=json.dumps(raw).encode()),))


@by_variant
@pytest.mark.parametrize("raw", [{"choices": "none"}, [1], None, {"error": {}}])
def test_a_scripted_answer_that_breaks_the_contract_keeps_its_content(variant: Variant, raw: Json) -> None:
    assert ask(asking(), variant, given=scripted(raw)).body == raw
    assert ask(asking(stream=True), variant, given=scripted(raw)).chunks == [raw]


@by_variant
def test_other_endpoints_are_as_ever(variant: Variant) -> None:
    path = f"{BASE}/check-cache"
    body: Json = {"reqPayload": {}, "requestedAt": 1}
    assert ask(body, variant, path=path).reply == ask(body, path=path).reply


@by_variant
def test_completions_without_choices_or_usage_pass(variant: Variant) -> None:
    raw = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    assert ask(asking(), variant, given=scripted(raw)).body["choices"] == []


def test_several_calls_stay_several() -> None:
    calls = tuple(ScriptedCall(name, '{"a": 1}') for name in ("one", "two"))
    given = Settings(completions=(Script(choices=(ScriptedChoice(calls=calls),)),))
    for variant in VARIANTS:
        [choice] = ask(asking(), variant, given=given).body["choices"]
        assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["one", "two"]


def test_an_error_that_is_no_json_passes() -> None:
    reply = variant_named("bare-errors").body(Reply(502, b"<html>"), "chat")
    assert reply == b"<html>"


def test_a_stream_without_events_passes() -> None:
    assert rewriting.without_choices([], 0) == []
