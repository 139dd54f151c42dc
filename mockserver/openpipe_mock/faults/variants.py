"""Variants: answers that the contract allows and that differ from the usual ones, to try clients with.

A client that fails with a variant relies on something that the contract doesn't promise. Each variant changes
one thing about all answers; `with_variant` puts it around the exchange that answers. A variant draws from a
seed of its own, so that the same requests get the same bytes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from openpipe_mock.answers.events import DONE, event_data
from openpipe_mock.core.effects import Begin, Effects, Reply, Wait
from openpipe_mock.core.wording import did_you_mean, quoted
from openpipe_mock.faults import endings, framing, headers, spelling, tool_calls
from openpipe_mock.faults import rewriting as to
from openpipe_mock.faults.course import (
    Change,
    Course,
    CourseChange,
    Frame,
    in_choices,
    in_chunks,
    in_deltas,
    in_members,
    in_messages,
)
from openpipe_mock.faults.framing import Framing, Timed, as_sent
from openpipe_mock.faults.headers import HeaderChange, as_they_are
from openpipe_mock.faults.kinds import Context, ErrorAnswer
from openpipe_mock.faults.spelling import Spelling, compact, in_event
from openpipe_mock.faults.streams import collect, next_sent, send_pieces, send_plain
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.openapi.spec import contract

Json = Any

_ANSWERS: Mapping[str, str] = {each.name: each.answer for each in ENDPOINTS.values() if each.answer}
"""Endpoint with variants → the schema of its answer."""


def _always(_: Json) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Variant:
    """One difference from the usual answers: its name, a sentence that describes it, and its seed.

    `bugs`: public reports of clients that break under it, most telling first. `unless_named`: why it is off
    unless somebody names it, "" for those that are on.

    `judge`, `chat`: change the plain answers of these endpoints. `stream`: changes the events of a stream.
    `error`: changes errors. `spelling`: how the JSON of answers and events is written. `headers`: changes the
    headers of answers. `framing`: how the bytes of a stream are sent; with `all_bodies`, those of plain
    answers too, without their length where they are not `announced`. `compresses`: answers are compressed
    where the request accepts it. `late`: the endpoint whose first answer comes late. `refusal`: an error for
    the first request to each endpoint. `applies`: whether a request can have it.
    """

    name: str
    sentence: str
    seed: int
    bugs: tuple[str, ...] = ()
    unless_named: str = ""
    judge: Change | None = field(default=None, repr=False)
    chat: Change | None = field(default=None, repr=False)
    stream: CourseChange | None = field(default=None, repr=False)
    error: Change | None = field(default=None, repr=False)
    spelling: Spelling = field(default=compact, repr=False)
    headers: HeaderChange = field(default=as_they_are, repr=False)
    framing: Framing = field(default=as_sent, repr=False)
    all_bodies: bool = False
    announced: bool = True
    compresses: bool = False
    late: str = ""
    refusal: ErrorAnswer | None = None
    applies: Callable[[Json], bool] = field(default=_always, repr=False)

    def body(self, reply: Reply, endpoint: str) -> bytes:
        """Return the body of an answer in this variant. A body that breaks the contract stays as it is."""
        if reply.status >= 400:
            schema, change = "Error" if endpoint == "judge" else "ChatError", self.error
        else:
            schema, change = _ANSWERS[endpoint], self.judge if endpoint == "judge" else self.chat
        if change is None and self.spelling is compact:
            return reply.body
        if not contract().checker(schema).is_valid(answer := _json_of(reply.body)):
            return reply.body
        return self.spelling(change(answer, self.seed) if change else answer)


def _json_of(body: bytes) -> Json:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


_BUSY = ErrorAnswer(429, "Too many requests: the mock wants to be asked again in a second.", retry_after=1.0)
_ABSENT = ErrorAnswer(503, "Service unavailable: the mock is back at the next request.")

SLOW = 1.5
"""Seconds by which a late answer is late."""
_PINNED = "openai for Python can't read it in 1.97.1, which openpipe 5.0.0 pins"
_NO_ANSWER = "a client that ends with an error then may be right"

VARIANTS: tuple[Variant, ...] = (
    Variant(
        "no-choices",
        "Streams have chunks without choices: one at the beginning, one at the end.",
        123,
        bugs=(
            "TheR1D/shell_gpt#457",
            "pydantic/logfire#64",
        ),
        stream=to.without_choices,
    ),
    Variant(
        "no-space",
        "Events have no space behind `data:`.",
        129,
        bugs=(
            "openai/openai-python#498",
            "sgl-project/genai-bench#159",
            "lidge-jun/opencodex#1170",
        ),
        framing=framing.without_space,
    ),
    Variant(
        "whole-calls",
        "Each streamed call comes whole, in one delta.",
        130,
        bugs=(
            "openai/openai-python#2806",
            "vercel/ai#15879",
        ),
        stream=tool_calls.each_whole,
    ),
    Variant(
        "interleaved-calls",
        "As two-calls, and the pieces of the calls of a stream come in turns.",
        131,
        bugs=(
            "maximhq/bifrost#1829",
            "continuedev/continue#13278",
            "QwenLM/Qwen-Agent#943",
        ),
        chat=tool_calls.twice,
        stream=tool_calls.in_turns,
        applies=tool_calls.may_call_twice,
    ),
    Variant(
        "comments",
        "Streams have comment lines between their events.",
        126,
        bugs=(
            "modelscope/ms-swift#10086",
            "deepnoodle-ai/dive#206",
        ),
        framing=framing.with_comments,
    ),
    Variant(
        "crlf",
        "The lines of a stream end with CR and LF.",
        125,
        bugs=(
            "hey-api/hey-api#3054",
            "kubernetes-sigs/inference-perf#781",
        ),
        framing=framing.with_crlf,
    ),
    Variant(
        "single-bytes",
        "Answers come byte by byte, characters of several bytes too, of which texts have some at their end.",
        111,
        bugs=(
            "danielmiessler/Fabric#2203",
            "ollama/ollama-js#255",
        ),
        judge=to.longer_explanation(to.of_several_bytes),
        chat=to.longer_texts(to.of_several_bytes),
        stream=to.longer_stream(to.of_several_bytes),
        framing=framing.one_by_one,
        all_bodies=True,
    ),
    Variant(
        "finish-with-text",
        "The last piece of a streamed choice and its finish_reason come in one chunk.",
        120,
        bugs=(
            "jeremychone/rust-genai#164",
            "lobehub/lobehub#3252",
        ),
        stream=to.finish_with_text,
    ),
    Variant(
        "reasoning",
        "The model thinks first: `reasoning_content`, in a stream in deltas without content.",
        132,
        bugs=(
            "modelscope/ms-swift#9881",
            "CommonstackAI/UncommonRoute#7",
        ),
        chat=in_messages(to.reasoned),
        stream=to.reasoned_stream,
    ),
    Variant(
        "empty-calls",
        "Messages and deltas without calls have an empty list of them.",
        133,
        bugs=(
            "microsoft/vscode#330038",
            "OpenSecretCloud/opensecret#185",
        ),
        chat=in_messages(tool_calls.no_calls_listed),
        stream=in_members(tool_calls.no_calls_listed),
    ),
    Variant(
        "null-in-calls",
        "The pieces behind the opening of a streamed call have null for id and name.",
        134,
        bugs=(
            "pgadmin-org/pgadmin4#9828",
            "Effect-TS/effect#8333",
        ),
        stream=tool_calls.naming(None),
    ),
    Variant(
        "two-calls",
        "A model that is free to call a tool calls it twice, unless the request wants one call at a time.",
        135,
        bugs=(
            "ComposioHQ/composio#3726",
            "hinthornw/trustcall#12",
        ),
        chat=tool_calls.twice,
        stream=tool_calls.twice_streamed,
        applies=tool_calls.may_call_twice,
    ),
    Variant(
        "unusual-text",
        "Texts and explanations end in unusual characters: emoji, right-to-left, separators, NUL, quotes.",
        108,
        bugs=(
            "openai/openai-python#1230",
            "Soju06/codex-lb#1010",
        ),
        judge=to.longer_explanation(to.unusual),
        chat=to.longer_texts(to.unusual),
        stream=to.longer_stream(to.unusual),
    ),
    Variant(
        "no-charset",
        "Streams say nothing of a charset, and texts end in letters that Latin-1 would tear apart.",
        136,
        bugs=(
            "open-metadata/OpenMetadata#29531",
            "databrickslabs/coding-agents-databricks-apps#97",
        ),
        judge=to.longer_explanation(to.latin),
        chat=to.longer_texts(to.latin),
        stream=to.longer_stream(to.latin),
        headers=headers.without_charset,
    ),
    Variant(
        "several-data-lines",
        "The JSON of an event is spread over several `data:` lines.",
        137,
        bugs=(
            "SamSaffron/term-llm#454",
            "milady-ai/milady#1653",
        ),
        framing=framing.in_data_lines,
    ),
    Variant(
        "text-beside-calls",
        "The model says something beside its calls.",
        138,
        bugs=(
            "openai/openai-agents-js#817",
            "SciSharp/BotSharp#816",
        ),
        chat=tool_calls.with_text,
        stream=tool_calls.with_text_streamed,
    ),
    Variant(
        "stop-beside-calls",
        "finish_reason is `stop` where the model calls tools.",
        124,
        bugs=(
            "Mirascope/mirascope#257",
            "log10-io/log10#152",
        ),
        chat=in_choices(to.stopping),
        stream=in_deltas(to.stopping),
    ),
    Variant(
        "bare",
        "What would be null is absent: refusal, logprobs, content beside calls, finish_reason in chunks.",
        105,
        bugs=("vllm-project/guidellm#316",),
        chat=in_choices(to.bare_choice),
        stream=in_deltas(to.bare_delta),
    ),
    Variant(
        "no-usage",
        "Completions and streams don't count their tokens: `usage` is absent.",
        107,
        bugs=("simonw/llm#1697",),
        chat=to.without_usage,
        stream=to.uncounted,
    ),
    Variant(
        "no-done",
        "Streams end without `[DONE]`.",
        103,
        bugs=("microsoft/agent-framework#8532",),
        stream=to.without_done,
    ),
    Variant(
        "nulls",
        "What may be null is there and null: tool_calls, refusal, reasoning_content, usage in chunks.",
        117,
        bugs=("Effect-TS/effect#8333",),
        chat=lambda answer, seed: to.null_usage(in_choices(to.null_choice)(answer, seed), seed),
        stream=in_chunks(to.null_chunk),
    ),
    Variant(
        "empty-in-calls",
        "The pieces behind the opening of a streamed call have an empty id and name.",
        139,
        bugs=("anomalyco/opencode#37783",),
        stream=tool_calls.naming(""),
    ),
    Variant(
        "all-at-once",
        "All that a streamed choice says comes in one chunk, with its role; its finish_reason follows.",
        140,
        bugs=("linagora/openrag#462",),
        stream=endings.all_at_once,
    ),
    Variant(
        "usage-with-finish",
        "A stream counts its tokens in the chunk with the last finish_reason.",
        141,
        bugs=("deepset-ai/haystack#8968",),
        stream=to.usage_with_finish,
    ),
    Variant(
        "empty-content",
        "The content beside calls is an empty text in place of null.",
        142,
        bugs=("agentgateway/agentgateway#2148",),
        chat=in_messages(tool_calls.blank_beside),
        stream=in_members(tool_calls.blank_beside),
    ),
    Variant(
        "cr",
        "The lines of a stream end with CR alone.",
        143,
        bugs=("a2aproject/a2a-js#714",),
        framing=framing.with_cr,
    ),
    Variant(
        "slow-start",
        f"The first answer of chat comes late: after {SLOW} seconds.",
        144,
        bugs=("mezmo/aura#504",),
        late="chat",
    ),
    Variant(
        "compressed",
        "Answers are compressed by gzip, where the request accepts that.",
        145,
        bugs=("Anionex/agent-vision-toolkit#36",),
        all_bodies=True,
        compresses=True,
    ),
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
    Variant(
        "too-many-requests",
        "The first request to each endpoint gets 429 with `Retry-After: 1`.",
        104,
        refusal=_BUSY,
    ),
    Variant(
        "reward-model",
        "Criteria judge as trained reward models do: `usage` with total_tokens, and no explanation.",
        106,
        judge=to.as_reward_model,
        chat=to.as_reward_models,
    ),
    Variant("unavailable-once", "The first request to each endpoint gets 503.", 109, refusal=_ABSENT),
    Variant(
        "criteria-order",
        "The criteria of a judged choice are listed in the reverse of the usual order.",
        110,
        chat=to.backwards,
    ),
    Variant("one-piece", "The whole of a stream comes in one piece.", 112, framing=framing.in_one_piece),
    Variant(
        "event-fields",
        "Each event has an `id` and a `retry` before its data.",
        146,
        framing=framing.with_fields,
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
        "empty-pieces",
        "Between the pieces of a streamed text come deltas with an empty one.",
        147,
        stream=to.blank_pieces,
    ),
    Variant(
        "choices-together",
        "Pieces of several streamed choices come in one chunk.",
        148,
        stream=to.together,
    ),
    Variant(
        "other-arguments",
        "The arguments of calls have blanks, line feeds and escapes, and their members in reverse.",
        149,
        chat=tool_calls.other_arguments,
        stream=tool_calls.other_arguments_streamed,
    ),
    Variant(
        "spaced-json",
        "JSON has blanks around colons, and plain answers a line for each member.",
        150,
        spelling=spelling.spaced,
    ),
    Variant(
        "escaped-json",
        "JSON has escapes for slashes and for all that isn't ASCII, of which texts have some at their end.",
        151,
        judge=to.longer_explanation(to.of_several_bytes),
        chat=to.longer_texts(to.of_several_bytes),
        stream=to.longer_stream(to.of_several_bytes),
        spelling=spelling.escaped,
    ),
    Variant(
        "reversed-json",
        "The members of each object of an answer are in reverse.",
        152,
        spelling=spelling.members_reversed,
    ),
    Variant(
        "chunked",
        "Plain answers are sent in chunks, without their length.",
        153,
        all_bodies=True,
        announced=False,
    ),
    Variant(
        "charset",
        "Content types end in `; charset=UTF-8`, those of plain answers too.",
        154,
        headers=headers.with_charset,
    ),
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
        "error-beside-score",
        "Results with a score have an errorCode of 0 and an empty errorMessage.",
        155,
        chat=to.in_each_result(to.no_error),
    ),
    Variant(
        "empty-explanation",
        "The explanations of scores are empty.",
        156,
        judge=lambda answer, _: to.blank_explanation(answer),
        chat=to.in_each_result(to.blank_explanation),
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
        "slow-judge",
        f"The first judgement comes late: after {SLOW} seconds.",
        157,
        late="judge",
    ),
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
"""The variants that are on, in the order in which they are tried: what breaks most clients comes first.

First come those behind which public bugs of clients are known, those of several clients before those of one;
then what this API alone has and what servers do often; then what is rarer.
"""

ONLY_NAMED: tuple[Variant, ...] = (
    Variant(
        "unnamed",
        "Completions and chunks have an empty id and model, and were created at 0.",
        158,
        unless_named="LangChain for JavaScript drops a message whose id it knows",
        chat=to.unnamed,
        stream=in_chunks(lambda chunk: to.unnamed(chunk, 0)),
    ),
    Variant(
        "event-names",
        "Each event has the name `message`.",
        159,
        unless_named=_PINNED,
        framing=framing.with_names,
    ),
    Variant(
        "lone-fields",
        "Before each event stands a block with `retry` and without data.",
        160,
        bugs=("coder/coder#28185",),
        unless_named=_PINNED,
        framing=framing.with_lone_fields,
    ),
    Variant(
        "byte-order-mark",
        "Streams begin with a byte order mark.",
        161,
        unless_named=_PINNED,
        framing=framing.with_mark,
    ),
    Variant(
        "repeated-names",
        "Each piece of a streamed call has its id, type and name.",
        162,
        unless_named=_PINNED,
        stream=tool_calls.repeating,
    ),
    Variant(
        "call-from-one",
        "The only call of a streamed choice has the index 1.",
        163,
        unless_named=_PINNED,
        stream=tool_calls.from_one,
    ),
    Variant(
        "other-case",
        "The content type is written in other case: `Application/Json`.",
        164,
        unless_named="npm openai looks for lower case",
        headers=headers.in_other_case,
    ),
    Variant(
        "refusal",
        "The model refuses to say what would be a text: `refusal`, and no content.",
        165,
        unless_named=_NO_ANSWER,
        chat=endings.refused,
        stream=endings.refused_stream,
    ),
    Variant(
        "cut-off",
        "Texts end in the middle, with finish_reason `length`.",
        166,
        unless_named=_NO_ANSWER,
        chat=endings.cut,
        stream=endings.cut_stream,
    ),
    Variant(
        "content-filter",
        "Texts are empty, with finish_reason `content_filter`.",
        167,
        unless_named=_NO_ANSWER,
        chat=endings.filtered,
        stream=endings.filtered_stream,
    ),
)
"""The variants that are off unless they are named."""


def variant_named(name: str) -> Variant:
    """Return the variant of a name. Raises ValueError, which names the variants, for any other name."""
    every = (*VARIANTS, *ONLY_NAMED)
    found = next((variant for variant in every if variant.name == name), None)
    if found is None:
        names = [variant.name for variant in every]
        near = did_you_mean(name, names) or f" There are {', '.join(names)}."
        raise ValueError(f"there is no variant {quoted(name)}.{near}")
    return found


def chosen(
    number: int | None = None, names: Sequence[str] = (), without: Sequence[str] = ()
) -> tuple[Variant, ...]:
    """Return the first variants, so many of them, or those that are named, and leave some of them out.

    None and no names: all that are on. One that is named twice counts once. Raises ValueError for an unknown
    name, and where all that are named are left out.
    """
    left_out = [variant_named(name) for name in without]
    asked = tuple(dict.fromkeys(map(variant_named, names))) or VARIANTS
    found = tuple(variant for variant in asked if variant not in left_out)
    if not found:
        raise ValueError("each variant that is named is left out, too")
    return found[:number]


def with_variant(exchange: Effects, variant: Variant, context: Context, asked: Json = None) -> Effects:
    """Run the exchange that answers a request and change its answer as a variant does.

    Only the judge and chat have variants. An answer that breaks the contract, as a scripted raw one may,
    keeps its content. `asked`: the body of the request.
    """
    endpoint = context.endpoint
    if endpoint not in _ANSWERS or not variant.applies(asked or {}):
        return (yield from exchange)
    if variant.refusal and _is_first(variant, context):
        exchange.close()
        return replace(context.refused(variant.refusal.error()), subject=f"variant {variant.name}")
    late = SLOW if variant.late == endpoint and _is_first(variant, context) else 0.0
    with closing(exchange):
        sent = yield from next_sent(exchange)
        if isinstance(sent, Begin):
            return (yield from _streamed(sent, exchange, variant, late))
        assert isinstance(sent, Reply)
        if late:
            yield Wait(late)
        reply = replace(sent, body=variant.body(sent, endpoint), headers=variant.headers(sent.headers))
        if not variant.all_bodies:
            return reply
        return (yield from send_plain(reply, variant.framing, announced=variant.announced))


def _is_first(variant: Variant, context: Context) -> bool:
    """Whether a request is the first to its endpoint."""
    return context.count(f"variant {variant.name} {context.endpoint}") == 1


def _streamed(begun: Begin, exchange: Effects, variant: Variant, late: float) -> Effects:
    """Send a stream as a variant changes it, with the same waits, behind one by which it is late."""
    yield replace(begun, headers=variant.headers(begun.headers))
    if late:
        yield Wait(late)
    sent, reply = yield from collect(exchange)
    if variant.stream or variant.spelling is not compact:
        sent = _respelled(sent, variant)
    yield from send_pieces(variant.framing(sent))
    return reply


def _respelled(sent: list[Timed], variant: Variant) -> list[Timed]:
    """The events of a stream, changed and written as in a variant; unchanged if one breaks the contract."""
    course = _understood(sent)
    if course is None:
        return sent
    said = variant.stream(course, variant.seed) if variant.stream else course
    return [
        (frame.wait, DONE if frame.chunk is None else in_event(variant.spelling(frame.chunk)))
        for frame in said
    ]


def _understood(pieces: Iterable[Timed]) -> Course | None:
    """The events of a stream; None where one of them breaks the contract."""
    valid = contract().checker("ChatCompletionChunk").is_valid
    course = [Frame(None if data == DONE else event_data(data) or {}, wait) for wait, data in pieces]
    return course if all(frame.chunk is None or valid(frame.chunk) for frame in course) else None
