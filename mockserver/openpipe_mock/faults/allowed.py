"""What the contract and the standards allow, row by row, and what shows it to a client.

A row is a value of a member of an answer, or a freedom of streams, headers, time and spelling. What has it is
the usual answer, a variant by its name, or nothing, for a reason. `member_values` walks the contract for all
values that it allows; a test holds them against `MEMBERS`, and observes that the variants do show them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from openpipe_mock.openapi.shapes import types, union

Json = Any

ROOTS = ("JudgeCriteriaResponse", "ChatCompletion", "ChatCompletionChunk", "Error", "ChatError")
"""The schemas of all answers and events."""

USUAL = "usual"
UNSEEN = "not shown: no server is known to send it, nor a client that it breaks"
SENSELESS = "not shown: nobody could act on such an answer"
LEGACY = "not shown: `functions` are out of use, and whole or null as usual"
COUNTS = "not shown: numbers of tokens are anybody's guess"
WORDS = "not shown: clients read the words of an error and nothing else"

_FURTHER = {"further": "more-members"}
_UNSEEN_FURTHER = {"further": UNSEEN}
_TEXT = {"absent": "bare", "null": USUAL, "empty": UNSEEN, "unusual": UNSEEN}
_CALLED = {"absent": USUAL, "null": "nulls"}
_LEGACY = {"absent": USUAL, "null": LEGACY, "empty": USUAL, "unusual": LEGACY}
_TOKENS = {"unusual": COUNTS}
_DETAIL = {"absent": "more-members", "null": UNSEEN, "unusual": COUNTS}
_BYTES = {"null": "nulls", "empty": UNSEEN}
_ERROR_WORDS = {"empty": WORDS, "unusual": WORDS}

MEMBERS: Mapping[str, Mapping[str, str]] = {
    "JudgeCriteriaResponse.score": {"unusual": "whole-scores"},
    "JudgeCriteriaResponse.explanation": {
        "absent": "reward-model",
        "empty": "empty-explanation",
        "unusual": "unusual-text",
    },
    "JudgeCriteriaResponse.usage": {"absent": USUAL},
    "JudgeCriteriaUsage.total_tokens": _TOKENS,
    "ChatCompletion": _FURTHER,
    "ChatCompletion.id": {"empty": "unnamed", "unusual": UNSEEN},
    "ChatCompletion.created": {"unusual": "unnamed"},
    "ChatCompletion.model": {"empty": "unnamed", "unusual": UNSEEN},
    "ChatCompletion.choices": {"empty": SENSELESS},
    "ChatCompletion.usage": {"absent": "no-usage"},
    "ChatCompletionChoice": _FURTHER,
    "ChatCompletionChoice.finish_reason": {
        "length": "cut-off",
        "function_call": USUAL,
        "tool_calls": USUAL,
        "stop": "stop-beside-calls",
        "content_filter": "content-filter",
    },
    "ChatCompletionChoice.index": {"unusual": "kept-index"},
    "ChatCompletionChoice.logprobs": {"absent": "bare", "null": "no-logprobs"},
    "ChatCompletionChoice.content_filter_results": {"absent": USUAL, "empty": UNSEEN},
    "ChatCompletionChoice.criteria_results": {"absent": USUAL, "empty": SENSELESS},
    "ChatCompletionMessage": _FURTHER,
    "ChatCompletionMessage.content": {
        "absent": "bare",
        "null": "refusal",
        "empty": "empty-content",
        "unusual": "text-beside-calls",
    },
    "ChatCompletionMessage.refusal": {**_TEXT, "unusual": "refusal"},
    "ChatCompletionMessage.reasoning_content": {
        "absent": USUAL,
        "null": "nulls",
        "empty": UNSEEN,
        "unusual": "reasoning",
    },
    "ChatCompletionMessage.function_call": _CALLED,
    "ChatCompletionMessage.tool_calls": {**_CALLED, "empty": "empty-calls"},
    "ChatFunctionCall": _UNSEEN_FURTHER,
    "ChatFunctionCall.name": {"absent": SENSELESS, "empty": SENSELESS, "unusual": LEGACY},
    "ChatFunctionCall.arguments": {"absent": LEGACY, "empty": LEGACY, "unusual": LEGACY},
    "ChatToolCall": _UNSEEN_FURTHER,
    "ChatToolCall.id": {"empty": SENSELESS, "unusual": UNSEEN},
    "ChatToolCallFunction": _UNSEEN_FURTHER,
    "ChatToolCallFunction.name": {"empty": SENSELESS, "unusual": SENSELESS},
    "ChatToolCallFunction.arguments": {"empty": SENSELESS, "unusual": "other-arguments"},
    "ChatCompletionLogprobs": _UNSEEN_FURTHER,
    "ChatCompletionLogprobs.content": {"absent": UNSEEN, "null": UNSEEN, "empty": UNSEEN},
    "ChatCompletionLogprobs.refusal": {"absent": UNSEEN, "null": USUAL, "empty": UNSEEN},
    "ChatCompletionTokenLogprob": _UNSEEN_FURTHER,
    "ChatCompletionTokenLogprob.token": {"empty": UNSEEN, "unusual": "unusual-text"},
    "ChatCompletionTokenLogprob.bytes": _BYTES,
    "ChatCompletionTokenLogprob.logprob": {"unusual": UNSEEN},
    "ChatCompletionTokenLogprob.top_logprobs": {"empty": USUAL},
    "TopLogprob": _UNSEEN_FURTHER,
    "TopLogprob.token": {"empty": UNSEEN, "unusual": UNSEEN},
    "TopLogprob.bytes": {**_BYTES, "null": "nulls"},
    "TopLogprob.logprob": {"unusual": UNSEEN},
    "CriterionSuccess": _FURTHER,
    "CriterionSuccess.score": {"unusual": "whole-scores"},
    "CriterionSuccess.explanation": {
        "absent": "reward-model",
        "empty": "empty-explanation",
        "unusual": UNSEEN,
    },
    "CriterionSuccess.errorCode": {"absent": USUAL, "unusual": "error-beside-score"},
    "CriterionSuccess.errorMessage": {"absent": USUAL, "empty": "error-beside-score", "unusual": UNSEEN},
    "CriterionError": _UNSEEN_FURTHER,
    "CriterionError.score": {"absent": "errored-criterion", "unusual": "scored-error"},
    "CriterionError.explanation": {
        "absent": "errored-criterion",
        "empty": "scored-error",
        "unusual": UNSEEN,
    },
    "CriterionError.errorCode": {"unusual": UNSEEN},
    "CriterionError.errorMessage": _ERROR_WORDS,
    "ChatCompletionUsage": _UNSEEN_FURTHER,
    "ChatCompletionUsage.prompt_tokens": _TOKENS,
    "ChatCompletionUsage.completion_tokens": _TOKENS,
    "ChatCompletionUsage.total_tokens": _TOKENS,
    "ChatCompletionUsage.prompt_cache_hit_tokens": {"absent": USUAL, "unusual": COUNTS},
    "ChatCompletionUsage.prompt_cache_miss_tokens": {"absent": USUAL, "unusual": COUNTS},
    "ChatCompletionUsage.completion_tokens_details": {"absent": USUAL, "null": "nulls"},
    "ChatCompletionUsage.prompt_tokens_details": {"absent": USUAL, "null": "nulls"},
    "ChatCompletionUsage.criteria": {"absent": USUAL, "empty": UNSEEN},
    "CompletionTokensDetails": _UNSEEN_FURTHER,
    "CompletionTokensDetails.reasoning_tokens": {"absent": UNSEEN, "null": UNSEEN, "unusual": COUNTS},
    "CompletionTokensDetails.audio_tokens": _DETAIL,
    "CompletionTokensDetails.text_tokens": {"absent": UNSEEN, "null": "more-members", "unusual": COUNTS},
    "CompletionTokensDetails.accepted_prediction_tokens": {
        "absent": UNSEEN,
        "null": UNSEEN,
        "unusual": COUNTS,
    },
    "CompletionTokensDetails.rejected_prediction_tokens": _DETAIL,
    "PromptTokensDetails": _UNSEEN_FURTHER,
    "PromptTokensDetails.cached_tokens": {"absent": UNSEEN, "null": UNSEEN, "unusual": COUNTS},
    "PromptTokensDetails.audio_tokens": {"absent": UNSEEN, "null": "more-members", "unusual": COUNTS},
    "CriterionUsage": _UNSEEN_FURTHER,
    "CriterionUsage.total_tokens": _TOKENS,
    "ChatCompletionChunk": _FURTHER,
    "ChatCompletionChunk.id": {"empty": "unnamed", "unusual": UNSEEN},
    "ChatCompletionChunk.created": {"unusual": "unnamed"},
    "ChatCompletionChunk.model": {"empty": "unnamed", "unusual": UNSEEN},
    "ChatCompletionChunk.choices": {"empty": "no-choices"},
    "ChatCompletionChunk.usage": {"absent": USUAL, "null": "nulls"},
    "ChunkChoice": _FURTHER,
    "ChunkChoice.index": {"unusual": "choices-together"},
    "ChunkChoice.logprobs": {"absent": "bare", "null": "no-logprobs"},
    "ChunkChoice.finish_reason": {
        "absent": "bare",
        "null": USUAL,
        "length": "cut-off",
        "function_call": USUAL,
        "tool_calls": USUAL,
        "stop": "stop-beside-calls",
        "content_filter": "content-filter",
    },
    "ChunkDelta": _UNSEEN_FURTHER,
    "ChunkDelta.role": {
        "absent": USUAL,
        "null": "nulls",
        "developer": UNSEEN,
        "system": UNSEEN,
        "user": UNSEEN,
        "assistant": "roles-repeated",
        "tool": UNSEEN,
    },
    "ChunkDelta.content": {
        "absent": "empty-first-delta",
        "null": "nulls",
        "empty": "empty-pieces",
        "unusual": "unusual-text",
    },
    "ChunkDelta.refusal": {"absent": USUAL, "null": USUAL, "empty": UNSEEN, "unusual": "refusal"},
    "ChunkDelta.reasoning_content": {
        "absent": USUAL,
        "null": "nulls",
        "empty": UNSEEN,
        "unusual": "reasoning",
    },
    "ChunkDelta.function_call": _CALLED,
    "ChunkDelta.tool_calls": {**_CALLED, "empty": "empty-calls"},
    "ChunkFunctionCall": _UNSEEN_FURTHER,
    "ChunkFunctionCall.name": {**_LEGACY, "empty": LEGACY},
    "ChunkFunctionCall.arguments": {**_LEGACY, "absent": LEGACY},
    "ChunkToolCall": _UNSEEN_FURTHER,
    "ChunkToolCall.index": {"unusual": "call-from-one"},
    "ChunkToolCall.id": {
        "absent": USUAL,
        "null": "null-in-calls",
        "empty": "empty-in-calls",
        "unusual": "repeated-names",
    },
    "ChunkToolCall.type": {"absent": USUAL, "null": UNSEEN, "function": "repeated-names"},
    "ChunkToolCall.function": {"absent": UNSEEN, "null": UNSEEN},
    "ChunkToolCallFunction": _UNSEEN_FURTHER,
    "ChunkToolCallFunction.name": {
        "absent": USUAL,
        "null": "null-in-calls",
        "empty": "empty-in-calls",
        "unusual": "repeated-names",
    },
    "ChunkToolCallFunction.arguments": {
        "absent": UNSEEN,
        "null": UNSEEN,
        "empty": USUAL,
        "unusual": "whole-calls",
    },
    "Error.message": _ERROR_WORDS,
    "Error.code": _ERROR_WORDS,
    "Error.issues": {"absent": "bare-errors", "empty": UNSEEN},
    "ErrorIssue.message": _ERROR_WORDS,
    "ChatError": _UNSEEN_FURTHER,
    "ChatError.message": _ERROR_WORDS,
    "ChatError.code": _ERROR_WORDS,
    "ChatError.issues": {"absent": "bare-errors", "empty": UNSEEN},
    "ChatError.error": {"absent": "bare-errors"},
    "ChatErrorDetail": _UNSEEN_FURTHER,
    "ChatErrorDetail.message": _ERROR_WORDS,
    "ChatErrorDetail.code": _ERROR_WORDS,
}
"""Member, or a schema for its further members → value → what has it: USUAL, a variant, or a reason."""

FREEDOMS: Mapping[str, Mapping[str, str]] = {
    "streams": {
        "no space behind `data:`": "no-space",
        "several `data:` lines": "several-data-lines",
        "lines that end with CR and LF": "crlf",
        "lines that end with CR": "cr",
        "lines of both kinds": "not shown: no server is known that mixes them",
        "comments": "comments",
        "`id` and `retry` in an event": "event-fields",
        "a name of the event": "event-names",
        "`retry` in a block of its own": "lone-fields",
        "a byte order mark": "byte-order-mark",
        "a byte at a time": "single-bytes",
        "everything in one piece": "one-piece",
        "no `[DONE]`": "no-done",
        "an end without a blank line": "not shown: the standard drops such an event",
        "a chunk of usage beside the finish": "usage-with-finish",
        "no chunk of usage where one is asked for": "no-usage",
        "chunks without choices": "no-choices",
        "several choices in a chunk": "choices-together",
        "a whole choice in a chunk": "all-at-once",
        "text beside the finish_reason": "finish-with-text",
    },
    "headers": {
        "no charset": "no-charset",
        "a charset in plain answers": "charset",
        "the media type in other case": "other-case",
        "names of headers in other case": "not shown: the server beneath writes them in lower case",
        "no length": "chunked",
        "a stream with its length": "not shown: a server would have to know its end at its beginning",
        "compressed by gzip": "compressed",
        "compressed otherwise": "not shown: clients that ask for it bring the library that unpacks it",
        "Retry-After": "too-many-requests",
    },
    "calls": {
        "whole in one delta": "whole-calls",
        "in turns": "interleaved-calls",
        "two calls": "two-calls",
        "a text beside calls": "text-beside-calls",
        "an empty text beside calls": "empty-content",
        "arguments with blanks, escapes and another order": "other-arguments",
        "names in each piece": "repeated-names",
    },
    "endings": {
        "a refusal": "refusal",
        "a text that is cut off": "cut-off",
        "a filter": "content-filter",
        "`stop` beside calls": "stop-beside-calls",
        "a long text": "long-text",
        "no text": "content-filter",
    },
    "time": {
        "a slow first chunk": "slow-start",
        "a slow judge": "slow-judge",
        "busy at first": "too-many-requests",
        "down at first": "unavailable-once",
    },
    "judging": {
        "other order of criteria": "criteria-order",
        "ties": "ties",
        "many decimals": "fine-scores",
        "no decimals": "whole-scores",
        "a failed criterion": "errored-criterion",
    },
    "spelling": {
        "blanks": "spaced-json",
        "escapes": "escaped-json",
        "members in another order": "reversed-json",
        "whole numbers with decimals": "not shown: no server is known to write an index as 0.0",
    },
}
"""Kind → freedom → the variant that shows it, or a reason."""


def member_values(document: Json) -> Iterator[tuple[str, str]]:
    """Walk the schemas of all answers: each member with each kind of value that it may have.

    `absent`, `null`, `empty` and `unusual` are kinds of values, the others values of an enum. A schema that
    allows `further` members comes under its own name.
    """
    seen: set[int] = set()
    for root in ROOTS:
        yield from _values({"$ref": f"#/components/schemas/{root}"}, document, seen)


def _values(schema: Json, document: Json, seen: set[int]) -> Iterator[tuple[str, str]]:
    names = {id(each): name for name, each in document["components"]["schemas"].items()}
    for branch in union(schema, document):
        if id(branch) in seen:
            continue
        seen.add(id(branch))
        name = names.get(id(branch), "")
        if "properties" in branch and branch.get("additionalProperties", True) is not False:
            yield name, "further"
        for member, described in branch.get("properties", {}).items():
            if member not in branch.get("required", ()):
                yield f"{name}.{member}", "absent"
            yield from ((f"{name}.{member}", value) for value in _kinds(described, document))
            yield from _values(described, document, seen)
        for inner in (branch.get("items"), branch.get("additionalProperties")):
            if isinstance(inner, dict):
                yield from _values(inner, document, seen)


def _kinds(schema: Json, document: Json) -> Iterator[str]:
    """The kinds of values that a member may have."""
    for branch in union(schema, document):
        allowed, enum = types(branch), branch.get("enum", ())
        if "null" in allowed:
            yield "null"
        if len(enum) > 1:
            yield from (value for value in enum if value is not None)
        elif not enum and "string" in allowed:
            yield from ("empty", "unusual")
        elif "number" in allowed:
            yield "unusual"
        elif "array" in allowed or ("object" in allowed and "properties" not in branch):
            yield "empty"
