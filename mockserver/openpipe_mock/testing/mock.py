"""`Mock`, by which a test says what is answered and asserts what was asked.

    mock.criterion("helpful").by_output({"1, 2, 3.": 1.0})
    mock.completion(choices=["no", "1, 2, 3."], when={"last_user": {"contains": "Count"}})
    mock.fault(status=429, retry_after=1, first=1)
    ...
    mock.judged("helpful", output="1, 2, 3.", times=1)
    mock.assert_contract_kept()

Options have the names of the config file (docs/config.md), and the same messages about mistakes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Literal, NoReturn, TypedDict, TypeVar, Unpack

import orjson

import openpipe_mock
from openpipe_mock.answers.functions import Function, Made, dotted_name
from openpipe_mock.answers.scorers import ByFunction, Form
from openpipe_mock.answers.scripts import Script
from openpipe_mock.config import file as configfile
from openpipe_mock.config.file import Mistakes
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import Control
from openpipe_mock.control.changes import add_rules, reset_criterion, set_criterion, set_limits
from openpipe_mock.core.effects import Effects, Head, Reply
from openpipe_mock.core.errors import ApiError
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import did_you_mean, listed, printable_lines, quoted
from openpipe_mock.faults.variants import variant_named
from openpipe_mock.openapi.endpoints import SESSION
from openpipe_mock.service.fast_lane import FastLane
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.sessions.memory import Session
from openpipe_mock.testing.calls import (
    MOST_SHOWN,
    Call,
    Calls,
    Everything,
    breach_lines,
    call_differences,
    call_from_entry,
    not_none,
    several_criteria,
    unmet,
    violation_pointer,
)
from openpipe_mock.testing.clients import CLIENT_NAMES
from openpipe_mock.testing.conduct import CONDUCT_RULES, Lapse, lapses, observed
from openpipe_mock.testing.jsonable import as_json
from openpipe_mock.testing.toolcalls import CalledTool, called_tools, tool_differences, tools_unmet
from openpipe_mock.testing.usage import Setup, Unused, unused
from openpipe_mock.testing.virtual import TURN, VirtualClock

Json = Any
_Value = TypeVar("_Value")
Config = str | PathLike[str] | Mapping[str, Any] | None
"""A config file's path, or its content as an object."""


class _Text(TypedDict, total=False):
    """Conditions on a text, which must all hold. `matches`: an RE2 expression."""

    equals: str
    contains: str
    matches: str


_Test = str | _Text
"""The text that is expected, or conditions on it."""


class Conditions(TypedDict, total=False):
    """The conditions on a request, as in the config file, which must all hold."""

    endpoint: str
    model: str
    last_user: _Test
    last_message: _Test
    last_result: _Test
    last_tool: _Test
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    system: _Test
    messages: Mapping[str, _Test]
    output: _Test
    tool: _Test
    criterion: _Test
    header: Mapping[str, _Test]
    metadata: Mapping[str, _Test]


_Milliseconds = float | Mapping[str, Sequence[float]]
"""A number, or `{"uniform": [200, 900]}`: drawn by the seed."""


class ScriptOptions(TypedDict, total=False):
    """Further members of a scripted answer, as in the config file."""

    template: str | None
    reasoning_content: str | None
    logprobs: Mapping[str, Any] | None
    content_filter_results: Mapping[str, Any] | None
    usage: Mapping[str, Any] | None
    id: str | None
    created: int | None
    model: str | None
    stream: str | Sequence[Any] | None
    headers: Mapping[str, str | float] | None
    delay_ms: _Milliseconds | None
    pace: Mapping[str, _Milliseconds | None] | None
    call: int | None
    every: int | None
    first: int | None
    sequence: Sequence[str | Mapping[str, Any]] | None
    then: Literal["repeat", "last", "fail"] | None
    turns: Sequence[str | Mapping[str, Any]] | None


class FaultOptions(TypedDict, total=False):
    """A fault, as in the config file: which requests it strikes, and what goes wrong with them."""

    when: Conditions | None
    name: str | None
    call: int | None
    every: int | None
    first: int | None
    share: float | None
    status: int | None
    message: str | None
    code: str | None
    body: Json
    retry_after: float | str | None
    headers: Mapping[str, str | float] | None
    delay_ms: _Milliseconds | None
    drip: Mapping[str, _Milliseconds] | None
    timeout: bool | None
    disconnect: bool | None
    after_events: int | None
    after_bytes: int | None
    malformed: bool | None
    truncated: bool | None
    empty: bool | None
    content_type: str | None
    error_event: bool | str | None
    endless: bool | None
    raw: Json


_BESIDE_FUNCTION = ("when", "name", "call", "every", "first")
"""Options of a completion that may stand beside a function."""
_Score = float | Mapping[str, Any]
"""A number, or a form of the config file such as `{"error": {"status": 503}}`."""


class MockError(ValueError):
    """An option or value is invalid; the message says which, and what is expected."""


_DEFAULTS = Settings()


def settings_of(config: Config, overrides: Mapping[str, Any]) -> Settings:
    """Settings from a config file or its content, beaten by `overrides` (`config/settings.Overrides`).

    Raises ConfigError and Mistakes for settings that are wrong, ValueError for an unknown variant.
    """
    if config is None and not overrides:
        return _DEFAULTS  # most mocks have these, and new ones cost a test 170 µs
    written = {name: value for name, value in overrides.items() if name != "variant"}
    beating = configfile.settings(orjson.loads(as_json(written)))
    if "variant" in overrides:
        beating = replace(beating, variant=variant_named(overrides["variant"]).name)
    if isinstance(config, Mapping | None):
        found = configfile.settings(orjson.loads(as_json(dict(config or {}))))
    elif isinstance(config, str | PathLike):
        found = configfile.load_settings(config)
    else:
        raise MockError(f"config: expected a file's path, or its content as an object, got {config!r}.")
    return replace(found, **{name: getattr(beating, name) for name in overrides})


@dataclass(frozen=True, slots=True)
class _CriterionScript:
    """Says how a criterion judges. Each method replaces what was said before. Scores are from 0 to 1."""

    mock: "Mock"
    id: str

    def score(self, score: float, *, explanation: str | None = None, **further: Any) -> None:
        """Judge everything with this score. `further`: `usage`, `flip_share`."""
        self.form({"score": score, **not_none(explanation=explanation), **further})

    def by_output(self, scores: Mapping[str, _Score], *, otherwise: _Score | None = None) -> None:
        """Judge by the text of the output. Other texts get `otherwise`, or a score drawn by content."""
        self.form({"by_output": dict(scores), **not_none(otherwise=otherwise)})

    def sequence(
        self, scores: Sequence[_Score], *, then: Literal["repeat", "last", "fail"] = "repeat"
    ) -> None:
        """Give these scores one after the other; then again (`repeat`), the last for good (`last`), or 404.

        404 is what `fail` gives: one judgement too many.
        """
        self.form({"sequence": list(scores), "then": then})

    def rules(self, rules: Sequence[Mapping[str, Any]], *, otherwise: _Score | None = None) -> None:
        """Judge by the first rule whose `when` holds: `[{"when": {"output": …}, "score": 0}, …]`."""
        self.form({"rules": list(rules), **not_none(otherwise=otherwise)})

    def length(self, *, best: int, worst: int) -> None:
        """Judge by the output's length: 1 up to `best` characters, 0 from `worst` on, linear between."""
        self.form({"length": {"best": best, "worst": worst}})

    def uniform(self, low: float = 0.0, high: float = 1.0, **further: Any) -> None:
        """Draw scores by content, evenly from `low` to `high`. `further`: `usage`, `decimals`, …"""
        self.form({"uniform": [low, high], **further})

    def near(self, score: float, *, within: float = 0.05) -> None:
        """Draw scores by content, at most `within` away from `score`."""
        self.form({"near": score, "within": within})

    def passes(self, share: float = 1.0) -> None:
        """Give 1 to this share of contents, 0 to the others."""
        self.form({"pass_rate": share})

    def fails(self, *, status: int = 500, message: str | None = None) -> None:
        """Answer with an error in place of each judgement."""
        self.form({"error": {"status": status, **not_none(message=message)}})

    def raw(self, value: Json) -> None:
        """Answer with this JSON as the judgement, which may break the contract."""
        self.form({"raw": value})

    def form(self, form: Mapping[str, Any]) -> None:
        """Judge by any form of the config file; with keys `v1`, `v2`, … set all versions."""
        base = self.mock.service.settings
        self.mock._change(lambda opened, plain: set_criterion(opened, base, self.id, plain), form)

    def by(self, function: Callable[..., Any]) -> None:
        """Judge by a function of the judged input and output, sync or async.

        It returns a score, or a form of the config file such as `{"score": 1, "explanation": "Fine."}`.
        Exceptions that it raises reach the client. In process alone.
        """
        label = f"mock.criterion({quoted(self.id)}).by("
        made = self.mock._function(function, label, configfile.parse_form)
        base, form = self.mock.service.settings, Form(ByFunction(made))
        self.mock._change(lambda opened, _: set_criterion(opened, base, self.id, form))

    def reset(self) -> None:
        """Judge as the config file says again."""
        base = self.mock.service.settings
        self.mock._change(lambda opened, _: reset_criterion(opened(), base, self.id))


class Mock:
    """One session of a mock, as a test uses it.

    `base_url`: where clients find it. `clock`: its virtual time in seconds, in process. `overrides`: settings
    that beat every config file. `real_time`: whether its clock goes on while a client waits.
    """

    real_time = False

    def __init__(
        self,
        service: Service,
        session: Session | None = None,
        *,
        base_url: str = "",
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.service = service
        self.session = session or service.sessions.default
        self.session.in_test = True
        self.session.new_journal = Everything
        self.session.journal = Everything()
        self.base_url = base_url
        self.clock = VirtualClock()
        self.fast_lane = FastLane(service)
        self.overrides = overrides or {}
        self.initial = self.session.own
        self.expected: set[str] = set()

    def __repr__(self) -> str:
        return f"<Mock {self.base_url} session {self.session.name}, {self.session.journal.kept} calls>"

    # How it is reached; `live.LiveMock` overrides these.

    @property
    def way_here(self) -> str:
        """How a client's requests come here, for a message."""
        named = f"to {self.base_url} or to what OPENPIPE_BASE_URL or OPENAI_BASE_URL names"
        return f"{named}, and by {CLIENT_NAMES} without a transport of its own"

    def now(self) -> float:
        """Seconds on the clock of `Head.at`."""
        return self.clock.now

    def at_once(self, action: Callable[[], _Value]) -> _Value:
        """Run an action while no request goes on, and return its result."""
        with TURN:
            return action()

    def settle(self) -> None:
        """Wait until requests are over whose clients have their answers; in process they always are."""

    def answer(self, head: Head, body: bytes) -> Reply | Effects:
        """Answer one request to the API or the control API.

        Returns a reply, or an exchange where time has to pass, which the caller has to begin at once.
        """
        with TURN:
            if head.path.startswith("/_mock/") and not SESSION.fullmatch(head.path):
                return Control(self.service).exchange(head)
            return self.fast_lane.answer(head, body, self.now)

    def _change(self, action: Callable[[Callable[[], Session], Json], object], value: Json = None) -> None:
        """Change the session by a function of `control.changes`, given a copy of a value in JSON's types.

        Raises MockError for a mistake.
        """

        def opened() -> Session:
            return self.service.sessions.open(self.session.name, self.now())

        try:
            plain = _plain(value)
            self.at_once(lambda: action(opened, plain))
        except (Mistakes, ApiError) as error:
            told = error.issues or [error.message] if isinstance(error, ApiError) else [str(error)]
            raise MockError("\n".join(told)) from None

    def _add(self, kind: str, rule: Mapping[str, Any], function: Function[Script] | None = None) -> None:
        """Put a rule before those that are there. `kind`: `completions` or `faults`."""
        self._change(lambda opened, plain: add_rules(opened, kind, plain, function), rule)

    def _function(
        self, function: Callable[..., Any], label: str, parse: Callable[..., Made]
    ) -> Function[Made]:
        """A test's function. `label`: the call that takes it, up to its name. `parse`: reads what it returns.

        Raises MockError.
        """
        if not callable(function):
            raise MockError(f"{label}…): expected a function, got {function!r}.")
        named = f"{label}{dotted_name(function)})"

        def read(returned: Any) -> Made:
            try:
                return parse(_plain(returned), place="")
            except (Mistakes, ApiError) as error:
                raise MockError(f"{named} returned what can't be sent: {error}") from None

        return Function(function, named, read)

    # What is answered.

    def criterion(self, id: str) -> _CriterionScript:
        """Say how a criterion judges. `id`: `helpful`, or one version of it: `helpful@v2`."""
        if not isinstance(id, str) or not id:
            raise MockError(f"a criterion id has at least 1 character, got {id!r}")
        return _CriterionScript(self, id.encode("utf-8", "replace").decode())

    def completion(
        self,
        text: str | None = None,
        *,
        choices: Sequence[str | Mapping[str, Any]] | None = None,
        refusal: str | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        raw: Json = None,
        finish_reason: str | None = None,
        when: Conditions | None = None,
        name: str | None = None,
        answer: Callable[[dict[str, Any]], Any] | None = None,
        **further: Unpack[ScriptOptions],
    ) -> None:
        """Say what chat requests that meet `when` are answered; the latest such call comes first.

        `answer`: a function of the request's body, sync or async, that returns a text or a mapping such as
        `{"tool_calls": […]}`. Exceptions that it raises reach the client. In process alone.
        """
        said = not_none(
            text=text, choices=choices, refusal=refusal, tool_calls=tool_calls, raw=raw,
            finish_reason=finish_reason, when=when, name=name, **further,
        )  # fmt: skip
        if answer is None:
            self._add("completions", said)
        else:
            self._add_function(answer, said)

    def _add_function(self, answer: Callable[..., Any], said: Mapping[str, Any]) -> None:
        """Put a script before those that are there, whose answers a function gives."""
        beside = [name for name in said if name not in _BESIDE_FUNCTION]
        if beside:
            names = listed(map(quoted, beside), "and")
            raise MockError(f"answer: the function gives the whole answer; have it return {names} as well.")
        made = self._function(answer, "mock.completion(answer=", configfile.parse_answer)
        self._add("completions", {**said, "text": ""}, made)

    def tool_call(
        self, name: str, arguments: Mapping[str, Any] | str | None = None, *, when: Conditions | None = None
    ) -> None:
        """Answer chat requests that meet `when` with this call, but never after a tool's result."""
        call = {"name": name, "arguments": {} if arguments is None else arguments}
        self._add("completions", {"tool_calls": [call], **not_none(when=when)})

    def fault(self, **options: Unpack[FaultOptions]) -> None:
        """Say what goes wrong with requests that meet `when`, and with which of them: see docs/faults.md."""
        known = FaultOptions.__annotations__
        given = {name: each for name, each in options.items() if each is not None or name not in known}
        self._add("faults", given)

    def limits(self, *, requests_per_minute: int | None = None, concurrent: int | None = None) -> None:
        """Set the limits of each key; None for no limit."""
        limits = not_none(requests_per_minute=requests_per_minute, concurrent=concurrent)
        self._change(set_limits, limits)

    def load(self, path: str | PathLike[str]) -> None:
        """Put a config file in force for this session. Raises ConfigError with all its mistakes."""
        settings = settings_of(path, self.overrides)
        self.at_once(lambda: self.session.use(settings))

    def reset(self) -> None:
        """Forget all that the test has set, and all that happened."""
        self.at_once(self.forget)

    def forget(self) -> None:
        self.session.forget()
        self.session.own = self.initial
        self.expected.clear()

    # What was asked.

    def _missed(self) -> Iterator[str]:
        """What had no recording, for the message of a failure."""
        source = self.session.source or self.service.source
        missed = list(dict.fromkeys(source.missed)) if source else []
        yield from (f"Not recorded: {line}" for line in missed[:MOST_SHOWN])

    @property
    def unused_recordings(self) -> list[str]:
        """The recordings of the cassette that answered nothing yet, by their files' names."""
        source = self.session.source or self.service.source
        return source.unused() if source else []

    @property
    def calls(self) -> Calls:
        """Every request of the session, in the order in which they were answered."""
        return Calls(map(call_from_entry, self.entries()))

    @property
    def misses(self) -> Calls:
        """The completions that no script answered, refused or made up, though some are scripted."""
        return Calls(call for call in self.calls if call.unscripted)

    def entries(self) -> list[Entry]:
        """The journal's entries, once requests under way have settled."""
        self.settle()
        return self.at_once(lambda: list(self.session.journal.entries))

    def judged(
        self, criterion: str | None = None, *, output: str | None = None, times: int | None = None
    ) -> Calls:
        """Assert that the judge was asked, `times` times or at least once. Returns those calls."""
        __tracebackhide__ = True
        return self.came(not_none(endpoint="judge", criterion=criterion, output=output), times)

    def completed(
        self,
        *,
        model: str | None = None,
        last_user: str | None = None,
        criteria: Sequence[str] | None = None,
        streamed: bool | None = None,
        times: int | None = None,
    ) -> Calls:
        """Assert that a completion was asked for, `times` times or at least once. Returns those calls.

        `criteria`: the request named exactly these, in any order.
        """
        __tracebackhide__ = True
        several = several_criteria(criteria)
        wanted = not_none(
            endpoint="chat", model=model, last_user=last_user, criteria=several, streamed=streamed
        )
        return self.came(wanted, times)

    def called_tool(
        self, name: str, arguments: Mapping[str, Any] | str | None = None, *, times: int | None = None
    ) -> list[CalledTool]:
        """Assert that answers called a tool, `times` times or at least once. Returns these calls.

        `arguments`: those that it was called with, None for any. Each call has the `result` that came back.
        """
        __tracebackhide__ = True
        calls, wanted = self.calls, None if arguments is None else _plain(arguments)
        tools = list(called_tools(calls))
        found = [each for each in tools if not tool_differences(each, name, wanted)]
        if len(found) != times if times is not None else not found:
            raise AssertionError(tools_unmet(name, wanted, times, tools))
        return found

    def came(self, wanted: Mapping[str, Any], times: int | None) -> Calls:
        """Assert that calls with these fields came, `times` times or at least once. Returns them."""
        __tracebackhide__ = True
        calls = self.calls
        found = Calls(call for call in calls if not list(call_differences(call, wanted)))
        if len(found) != times if times is not None else not found:
            advice = f"Does the client send {self.way_here}?"
            told = unmet(wanted, times, found, calls, self.session.under_way, advice)
            raise AssertionError(printable_lines("\n".join((told, *self._missed()))))
        return found

    def assert_contract_kept(self) -> None:
        """Assert that no request broke the contract, except on purpose: see `excused`.

        A script that calls a tool which the request doesn't offer breaks it too.
        """
        __tracebackhide__ = True
        calls = self.calls
        broken = [call for call in calls if call.breaches and not self.excused(call)]
        if broken:
            more = f"\n… and {len(broken) - MOST_SHOWN} more" if len(broken) > MOST_SHOWN else ""
            several = f"{len(broken)} of {len(calls)} requests"
            who = several if any(call.violations for call in broken) else f"scripts for {several}"
            told = f"{who} broke the contract:"
            raise AssertionError(printable_lines(f"{told}\n{breach_lines(broken[:MOST_SHOWN])}{more}"))

    def unused(self) -> tuple[Unused, ...]:
        """What is in force, the file included, and no request used: scripts, criteria, faults, recordings."""
        settings = self.at_once(lambda: self.session.settings(self.service.settings))
        return tuple(unused(Setup(settings, self.unused_recordings), self.entries()))

    def assert_all_used(self) -> None:
        """Assert that nothing is `unused`."""
        __tracebackhide__ = True
        found = self.unused()
        if found:
            more = [f"… and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else []
            told = [f"{len(found)} of what is set was never used:", *map(str, found[:MOST_SHOWN]), *more]
            raise AssertionError("\n  ".join(told))

    def warnings(self, *, timed: bool | None = None) -> tuple[Lapse, ...]:
        """The rules of conduct that the client broke, and where: what it does wrong beside the contract.

        `timed`: whether to apply the rules on how long it waited, by default on a socket alone. In process
        the clock stands still while a client waits, unless the client's sleep is `mock.clock.advance`.
        """
        came = sorted(self.entries(), key=lambda entry: entry.number)
        seen = [observed(entry) for entry in came]
        judged = [replace(each, meant=each.meant or each.id in self.expected) for each in seen]
        return lapses(judged, real_time=self.real_time if timed is None else timed)

    def assert_well_behaved(self, *, timed: bool | None = None, allow: Sequence[str] = ()) -> None:
        """Assert that there are no `warnings`. `allow`: names of rules that may be broken."""
        __tracebackhide__ = True
        allowed = _rule_names(allow)
        found = [lapse for lapse in self.warnings(timed=timed) if lapse.rule.name not in allowed]
        if found:
            told = f"the client broke {'a rule' if len(found) == 1 else f'{len(found)} rules'} of conduct:"
            raise AssertionError(printable_lines("\n".join([told, *(f"  {lapse}" for lapse in found)])))

    def excused(self, call: Call) -> bool:
        """Whether a call broke the contract on purpose: by its header, or inside `expect_violation`."""
        return call.meant or call.id in self.expected

    @contextmanager
    def expect_violation(self, pointer: str | None = None) -> Iterator[None]:
        """A context that asserts that a request in it breaks the contract; such requests are excused.

        `pointer`: the JSON pointer of the violation, None for any. Where an exception leaves the block, it
        goes on without the assertion.
        """
        before = {call.id for call in self.calls}
        passed = False
        try:
            yield
            passed = True
        finally:
            found = [call for call in self.calls if call.id not in before and call.violations]
            hits = [
                call
                for call in found
                if pointer is None or pointer in map(violation_pointer, call.violations)
            ]
            self.expected.update(call.id for call in hits)
            if passed and not hits:
                where = "" if pointer is None else f" at {pointer}"
                seen = f"; these did otherwise:\n{breach_lines(found)}" if found else "; none did"
                raise AssertionError(
                    printable_lines(f"expected a request that breaks the contract{where}{seen}")
                )


def _plain(value: Any) -> Json:
    """A copy of a value in JSON's types, which a test doesn't change later. Raises Mistakes, ParseError."""
    return parse(as_json(value))  # 1 µs for most; in Python, a copy of tuples, enums and so on takes longer


def _rule_names(names: Sequence[str]) -> Sequence[str]:
    """Names of rules of conduct, one or several. Raises MockError for an unknown one."""
    known = [rule.name for rule in CONDUCT_RULES]
    names = [names] if isinstance(names, str) else names
    for name in names:
        if name not in known:
            told = f"there is no rule {quoted(name)}; there are {listed(known, 'and')}."
            raise MockError(f"allow: {told}{did_you_mean(name, known)}")
    return names


class _Hidden:
    """An attribute of `Mock` under a public name of the module that the fixture `openpipe_mock` hides.

    Reading it raises AttributeError with advice.
    """

    # A `__getattr__` of the mock's would do the same, but make each of its attributes slower to read.

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, mock: Mock | None, owner: type) -> NoReturn:
        raise AttributeError(
            "this is a mock: the fixture openpipe_mock hides the module of that name; write "
            f"`from openpipe_mock import {self.name}`"
        )


for _name in openpipe_mock.PUBLIC:
    setattr(Mock, _name, _Hidden(_name))
