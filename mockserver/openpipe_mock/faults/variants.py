"""Variants: answers that the contract allows and that differ from the usual ones, to try clients with.

A client that fails with a variant relies on something that the contract doesn't promise. Each variant changes
one thing about all answers; `with_variant` puts it around the exchange that answers. A variant draws from a
seed of its own, so that the same requests get the same bytes.
"""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from openpipe_mock.answers.events import DONE, event, event_data
from openpipe_mock.core.effects import Begin, Effects, Reply
from openpipe_mock.core.wording import did_you_mean, quoted
from openpipe_mock.faults import rewriting as to
from openpipe_mock.faults.framing import (
    Framing,
    Timed,
    as_sent,
    in_one_piece,
    one_by_one,
    with_comments,
    with_crlf,
)
from openpipe_mock.faults.kinds import Context, ErrorAnswer
from openpipe_mock.faults.rewriting import (
    Change,
    Course,
    CourseChange,
    Frame,
    in_choices,
    in_chunks,
    in_deltas,
)
from openpipe_mock.faults.streams import collect, next_sent, send_pieces, send_plain
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.openapi.spec import contract

Json = Any

_ANSWERS: Mapping[str, str] = {each.name: each.answer for each in ENDPOINTS.values() if each.answer}
"""Endpoint with variants → the schema of its answer."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One difference from the usual answers: its name, a sentence that describes it, and its seed.

    `judge`, `chat`: change the plain answers of these endpoints. `stream`: changes the events of a stream.
    `error`: changes errors. `framing`: how the bytes of a stream are sent; with `all_bodies`, those of plain
    answers too. `refusal`: an error for the first request to each endpoint.
    """

    name: str
    sentence: str
    seed: int
    judge: Change | None = field(default=None, repr=False)
    chat: Change | None = field(default=None, repr=False)
    stream: CourseChange | None = field(default=None, repr=False)
    error: Change | None = field(default=None, repr=False)
    framing: Framing = field(default=as_sent, repr=False)
    all_bodies: bool = False
    refusal: ErrorAnswer | None = None

    def body(self, reply: Reply, endpoint: str) -> bytes:
        """Return the body of an answer in this variant. A body that breaks the contract stays as it is."""
        if reply.status >= 400:
            schema, change = "Error" if endpoint == "judge" else "ChatError", self.error
        else:
            schema, change = _ANSWERS[endpoint], self.judge if endpoint == "judge" else self.chat
        if change is None or not contract().checker(schema).is_valid(answer := _json_of(reply.body)):
            return reply.body
        return orjson.dumps(change(answer, self.seed))


def _json_of(body: bytes) -> Json:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


_BUSY = ErrorAnswer(429, "Too many requests: the mock wants to be asked again in a second.", retry_after=1.0)
_ABSENT = ErrorAnswer(503, "Service unavailable: the mock is back at the next request.")

VARIANTS: tuple[Variant, ...] = (
    Variant(
        "kept-index",
        "Judged choices keep the index of their making: the best one is first, and its index isn't 0.",
        101,
        chat=to.kept_index,
    ),
    Variant(
        "errored-criterion",
        "One criterion of each judged choice failed: status `error`, errorCode, errorMessage, no score.",
        102,
        chat=to.failing({}),
    ),
    Variant("no-done", "Streams end without `[DONE]`.", 103, stream=to.without_done),
    Variant(
        "too-many-requests",
        "The first request to each endpoint gets 429 with `Retry-After: 1`.",
        104,
        refusal=_BUSY,
    ),
    Variant(
        "bare",
        "What would be null is absent: refusal, logprobs, content beside calls, finish_reason in chunks.",
        105,
        chat=in_choices(to.bare_choice),
        stream=in_deltas(to.bare_delta),
    ),
    Variant(
        "reward-model",
        "Criteria judge as trained reward models do: `usage` with total_tokens, and no explanation.",
        106,
        judge=to.as_reward_model,
        chat=to.as_reward_models,
    ),
    Variant(
        "no-usage",
        "Completions and streams don't count their tokens: `usage` is absent.",
        107,
        chat=to.without_usage,
        stream=to.uncounted,
    ),
    Variant(
        "unusual-text",
        "Texts and explanations end in unusual characters: emoji, right-to-left, separators, NUL, quotes.",
        108,
        judge=to.longer_explanation(to.unusual),
        chat=to.longer_texts(to.unusual),
        stream=to.longer_stream(to.unusual),
    ),
    Variant("unavailable-once", "The first request to each endpoint gets 503.", 109, refusal=_ABSENT),
    Variant(
        "criteria-order",
        "The criteria of a judged choice are listed in the reverse of the usual order.",
        110,
        chat=to.backwards,
    ),
    Variant(
        "single-bytes",
        "Answers come byte by byte, characters of several bytes too, of which texts have some at their end.",
        111,
        judge=to.longer_explanation(to.of_several_bytes),
        chat=to.longer_texts(to.of_several_bytes),
        stream=to.longer_stream(to.of_several_bytes),
        framing=one_by_one,
        all_bodies=True,
    ),
    Variant("one-piece", "The whole of a stream comes in one piece.", 112, framing=in_one_piece),
    Variant(
        "whole-scores",
        "Scores are 0 or 1, written as whole numbers.",
        113,
        judge=to.in_score(to.whole_score),
        chat=to.in_scores(to.whole_score),
    ),
    Variant(
        "fine-scores",
        "Scores have as many decimals as a double has, and are off by at most a millionth.",
        114,
        judge=to.in_score(to.fine_score),
        chat=to.in_scores(to.fine_score),
    ),
    Variant("ties", "All judged choices have the same scores.", 115, chat=to.in_results(to.tied)),
    Variant(
        "scored-error",
        "As errored-criterion, and the result has a score of 0 and an empty explanation beside the error.",
        116,
        chat=to.failing({"score": 0, "explanation": ""}),
    ),
    Variant(
        "nulls",
        "What may be null is there and null: tool_calls, refusal, reasoning_content, usage in chunks.",
        117,
        chat=lambda answer, seed: to.null_usage(in_choices(to.null_choice)(answer, seed), seed),
        stream=in_chunks(to.null_chunk),
    ),
    Variant(
        "more-members",
        "Completions have further members: system_fingerprint, service_tier, token details, content filters.",
        118,
        chat=to.more_members,
        stream=in_chunks(to.more_of_chunk),
    ),
    Variant(
        "no-logprobs",
        "`logprobs` is null, also where log probabilities were asked for.",
        119,
        chat=in_choices(to.without_logprobs),
        stream=in_deltas(to.without_logprobs),
    ),
    Variant(
        "finish-with-text",
        "The last piece of a streamed choice and its finish_reason come in one chunk.",
        120,
        stream=to.finish_with_text,
    ),
    Variant(
        "empty-first-delta",
        "Each streamed choice opens with an empty delta; its role comes in the next one.",
        121,
        stream=to.empty_first,
    ),
    Variant(
        "roles-repeated", "Each delta of a stream says the role again.", 122, stream=in_deltas(to.with_role)
    ),
    Variant(
        "no-choices",
        "Streams have chunks without choices: one at the beginning, one at the end.",
        123,
        stream=to.without_choices,
    ),
    Variant(
        "stop-beside-calls",
        "finish_reason is `stop` where the model calls tools.",
        124,
        chat=in_choices(to.stopping),
        stream=in_deltas(to.stopping),
    ),
    Variant("crlf", "The lines of a stream end with CR and LF.", 125, framing=with_crlf),
    Variant("comments", "Streams have comment lines between their events.", 126, framing=with_comments),
    Variant(
        "long-text",
        f"Texts and explanations have {to.LONG} characters and more.",
        127,
        judge=to.longer_explanation(to.much_more),
        chat=to.longer_texts(to.much_more),
        stream=to.longer_stream(to.much_more),
    ),
    Variant(
        "bare-errors",
        "Errors have `message` and `code` alone: no `issues`, no `error` for OpenAI's clients.",
        128,
        error=to.bare_error,
    ),
)
"""The variants in the order in which they are tried: what breaks most clients comes first."""


def variant_named(name: str) -> Variant:
    """Return the variant of a name. Raises ValueError, which names the variants, for any other name."""
    found = next((variant for variant in VARIANTS if variant.name == name), None)
    if found is None:
        names = [variant.name for variant in VARIANTS]
        near = did_you_mean(name, names) or f" There are {', '.join(names)}."
        raise ValueError(f"there is no variant {quoted(name)}.{near}")
    return found


def first(number: int) -> tuple[Variant, ...]:
    """Return the first variants, so many of them or all."""
    return VARIANTS[:number]


def with_variant(exchange: Effects, variant: Variant, context: Context) -> Effects:
    """Run the exchange that answers a request and change its answer as a variant does.

    Only the judge and chat have variants. An answer that breaks the contract, as a scripted raw one may,
    keeps its content.
    """
    endpoint = context.endpoint
    if endpoint not in _ANSWERS:
        return (yield from exchange)
    if variant.refusal and context.count(f"variant {variant.name} {endpoint}") == 1:
        exchange.close()
        return replace(context.refused(variant.refusal.error()), subject=f"variant {variant.name}")
    with closing(exchange):
        sent = yield from next_sent(exchange)
        if isinstance(sent, Begin):
            return (yield from _streamed(sent, exchange, variant))
        assert isinstance(sent, Reply)
        reply = replace(sent, body=variant.body(sent, endpoint))
        return (yield from send_plain(reply, variant.framing)) if variant.all_bodies else reply


def _streamed(begun: Begin, exchange: Effects, variant: Variant) -> Effects:
    """Send a stream as a variant changes it, with the same waits."""
    yield begun
    sent, reply = yield from collect(exchange)
    course = _understood(sent) if variant.stream else None
    if course is not None and variant.stream:
        said = variant.stream(course, variant.seed)
        sent = [(frame.wait, DONE if frame.chunk is None else event(frame.chunk)) for frame in said]
    yield from send_pieces(variant.framing(sent))
    return reply


def _understood(pieces: Iterable[Timed]) -> Course | None:
    """The events of a stream; None where one of them breaks the contract."""
    valid = contract().checker("ChatCompletionChunk").is_valid
    course = [Frame(None if data == DONE else event_data(data) or {}, wait) for wait, data in pieces]
    return course if all(frame.chunk is None or valid(frame.chunk) for frame in course) else None
