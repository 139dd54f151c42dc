"""What has to be accepted, and what refused: every branch and every constraint of both schemas."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial

from openpipe_mock.contract.checks import Finding
from openpipe_mock.contract.probe import Exchange, Request
from openpipe_mock.payloads.edits import Edit, edits, header_edits
from openpipe_mock.payloads.valid import Positive, positives

from . import invariants
from .builders import OUTPUT, chatting, edited, judging, positive
from .invariants import told
from .merging import Group, Members, groups, is_null, level_of, showing, taken
from .planning import REST
from .promises import Scene, Sends, Variant, answered, one, promise
from .run import Run, Unjudged
from .settings import Aim

TOGETHER, FIRST, SPREAD, REPEATED, LENIENT = 16.0, 30.0, 20.0, 75.0, 100.0
"""Ranks: valid bodies in company come at TOGETHER, as one request shows many of them.

What can't be in company and what is refused take turns from FIRST on, over SPREAD. What chat shares with the
judge and chat's media come at REPEATED; what no server is failed for at LENIENT; further edits of a kind that
was tried come at REST.
"""
KINDS = {"anyOf": "type"}
"""Schema keyword → the kind of rule, where several keywords forbid the same."""


def slug(name: str) -> str:
    """A case's name within its family."""
    return name.partition(".")[2] or name


def valid(endpoint: str) -> Sends:
    """Every branch, in the company of its group where it has one; the fullest body first of the others."""

    def sends(aim: Aim) -> Iterator[Variant]:
        places = {case.name: place for place in groups(endpoint) for case in place.members}
        every = positives(endpoint)
        if endpoint == "chat":
            yield Variant((showing(aim, nulls()),), "nulls", None, "sdk", FIRST)
        for number, case in enumerate([every[-1], *every[:-1]]):
            alone, level = (positive(aim, case),), level_of(case)
            if case.name in places:
                group = places[case.name]
                facts, rank = (group, case), opening_of(group)
                yield Variant(alone, slug(case.name), facts, level, rank, group=group.name)
            else:
                rank = start_of(case) + SPREAD * number / len(every)
                yield Variant(alone, slug(case.name), None, level, rank)

    return sends


def opening_of(group: Group) -> float:
    """The rank of a group: the fuller, the earlier; what takes eyes and ears comes late."""
    if group.needs:
        return REPEATED if group.endpoint == "chat" else FIRST
    return TOGETHER + 1 / len(group.members) + group.number / 1000


def start_of(case: Positive) -> float:
    return REPEATED if case.needs and case.endpoint == "chat" else FIRST


def nulls() -> Members:
    """The members of a chat body that may be null, together."""
    return next(group.members for group in groups("chat") if all(map(is_null, group.members)))


def in_company(endpoint: str) -> Sends:
    """Each group in one body. That all of it goes together is promised nowhere."""

    def sends(aim: Aim) -> Iterator[Variant]:
        for group in groups(endpoint):
            yield Variant((showing(aim, group.members),), group.name, group, "decision")

    return sends


def accepted(scene: Scene) -> Iterator[Finding]:
    (exchange,) = scene.exchanges()
    if not exchange.ok:
        yield scene.broken(f"a valid request was answered by {exchange.status}{told(exchange)}")


def accepted_somehow(scene: Scene) -> Iterator[Finding]:
    """Accepted in company or, where that was refused, alone."""
    if scene.case.group:
        group, case = scene.facts
        if case in taken(group.members, partial(asked, scene.run, scene.run.exchange)):
            return
    yield from accepted(scene)


def asked(run: Run, ask: Callable[[Request], Exchange], members: Members) -> bool | None:
    """Whether bodies are accepted as one, None where no answer came; asked for when nobody knows yet."""
    own = showing(run.aim, members)
    exchange = run.known(own) or ask(own)
    return None if exchange.failure else answered(exchange).ok


def accepted_together(scene: Scene) -> Iterator[Finding]:
    """Find those that are accepted, so that their cases know. Broken only if nothing less is to blame."""
    run, members = scene.run, scene.facts.members
    if scene.fresh:
        for telling in blamed(run, members):
            scene.anew(telling)
    fine = set(taken(members, partial(asked, run, scene.ask)))
    whole = run.known(showing(run.aim, members))
    if whole is None or whole.ok:
        return
    if fine < set(members):
        refused = ", ".join(case.name for case in members if case not in fine)
        raise Unjudged(f"refused for what is refused alone: {refused}")
    told_of = whole.failure or f"{whole.status}{told(whole)}"
    yield scene.broken(f"valid requests are accepted alone, and in one answered by {told_of}", about=whole)


def blamed(run: Run, members: Members) -> list[Request]:
    """The whole, and the smallest request for each check that an answer broke on its own."""
    seen: list[Exchange] = []

    def remembered(some: Members) -> bool | None:
        exchange = run.known(showing(run.aim, some))
        seen.extend([exchange] if exchange else [])
        return bool(exchange and exchange.ok)

    list(taken(members, remembered))
    found = {
        finding.check: exchange.request
        for exchange in sorted(seen, key=lambda exchange: -len(exchange.request.body))
        for finding in invariants.broken(exchange)
    }
    return list(dict.fromkeys([showing(run.aim, members), *found.values()]))


@promise("judge.accepts", in_company("judge"))
def test_the_judge_accepts_branches_of_its_schema_in_one_body(scene: Scene) -> Iterator[Finding]:
    return accepted_together(scene)


@promise("chat.accepts", in_company("chat"))
def test_chat_accepts_branches_of_its_schema_in_one_body(scene: Scene) -> Iterator[Finding]:
    return accepted_together(scene)


@promise("judge.accepts", valid("judge"))
def test_the_judge_accepts_every_branch_of_its_schema(scene: Scene) -> Iterator[Finding]:
    return accepted_somehow(scene)


@promise("chat.accepts", valid("chat"))
def test_chat_accepts_every_branch_of_its_schema(scene: Scene) -> Iterator[Finding]:
    return accepted_somehow(scene)


def invalid(endpoint: str) -> Sends:
    """Every edit: first one for each pair of component and rule, the others in rotation by the seed."""

    def sends(aim: Aim) -> Iterator[Variant]:
        starts: dict[float, int] = {}
        for group in grouped(endpoint):
            start = aim.seed % len(group)
            place = starts[opening(group[0])] = starts.get(opening(group[0]), 0) + 1
            for turn, edit in enumerate(group[start:] + group[:start]):
                rank = REST + turn if turn else opening(edit) + SPREAD * place / MOST_PAIRS
                name = f"{edit.component}.{kind(edit)}"
                yield Variant((edited(aim, edit),), name, edit, edit.level, rank, slug(edit.name))

    return sends


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
"""Components at which it shows whether a server is lenient at all."""
MOST_PAIRS = 100


@cache
def shared() -> frozenset[str]:
    """The components of the judge's requests."""
    return frozenset(edit.component for edit in edits("judge"))


def opening(edit: Edit) -> float:
    """The rank at which the first edit of a kind begins."""
    if edit.lenient:
        return FIRST if edit.component in TOPS else LENIENT
    return REPEATED if edit.endpoint == "chat" and edit.component in shared() else FIRST


def refused(scene: Scene) -> Iterator[Finding]:
    edit: Edit = scene.facts
    exchange = answered(scene.ask(scene.case.requests[0]))
    if exchange.refused:
        return
    place = f"header {edit.header}" if edit.header else edit.pointer or "its root"
    sentence = f"the request breaks the rule {edit.rule} at {place} and was answered by {exchange.status}."
    if edit.lenient and exchange.ok:
        yield scene.lenient(sentence, edit.pointer)
    else:
        yield replace(scene.broken(sentence, edit.pointer), level=edit.level)


@promise("judge.rejects", invalid("judge"))
def test_the_judge_refuses_what_breaks_its_schema(scene: Scene) -> Iterator[Finding]:
    return refused(scene)


@promise("chat.rejects", invalid("chat"))
def test_chat_refuses_what_breaks_its_schema(scene: Scene) -> Iterator[Finding]:
    return refused(scene)


DUMPED = {
    **OUTPUT,
    "refusal": None,
    "annotations": None,
    "audio": None,
    "function_call": None,
    "tool_calls": None,
}


@promise("judge.accepts_dumped_message", one(lambda aim: judging(aim, output=DUMPED)))
def test_the_judge_accepts_a_message_as_clients_dump_it(scene: Scene) -> Iterator[Finding]:
    return accepted(scene)


OFFICIAL = (
    ("op-log-request", "true"),
    ("op-tags", '{"prompt_id":"counting","$sdk":"python","$sdk.version":"5.0.0"}'),
    ("op-cache", "false"),
    ("x-fern-language", "Python"),
    ("x-stainless-lang", "python"),
    ("x-stainless-retry-count", "0"),
    ("user-agent", "OpenAI/Python 1.97.1"),
)


def with_headers(*headers: tuple[str, str]) -> Sends:
    def sends(aim: Aim) -> list[Variant]:
        plain = chatting(aim)
        own = [pair for pair in plain.headers if pair[0] not in dict(headers)]
        return [Variant((replace(plain, headers=(*own, *headers)),))]

    return sends


@promise("chat.headers.official", with_headers(*OFFICIAL), rank=12)
def test_the_official_clients_headers_are_taken(scene: Scene) -> Iterator[Finding]:
    return accepted(scene)


def cache_modes(aim: Aim) -> list[Variant]:
    every = [with_headers(("op-cache", mode)) for mode in ("readWrite", "readOnly")]
    return [Variant(tuple(next(iter(sends(aim))).requests[0] for sends in every))]


@promise("chat.headers.cache", cache_modes, rank=45)
def test_each_mode_of_the_cache_is_taken(scene: Scene) -> Iterator[Finding]:
    for request in scene.case.requests:
        exchange = answered(scene.ask(request))
        if not exchange.ok:
            mode = request.header("op-cache")
            yield scene.broken(f"op-cache: {mode} was answered by {exchange.status}{told(exchange)}")
