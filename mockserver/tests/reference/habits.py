"""What a correct server may do this way or that way: one knob for every point that nobody decides."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Habits:
    """The habits of one correct server. The defaults are the choices in docs/decisions.md.

    A knob is a Literal whose values are all correct, a bool, or a number of which 0 (or None) means never.
    """

    # Scores and sorting
    combined: Literal["mean", "sum", "product", "least"] = "mean"
    errored: Literal["zero", "score", "left-out"] = "zero"
    """What an errored result counts for: nothing, its own score, or not at all."""
    failing: int = 0
    """Of about how many judgements of a choice one fails; the judge endpoint tries again and succeeds."""
    failed_score: bool = False
    """Whether an errored result carries a score."""
    index: Literal["renumbered", "kept"] = "renumbered"
    two_versions: Literal["versioned", "as-asked", "merged"] = "versioned"
    """The keys of two versions of one criterion: both with version, as the header has them, or only one."""
    binary: bool = False
    """Scores are 0 or 1, so many are equal."""
    explanation: bool = True
    reward: bool = False
    """Criteria are reward models: they report tokens and explain nothing."""

    # What exists
    unknown_criterion: Literal["fails", "result"] = "fails"
    """What an unknown id in op-criteria makes of the request: an error, or an errored result."""
    closed: bool = True
    """Only the declared criteria, versions and models exist; else every one does."""
    keys: Literal["known", "any"] = "known"
    """Which keys are taken. Without any key nobody is let in, as the documentation asks for one."""
    key_first: bool = True
    """The key is looked at before the body."""

    # What is accepted
    unknown: Literal["refused", "stripped"] = "refused"
    coerces: bool = False
    """Top-level strings, numbers and booleans are turned into each other."""
    null_is_absent: bool = True
    """An optional or unknown member that is null is taken for absent, where the schema refuses null."""
    bounds_n: bool = True
    any_content_type: bool = False
    chat_takes_null: bool = True
    """Null for an optional member of a chat request is taken; else it has to be left out."""
    odd_headers: Literal["refused", "ignored"] = "refused"
    """What becomes of op-cache, op-log-request and op-tags that say something unheard-of."""
    most_bytes: int | None = None

    # Statuses and error bodies
    invalid: Literal[400, 422] = 400
    wrong_method: Literal[404, 405] = 405
    head: Literal["refused", "204"] = "refused"
    not_found: Literal[400, 404] = 404
    """The status of an unknown criterion or model."""
    wrong_key: Literal[401, 403] = 401
    issues: Literal["message", "path", "none"] = "message"
    """What an issue says: a message, a message and a path, or there are none at all."""
    error_member: bool = True
    """Chat errors carry `error` for OpenAI's clients too."""

    # Completions
    usage: bool = True
    extras: bool = False
    """Optional members that no type names: system_fingerprint, service_tier, annotations."""
    nulls: bool = True
    """What is empty is null; else it is left out."""
    named_tool_finish: Literal["tool_calls", "stop"] = "tool_calls"
    eager_tools: bool = False
    """A tool that is offered is called unasked."""
    snapshot: bool = False
    """The answer names a snapshot of the model that was asked for."""
    unasked: bool = False
    """Choices are judged by some criterion also where nobody asks."""
    unstable: bool = False
    """A model behind the server: other texts and scores on each call."""
    charset: bool = False
    """JSON answers name a charset."""

    # Streams
    done: bool = True
    crlf: bool = False
    comments: bool = False
    tight: bool = False
    """`data:` without the space."""
    writes: Literal["event", "all", "bytes"] = "event"
    """What one write to the socket holds: an event, the whole stream, or a few bytes."""
    role: Literal["first", "every"] = "first"
    interleaved: bool = True
    finish_beside_text: bool = False
    """The last piece of text carries the finish reason; else a delta of its own does."""
    counts_stream: bool = True
    """`include_usage` is honoured."""
    criteria_in_stream: Literal["refused", "ignored", "sorted"] = "refused"
    """`sorted`: the answer is made and sorted first, then streamed."""
    cache_in_stream: Literal["refused", "answered"] = "refused"

    # Load
    busy_every: int = 0
    """Every how many-th request is answered 429."""
    warming: int = 0
    """How many requests at the start are answered 503."""
    retry_after: Literal["seconds", "date"] = "seconds"
