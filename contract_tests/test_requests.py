"""Rules about requests: every branch of both schemas is accepted, every broken constraint refused."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Exchange, Request
from openpipe_mock.payloads.edits import Edit, edits, header_edits
from openpipe_mock.payloads.valid import Positive, positives

from . import invariants
from .builders import (
    NO_LOG,
    OFFICIAL,
    OUTPUT,
    chatting,
    edited,
    judging,
    positive,
    streaming,
    with_headers,
)
from .invariants import crashed, message_suffix
from .merging import Group, Members, find_accepted, groups, is_null, level_of, request_showing
from .planning import REST
from .promises import (
    Builder,
    CaseContext,
    MakeVariants,
    Variant,
    one_case,
    refusal,
    require_answer,
    rule_for,
)
from .run import Run, Unjudged
from .settings import RunSettings
from .test_completions import (
    for_several,
    in_json,
    in_schema,
    in_stream,
    named,
    named_in_stream,
    older,
    required,
    short,
    with_logprobs,
)
from .test_streams import several as several_streamed

TOGETHER, FIRST, SPREAD, REPEATED, LENIENT, TOLD, MEMBERS = 16.0, 30.0, 20.0, 75.0, 75.0, 80.0, 98.0
"""Ranks: merged valid bodies come at TOGETHER, since one request shows many of them.

Valid bodies that can't be merged and the first edit of each kind alternate from FIRST on, over SPREAD. What
chat shares with the judge, and chat's media, come at REPEATED, lenient edits at LENIENT, what chat may take
at TOLD, edits of further members that have to be refused at MEMBERS, others at REST.
"""
KINDS = {"anyOf": "type"}
"""Schema keyword → the kind of rule that it is counted as, where that has another name."""


def slug(name: str) -> str:
    """A case's name within its family."""
    return name.partition(".")[2] or name


def valid(endpoint: str) -> MakeVariants:
    """Every valid body, merged with its group where it has one. Of the others the fullest comes first."""

    def make_variants(settings: RunSettings) -> Iterator[Variant]:
        places = {case.name: place for place in groups(endpoint) for case in place.members}
        every = positives(endpoint)
        if endpoint == "chat":
            yield Variant((request_showing(settings, nulls()),), "nulls", None, "decision", FIRST)
        for number, case in enumerate([every[-1], *every[:-1]]):
            alone, level = (positive(settings, case),), level_of(case)
            if case.name in places:
                group = places[case.name]
                facts, rank = (group, case), opening_of(group)
                yield Variant(alone, slug(case.name), facts, level, rank, group=group.name)
            else:
                rank = start_of(case) + SPREAD * number / len(every)
                yield Variant(alone, slug(case.name), None, level, rank)

    return make_variants


def opening_of(group: Group) -> float:
    """The rank of a group: large groups come early, those with media late, yet before single edits."""
    if group.needs:
        return REPEATED - 3 if group.endpoint == "chat" else FIRST
    return TOGETHER + 1 / len(group.members) + group.number / 1000


def start_of(case: Positive) -> float:
    return REPEATED if case.needs and case.endpoint == "chat" else FIRST


def nulls() -> Members:
    """The group of chat bodies that show null for a top-level member."""
    return next(group.members for group in groups("chat") if all(map(is_null, group.members)))


def in_company(endpoint: str) -> MakeVariants:
    """Each group as one body. No source promises that all members go together."""

    def make_variants(settings: RunSettings) -> Iterator[Variant]:
        for group in groups(endpoint):
            yield Variant((request_showing(settings, group.members),), group.name, group, "decision")

    return make_variants


def accepted(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.exchanges():
        yield from refusal(context, exchange)


def is_accepted(run: Run, ask: Callable[[Request], Exchange], members: Members) -> bool | None:
    """Whether some bodies are accepted as one, None where no answer came. Sent only if not known yet."""
    own = request_showing(run.settings, members)
    exchange = run.known(own) or ask(own)
    if exchange.failure or crashed(exchange):
        return None if exchange.failure else False
    return require_answer(exchange).ok


def blamed(run: Run, members: Members) -> list[Request]:
    """The requests to repeat: the whole, and the smallest one for each check that an answer broke."""
    seen: list[Exchange] = []

    def remembered(some: Members) -> bool | None:
        exchange = run.known(request_showing(run.settings, some))
        seen.extend([exchange] if exchange else [])
        return bool(exchange and exchange.ok)

    list(find_accepted(members, remembered))
    found = {
        finding.check: exchange.request
        for exchange in sorted(seen, key=lambda exchange: -len(exchange.request.body))
        for finding in invariants.broken(exchange)
    }
    return list(dict.fromkeys([request_showing(run.settings, members), *found.values()]))


@rule_for("judge.accepts", in_company("judge"))
@rule_for("chat.accepts", in_company("chat"))
def test_branches_of_a_schema_are_accepted_in_one_body(context: CaseContext) -> Iterator[Finding]:
    """Find the accepted members for their cases. A finding only if all are accepted alone, not merged."""
    run, members = context.run, context.facts.members
    if context.fresh:
        for telling in blamed(run, members):
            context.anew(telling)
    fine = set(find_accepted(members, partial(is_accepted, run, context.ask)))
    whole = run.known(request_showing(run.settings, members))
    if whole is None or whole.ok:
        return
    if fine < set(members):
        refused = ", ".join(case.name for case in members if case not in fine)
        raise Unjudged(f"refused for what is refused alone: {refused}")
    answer = f"{require_answer(whole).status}{message_suffix(whole)}"
    yield context.broken(f"valid requests are accepted alone, and in one answered by {answer}", about=whole)


@rule_for("judge.accepts", valid("judge"))
@rule_for("chat.accepts", valid("chat"))
def test_every_branch_of_a_schema_is_accepted(context: CaseContext) -> Iterator[Finding]:
    """Accepted merged with its group or, where that was refused, alone."""
    if context.case.group:
        group, case = context.facts
        if case in find_accepted(group.members, partial(is_accepted, context.run, context.run.exchange)):
            return
    yield from accepted(context)


def invalid(endpoint: str) -> MakeVariants:
    """Every edit: first one for each pair of component and rule, chosen by the seed, then further members."""

    def make_variants(settings: RunSettings) -> Iterator[Variant]:
        starts: dict[float, int] = {}
        for group in grouped(endpoint):
            start = settings.seed % len(group)
            place = starts[opening(group[0])] = starts.get(opening(group[0]), 0) + 1
            members = set[str]()
            for turn, edit in enumerate(group[start:] + group[:start]):
                if not turn or is_relied_on(edit):
                    rank = opening(edit) + SPREAD * place / MOST_PAIRS
                else:
                    rank = REST + turn if member(edit) in members else rank_of_member(edit, turn)
                members.add(member(edit))
                name = f"{edit.component}.{kind(edit)}"
                yield Variant((edited(settings, edit),), name, edit, edit.level, rank, slug(edit.name))

    return make_variants


def is_relied_on(edit: Edit) -> bool:
    """Whether this refusal counts by itself: of a request without a member that its top needs."""
    return edit.rule == "required" and edit.component in TOPS and edit.level != "decision"


def member(edit: Edit) -> str:
    """The name of the member that breaks the rule."""
    return edit.pointer.rpartition("/")[2]


def rank_of_member(edit: Edit, turn: int) -> float:
    """The rank of the first edit of a further member. What has to be there comes before its type."""
    if edit.lenient or edit.level == "decision":
        return REST + turn
    return MEMBERS + (edit.rule != "required")


@cache
def grouped(endpoint: str) -> list[list[Edit]]:
    """The edits of each pair, lenient ones apart, in the order of the document."""
    groups: dict[tuple[str, str, bool], list[Edit]] = {}
    for edit in (*edits(endpoint), *header_edits()):
        if edit.endpoint == endpoint:
            groups.setdefault((edit.component, kind(edit), edit.lenient), []).append(edit)
    return list(groups.values())


def kind(edit: Edit) -> str:
    return KINDS.get(edit.rule, edit.rule)


TOPS = ("JudgeCriteriaRequest", "JudgeCriteriaInput", "ChatCompletionRequest")
"""Components whose lenient edits come early: they show whether a server is lenient at all."""
MOST_PAIRS = 100


@cache
def shared() -> frozenset[str]:
    """The components of the judge's requests."""
    return frozenset(edit.component for edit in edits("judge"))


def opening(edit: Edit) -> float:
    """The rank from which the first edits of a kind come."""
    if edit.lenient:
        return FIRST if edit.component in TOPS else LENIENT
    if edit.level == "decision" and edit.component not in TOPS and not edit.header:
        return TOLD
    return REPEATED if edit.endpoint == "chat" and edit.component in shared() else FIRST


@rule_for("judge.rejects", invalid("judge"))
@rule_for("chat.rejects", invalid("chat"))
def test_what_breaks_a_schema_is_refused(context: CaseContext) -> Iterator[Finding]:
    edit: Edit = context.facts
    exchange = require_answer(context.ask(context.case.requests[0]))
    if exchange.refused:
        return
    place = f"header {edit.header}" if edit.header else edit.pointer or "its root"
    sentence = f"the request breaks the rule {edit.rule} at {place} and was answered by {exchange.status}."
    if edit.lenient and exchange.ok:
        yield context.lenient(sentence, edit.pointer)
    else:
        yield replace(context.broken(sentence, edit.pointer), level=edit.level)


DUMPED = {
    **OUTPUT,
    "refusal": None,
    "annotations": None,
    "audio": None,
    "function_call": None,
    "tool_calls": None,
}


@rule_for("judge.accepts_dumped_message", one_case(lambda settings: judging(settings, output=DUMPED)))
def test_the_judge_accepts_a_message_as_clients_dump_it(context: CaseContext) -> Iterator[Finding]:
    return accepted(context)


def official(settings: RunSettings) -> Request:
    own = [pair for pair in chatting(settings).headers if pair[0] not in dict(OFFICIAL)]
    return replace(chatting(settings), headers=(*own, *OFFICIAL))


def unlogged(settings: RunSettings) -> Request:
    return with_headers(settings, chatting(settings), NO_LOG)


@rule_for("chat.headers.official", one_case(official), rank=12)
@rule_for("chat.headers.unlogged", one_case(unlogged), rank=12)
def test_the_official_clients_headers_are_taken(context: CaseContext) -> Iterator[Finding]:
    return accepted(context)


def instructed(settings: RunSettings) -> Request:
    return chatting(settings, messages=[{"role": "system", "content": "Tell me the weather in Paris."}])


def stored(settings: RunSettings) -> Request:
    return chatting(settings, store=True, metadata={"prompt_id": "counting"})


@rule_for("chat.system_alone", one_case(instructed), rank=8)
@rule_for("chat.store", one_case(stored), rank=8)
def test_what_the_provider_s_own_examples_send_is_taken(context: CaseContext) -> Iterator[Finding]:
    return accepted(context)


def noted(settings: RunSettings) -> Request:
    """A system message alone with `store` and `metadata`, which is not to be logged."""
    members = {**stored(settings).value(), **instructed(settings).value()}
    return with_headers(settings, chatting(settings, **members), NO_LOG)


def officially_streamed(settings: RunSettings) -> Request:
    return with_headers(settings, streaming(settings), *OFFICIAL)


@rule_for(
    "chat.combined",
    one_case(
        officially_streamed,
        in_stream(noted),
        several_streamed,
        named_in_stream,
        *map(in_stream, (required, older, in_json, in_schema, short, with_logprobs)),
        *map(for_several, (named, in_json)),
    ),
    rank=21,
)
def test_features_of_a_request_go_together(context: CaseContext) -> Iterator[Finding]:
    return accepted(context)


def cached(mode: str) -> Builder:
    return lambda settings: with_headers(settings, chatting(settings), ("op-cache", mode))


@rule_for(
    "chat.headers.cache", one_case(*map(cached, ("readWrite", "readOnly", "writeOnly", "true"))), rank=45
)
def test_each_mode_of_the_cache_is_taken(context: CaseContext) -> Iterator[Finding]:
    for request in context.case.requests:
        exchange = require_answer(context.ask(request))
        if not exchange.ok:
            mode = request.header("op-cache")
            yield context.broken(
                f"op-cache: {mode} was answered by {exchange.status}{message_suffix(exchange)}"
            )
