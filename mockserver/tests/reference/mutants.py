"""Every one-bug server, and every correct one that only the mock's own decisions stand against."""

from functools import cache

from tests.reference import (
    chat_mutants,
    criteria_mutants,
    error_mutants,
    judge_mutants,
    pair_mutants,
    stream_mutants,
    wire_mutants,
)
from tests.reference.http import CHAT, JUDGE, Request
from tests.reference.mutation import (
    CALLING,
    Mutant,
    best_of,
    chatting,
    deviating,
    edited,
    judging,
    streaming,
)
from tests.reference.server import HEADERS

DUMPED = {"role": "assistant", "content": "1, 2", "annotations": None, "audio": None}
TEXT = {**HEADERS, "content-type": "text/plain"}


@cache
def mutants() -> tuple[Mutant, ...]:
    """The one-bug servers; their names are unique."""
    pages = (
        *(judge_mutants, error_mutants, chat_mutants, criteria_mutants),
        *(stream_mutants, wire_mutants, pair_mutants),
    )
    return tuple(mutant for page in pages for mutant in page.mutants())


DEVIANTS: tuple[Mutant, ...] = (
    Mutant(
        "judge-any-content-type",
        "judge.errors.content_type",
        "Text is read as JSON.",
        deviating(any_content_type=True),
        Request("POST", JUDGE, TEXT, judging().body),
    ),
    Mutant(
        "chat-any-content-type",
        "chat.errors.content_type",
        "Text is read as JSON.",
        deviating(any_content_type=True),
        Request("POST", CHAT, TEXT, chatting().body),
    ),
    Mutant(
        "null-is-there",
        "judge.accepts_dumped_message",
        "Null in unknown members is refused.",
        deviating(null_is_absent=False),
        judging(output=DUMPED),
    ),
    Mutant(
        "judge-issues-with-path",
        "judge.error.issues_closed",
        "Issues have a path.",
        deviating(issues="path"),
        edited("judge", "output.missing"),
    ),
    Mutant(
        "chat-issues-with-path",
        "chat.error.issues_closed",
        "Issues have a path.",
        deviating(issues="path"),
        edited("chat", "messages.missing"),
    ),
    Mutant(
        "error-said-once",
        "chat.error.detail",
        "Errors have no `error`.",
        deviating(error_member=False),
        edited("chat", "messages.missing"),
    ),
    Mutant(
        "judge-unstable",
        "judge.same_again",
        "Scores differ from call to call.",
        deviating(unstable=True),
        judging(),
        tries=2,
    ),
    Mutant(
        "chat-unstable",
        "chat.same_again",
        "Texts differ from call to call.",
        deviating(unstable=True),
        chatting(),
        tries=2,
    ),
    Mutant(
        "named-tool-stops",
        "chat.choices.finish",
        "The call of a named tool ends with `stop`.",
        deviating(named_tool_finish="stop"),
        chatting(**CALLING),
    ),
    Mutant(
        "versions-merged",
        "criteria.results.two_versions",
        "Two versions of one criterion share a key.",
        deviating(two_versions="merged"),
        best_of(2, "criterion-1@v1", "criterion-1@v2"),
    ),
    Mutant(
        "streams-criteria",
        "criteria.streamed",
        "Criteria are ignored in a stream.",
        deviating(criteria_in_stream="ignored"),
        best_of(2, stream=True),
    ),
    Mutant(
        "streams-with-cache",
        "chat.cache.streamed",
        "op-cache is ignored in a stream.",
        deviating(cache_in_stream="answered"),
        chatting({"op-cache": "readWrite"}, stream=True),
    ),
    Mutant(
        "any-criterion",
        "judge.errors.unknown_criterion",
        "Every criterion exists.",
        deviating(closed=False),
        judging(criterion_id="nobody-knows-this"),
    ),
    Mutant(
        "any-version",
        "judge.errors.unknown_version",
        "Every version exists.",
        deviating(closed=False),
        judging(criterion_id="criterion-1@v9999"),
    ),
    Mutant(
        "any-model",
        "chat.errors.unknown_model",
        "Every model exists.",
        deviating(closed=False),
        chatting(model="nobody-knows-this"),
    ),
    Mutant(
        "any-criterion-of-a-choice",
        "criteria.unknown",
        "Every criterion exists.",
        deviating(closed=False),
        best_of(2, "nobody-knows-this"),
    ),
    Mutant(
        "any-cache-mode",
        "chat.rejects.OpCache.enum",
        "An unheard-of op-cache is ignored.",
        deviating(odd_headers="ignored"),
        chatting({"op-cache": "sometimes"}),
    ),
    Mutant(
        "role-again-and-again",
        "chat.stream.role",
        "Each piece has the role.",
        deviating(role="every"),
        streaming(),
    ),
    Mutant(
        "counts-no-stream",
        "chat.stream.usage",
        "`include_usage` is not honoured.",
        deviating(counts_stream=False),
        streaming(stream_options={"include_usage": True}),
    ),
)
"""Correct servers that the suite tells of all the same: at level `decision` or `source`, or as lenient."""
