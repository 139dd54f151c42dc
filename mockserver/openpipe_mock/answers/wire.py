"""Writes completions as they are sent: as a plain answer or as server-sent events."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, zip_longest
from typing import Any

import orjson

from openpipe_mock.answers.chat import Choice, Completion, ToolCall
from openpipe_mock.answers.events import DONE
from openpipe_mock.answers.ranking import Ranked, criteria_usage, results
from openpipe_mock.answers.texts import OPENERS

Json = dict[str, Any]

_NOTHING: Mapping[str, Any] = {}


def whole_answer(completion: Completion, ranking: Sequence[Ranked] = (), *, counted: bool = True) -> Json:
    """Return the plain answer. With a ranking its choices stand in that order and have `criteria_results`.

    `counted`: whether it has `usage`.
    """
    spent = criteria_usage(ranking)
    judged = {"criteria": spent} if spent else {}
    order = [(ranked.made, {"criteria_results": results(ranked)}) for ranked in ranking]
    order = order or [(made, {}) for made in range(len(completion.choices))]
    choices = [
        {**_choice_body(completion, completion.choices[made], index), **further}
        for index, (made, further) in enumerate(order)
    ]
    usage = {"usage": {**completion.usage(), **judged}} if counted else {}
    return {**_head(completion, "chat.completion"), "choices": choices, **usage}


def _head(completion: Completion, kind: str) -> Json:
    return {"id": completion.id, "object": kind, "created": completion.created, "model": completion.model}


def _choice_body(completion: Completion, choice: Choice, index: int) -> Json:
    return {
        "finish_reason": choice.finish_reason,
        "index": index,
        "message": choice.thoughtful_message(),
        "logprobs": _logprobs(choice, completion.alternatives),
        **_filtered(choice),
    }


def _filtered(choice: Choice) -> Json:
    return {} if choice.filtered is None else {"content_filter_results": choice.filtered}


def _logprobs(choice: Choice, alternatives: int | None) -> Json | None:
    """The `logprobs` of a choice: the scripted ones, else made-up ones of its text and refusal.

    None where the request asked for none, and where there is no text.
    """
    if choice.logprobs:
        return choice.logprobs[0]
    if alternatives is None or (choice.text is None and choice.refusal is None):
        return None
    members = {"content": choice.text, "refusal": choice.refusal}
    return {name: _listed(pieces, alternatives) for name, pieces in members.items()}


def _listed(pieces: Sequence[str] | None, alternatives: int) -> list[Json] | None:
    return None if pieces is None else [token_logprob(piece, alternatives) for piece in pieces]


@lru_cache(maxsize=4096)
def token_logprob(token: str, alternatives: int) -> Json:
    """Return a made-up log probability that depends on the token alone.

    `alternatives`: how many tokens `top_logprobs` lists; the token itself is the likeliest of them.
    """
    dice = blake2b(token.encode(), digest_size=2).digest()
    best = _entry(token, -(dice[0] + 1) / 1000)
    others = (OPENERS[(dice[1] + rank) % len(OPENERS)] for rank in range(alternatives))
    rivals = [
        _entry(other, best["logprob"] - 1 - rank) for rank, other in enumerate(others) if other != token
    ]
    return {**best, "top_logprobs": [best, *rivals][:alternatives]}


def _entry(token: str, logprob: float) -> Json:
    return {"token": token, "bytes": list(token.encode()), "logprob": round(logprob, 4)}


def chunk_events(completion: Completion, include_usage: bool) -> Iterator[bytes]:
    """Yield the answer as server-sent events: the roles, the choices' tokens in turn, the finish reasons.

    Joined they give exactly the plain answer. With `include_usage` the last chunk counts the tokens.
    """
    # What all chunks share is dumped once. This, `_parts_of` and 32 chunks a turn took the application's part
    # in a stream of 200 chunks from 1310 µs to 350 (docs/performance.md).
    opening = orjson.dumps(_head(completion, "chat.completion.chunk"))[:-1]
    before, behind = b'data: %b,"choices":[' % opening, b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
    parts = [_parts_of(completion, *each) for each in enumerate(completion.choices)]
    for turn in zip_longest(*parts):
        for part in turn:
            if part is not None:
                yield before + part + behind
    if include_usage:
        yield b'%b],"usage":%b}\n\n' % (before, orjson.dumps(completion.usage()))
    yield DONE


def _parts_of(completion: Completion, index: int, choice: Choice) -> Iterator[bytes]:
    """The entries in `choices` of one choice's chunks, as JSON texts, in order."""
    first: Json = {
        "role": "assistant",
        "content": None if choice.text is None else "",
        "refusal": None if choice.refusal is None else "",
        **({} if choice.reasoning is None else {"reasoning_content": ""}),
    }
    # The official clients take a choice's first call from its first chunk alone, and append to the newest.
    calling = chain.from_iterable(_call_deltas(call, number) for number, call in enumerate(choice.calls))
    begins = choice.calls_first and not choice.reasoning
    yield _chunk_choice(index, {**first, **(next(calling, {}) if begins else {})})
    yield from _text_parts(index, "reasoning_content", choice.reasoning or ())
    for delta in calling if choice.calls_first else ():
        yield _chunk_choice(index, delta)
    likely = _logprobs(choice, completion.alternatives)
    for member, pieces in (("content", choice.text), ("refusal", choice.refusal)):
        yield from _text_parts(index, member, pieces or (), likely)
    for delta in calling:
        yield _chunk_choice(index, delta)
    unsaid = _unsaid_logprobs(choice, likely)
    yield _chunk_choice(index, {}, unsaid, choice.finish_reason, _filtered(choice))


def _text_parts(
    index: int, member: str, pieces: Sequence[str], likely: Json | None = None
) -> Iterator[bytes]:
    """The chunks of a text, each with the log probability of its token."""
    entries = likely.get(member) if likely else None
    if not likely or not entries:  # one text for all tokens, dumped once and split where they go
        before, behind = _chunk_choice(index, {member: ""}).split(b'""')
        for piece in pieces:
            yield before + orjson.dumps(piece) + behind
        return
    for number, piece in enumerate(pieces):
        entry = entries[number : number + 1]
        yield _chunk_choice(
            index, {member: piece}, {**dict.fromkeys(likely), member: entry} if entry else None
        )


def _unsaid_logprobs(choice: Choice, likely: Json | None) -> Json | None:
    """The log probabilities that no chunk of a text has had; an empty list where a text has no tokens."""
    if likely is None:
        return None
    said = {"content": choice.text, "refusal": choice.refusal}
    left = {name: entries and entries[len(said[name] or ()) :] for name, entries in likely.items()}
    sent = any(likely[name] and said[name] for name in likely)
    return None if sent and not any(left.values()) else left


def _call_deltas(call: ToolCall, number: int) -> Iterator[Json]:
    """The deltas of a call: its name and id, then its arguments token by token."""
    yield _call_delta(call, number, {"name": call.name, "arguments": ""}, {"id": call.id, "type": "function"})
    for piece in call.arguments:
        yield _call_delta(call, number, {"arguments": piece})


def _call_delta(call: ToolCall, number: int, function: Json, named: Json | None = None) -> Json:
    if call.legacy:
        return {"function_call": function}
    return {"tool_calls": [{"index": number, **(named or {}), "function": function}]}


def _chunk_choice(
    index: int,
    delta: Json,
    logprobs: Json | None = None,
    finish_reason: str | None = None,
    further: Mapping[str, Any] = _NOTHING,
) -> bytes:
    chunk = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
    return orjson.dumps({**chunk, **further})
