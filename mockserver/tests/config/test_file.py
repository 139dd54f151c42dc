"""The config file: what each key of the example says, all mistakes with their places, and single parts."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.pace import Pace, seconds_of
from openpipe_mock.answers.scorers import (
    DRAWN,
    ByOutput,
    Declared,
    Failing,
    Fixed,
    Form,
    Length,
    Near,
    PassRate,
    RawJudgement,
    Rules,
    Sequence,
    Uniform,
)
from openpipe_mock.answers.scripts import Script, ScriptedCall, ScriptedChoice
from openpipe_mock.answers.templates import read_template
from openpipe_mock.config import file as configfile
from openpipe_mock.config.file import DEFAULT_FILE, MOST_MISTAKES, ConfigError, Mistakes, read_config
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.reading import At
from openpipe_mock.core.resources import folder
from openpipe_mock.core.seeded import ANSWERS
from openpipe_mock.core.yamltext import read_yaml as read_yaml
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import (
    ContentType,
    Disconnect,
    Drip,
    Empty,
    Endless,
    ErrorAnswer,
    ErrorEvent,
    Malformed,
    Raw,
    Truncated,
)
from openpipe_mock.matching.conditions import ALWAYS, When
from tests.configurations import PARTS, as_yaml, wrong
from tests.generate import Json, anything, thorough

EXAMPLE = (folder("examples") / DEFAULT_FILE).read_bytes()
RAW: Json = read_yaml(EXAMPLE).value


def example() -> Settings:
    return read_config(EXAMPLE, DEFAULT_FILE)


def told(when: When) -> list[tuple[str, ...]]:
    """Conditions as they can be compared."""
    return [
        (
            condition.part,
            condition.key,
            *(part for demand in condition.demands for part in (demand.kind, demand.wanted)),
        )
        for condition in when.conditions
    ]


def ways(name: str) -> Any:
    """How a criterion of the example that has no versions comes to its score."""
    [(version, form)] = example().criteria[name].versions.items()
    assert version == 1
    return form


SETTINGS: dict[str, Callable[[Settings], object]] = {
    "version": lambda settings: 1,
    "answers": lambda settings: settings.answers,
    "seed": lambda settings: settings.seed,
    "validation": lambda settings: settings.validation,
    "repeat": lambda settings: settings.repeat,
    "ids": lambda settings: settings.ids,
    "clock": lambda settings: settings.clock,
    "auto_tools": lambda settings: settings.auto_tools,
    "prompt_schemas": lambda settings: settings.prompt_schemas,
    "magic": lambda settings: settings.magic,
    "auth": lambda settings: {"keys": [*settings.keys], "read_only_keys": [*settings.read_only_keys]},
    "unknown_criteria": lambda settings: settings.unknown_criteria,
    "unscripted": lambda settings: settings.unscripted,
    "models": lambda settings: {"known": [*settings.known_models], "status": settings.model_status},
    "stream": lambda settings: {
        "first_token_ms": seconds_of(settings.pace.first_token, lambda use: 0.0, "") * 1000,
        "tokens_per_second": settings.pace.tokens_per_second,
        "jitter": settings.pace.jitter,
        "endless_events": settings.pace.most_events,
    },
    "limits": lambda settings: {
        "requests_per_minute": settings.limits.requests_per_minute,
        "concurrent": settings.limits.concurrent,
    },
    "cassette": lambda settings: {
        name: [*getattr(settings.cassette, name)] for name in ("headers", "ignore", "ignore_text", "personal")
    },
}
OTHERS: dict[str, Json] = {
    "version": 1,
    "answers": 1,
    "seed": -7,
    "validation": "exact",
    "repeat": "vary",
    "ids": "random",
    "clock": "real",
    "auto_tools": "never",
    "prompt_schemas": False,
    "magic": False,
    "auth": {"keys": ["a", "b"], "read_only_keys": ["c"]},
    "unknown_criteria": "judge",
    "unscripted": "refuse",
    "models": {"known": ["*"], "status": "TRAINING"},
    "stream": {
        "first_token_ms": 250,
        "tokens_per_second": 12.5,
        "jitter": 0.25,
        "endless_events": 99,
    },
    "limits": {"requests_per_minute": 60, "concurrent": 2},
    "cassette": {
        "headers": ["op-tags"],
        "ignore": ["/seed"],
        "ignore_text": ["[0-9]+"],
        "personal": ["(?i)kim"],
    },
}
"""Other values than those of the example, which has defaults for some keys."""


def test_every_section_of_the_example_is_tested_below() -> None:
    assert set(RAW) == {*SETTINGS, "criteria", "completions", "faults"}
    assert set(RAW) == set(configfile.schema()["properties"])


@pytest.mark.parametrize("key", SETTINGS)
def test_a_key_of_the_example_says(key: str) -> None:
    assert SETTINGS[key](example()) == RAW[key]
    assert SETTINGS[key](configfile.settings({key: OTHERS[key]})) == OTHERS[key]


FORMS: dict[str, Form] = {
    "concise": Form(Length(40, 400)),
    "graded": Form(
        ByOutput(
            {"1, 2, 3.": Form(Fixed(1)), "one two": Form(Fixed(0.4)), "": Form(Fixed(0))}, Form(Fixed(0.1))
        )
    ),
    "borderline": Form(Near(0.5, 0.05)),
    "coin": Form(PassRate(0.8)),
    "reward": Form(Uniform(0, 1), usage=120),
    "moody": Form(Fixed(0.7), flip_share=0.1),
    "broken": Form(Failing(503, "No capacity.")),
    "bad-provider": Form(RawJudgement({"score": 1.2})),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_criterion_of_the_example_says(name: str) -> None:
    assert ways(name) == FORMS[name]


def test_a_sequence_of_the_example_says() -> None:
    form = ways("flaky")
    assert form == Form(form.scorer)
    assert form.scorer.forms == (Form(Fixed(1)), Form(Fixed(0)), Form(Failing(500, "The judge crashed.")))
    assert form.scorer.then == "repeat"
    assert re.fullmatch("/criteria/flaky#[0-9a-f]{12}", form.scorer.counter)


def test_versions_and_rules_of_the_example_say() -> None:
    assert set(example().criteria) == {*FORMS, "flaky", "helpful"} == set(RAW["criteria"])
    versions = example().criteria["helpful"].versions
    assert list(versions) == [1, 2]
    assert versions[1] == Form(Fixed(1), "Everything is helpful.")
    rules = versions[2].scorer
    assert isinstance(rules, Rules)
    assert [rule.place for rule in rules.rules] == [
        "/criteria/helpful/v2/rules/0",
        "/criteria/helpful/v2/rules/1",
    ]
    assert [rule.form for rule in rules.rules] == [
        Form(Fixed(0), "It apologises instead of helping."),
        Form(Fixed(0.9)),
    ]
    assert [told(rule.when) for rule in rules.rules] == [
        [("output", "", "contains", "sorry")],
        [("output", "", "matches", r"\d"), ("last_user", "", "contains", "count")],
    ]
    assert rules.otherwise == Form(Uniform(0.2, 0.8), decimals=2)


def chosen(*texts: str) -> tuple[ScriptedChoice, ...]:
    return tuple(map(ScriptedChoice, texts))


WEATHER = ScriptedChoice(calls=(ScriptedCall("get_weather", '{"city":"Paris"}'),))
SAYING = read_template("You said: {last_user}", At(""))
SCRIPTS: list[tuple[Script, list[tuple[str, ...]]]] = [
    (
        Script(choices=(WEATHER,), name="weather", place="/completions/0"),
        [("last_user", "", "matches", "(?i)weather"), ("tool", "", "equals", "get_weather")],
    ),
    (
        Script(choices=chosen("no", "1, 2, 3.", "one two"), name="counting", place="/completions/1"),
        [("model", "", "glob", "openai:*"), ("last_user", "", "matches", "(?i)count to")],
    ),
    (
        Script(
            choices=(ScriptedChoice(refusal="I can't help with that."),),
            name="refuses",
            place="/completions/2",
        ),
        [("last_user", "", "contains", "secret")],
    ),
    (
        Script(
            choices=(ScriptedChoice("This answer stops in the", finish_reason="length"),),
            name="cut",
            place="/completions/3",
        ),
        [("metadata", "prompt_id", "equals", "long")],
    ),
    (
        Script(choices=(ScriptedChoice(template=SAYING),), name="repeats", place="/completions/4"),
        [("last_user", "", "contains", "after me")],
    ),
]


def test_the_scripts_of_the_example_say() -> None:
    found = example().completions
    first = found[: len(SCRIPTS)]  # the others are told of by what they answer, in test_example
    assert [told(script.when) for script in first] == [conditions for _, conditions in SCRIPTS]
    assert [unconditional(script) for script in first] == [script for script, _ in SCRIPTS]


def unconditional(script: Script) -> Script:
    return Script(ALWAYS, script.choices, script.raw, script.name, script.place)


HAPPENS: list[tuple[list[tuple[str, ...]], dict[str, object]]] = [
    (
        [("endpoint", "", "equals", "judge")],
        {"every": 5, "kinds": (ErrorAnswer(429, retry_after=1),)},
    ),
    ([("endpoint", "", "equals", "chat")], {"call": 3, "delay": 0.2}),
    (
        [("endpoint", "", "equals", "chat"), ("model", "", "glob", "openpipe:drops")],
        {"kinds": (Disconnect(after_events=2),)},
    ),
    ([("header", "x-test", "equals", "garbage")], {"kinds": (Malformed(),)}),
    (
        [("endpoint", "", "equals", "chat"), ("model", "", "glob", "openpipe:sometimes")],
        {"share": 0.25, "kinds": (ErrorAnswer(500),)},
    ),
]


def happens(fault: Fault) -> dict[str, object]:
    """What a fault has that a fault needn't have."""
    others = ("when", "place", "counter", "share_key", "source")
    names = (name for name in Fault.__slots__ if name not in others)
    return {name: getattr(fault, name) for name in names if getattr(fault, name) != getattr(Fault(), name)}


def test_the_faults_of_the_example_say() -> None:
    found = example().faults
    first = found[: len(HAPPENS)]
    assert [(told(fault.when), happens(fault)) for fault in first] == HAPPENS
    for index, fault in enumerate(found):
        assert fault.place == f"/faults/{index}"
        assert re.fullmatch(rf"/faults/{index}#[0-9a-f]{{12}}", fault.counter)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "--- ~", "\ufeff", "version: 1"])
def test_an_empty_file_says_the_defaults(text: str) -> None:
    assert read_config(text.encode()) == Settings()
    assert Settings().answers == ANSWERS


# Beyond the example.


def form(value: Json) -> Form:
    found = configfile.parse_criterion(value, place="/criteria/it")
    assert isinstance(found, Form)
    return found


def test_forms_have_the_defaults_of_the_schema() -> None:
    assert form({"near": 0.5}) == Form(Near(0.5, 0.05))
    assert form({"error": {}}) == Form(Failing(500, "The criterion failed."))
    assert form({"by_output": {"a": 1}}) == Form(ByOutput({"a": Form(Fixed(1))}, DRAWN))
    sequence = form({"sequence": [1.0, {"near": 1, "within": 0}], "then": "last"}).scorer
    assert isinstance(sequence, Sequence)
    assert (sequence.forms, sequence.then) == ((Form(Fixed(1)), Form(Near(1, 0))), "last")


def test_whole_numbers_may_be_written_with_a_point() -> None:
    found = form({"length": {"best": 1.0, "worst": 9.0}, "usage": 2.0, "decimals": 3.0})
    assert repr(found) == repr(Form(Length(1, 9), usage=2, decimals=3))
    assert repr(configfile.parse_limits({"concurrent": 2.0})) == repr(Limits(concurrent=2))
    assert repr(read_config(b"seed: 7.0").seed) == "7"


def test_a_caller_learns_whether_versions_were_given() -> None:
    assert configfile.parse_criterion({"score": 1}, place="/criteria/a") == Form(Fixed(1))
    assert configfile.parse_criterion({"v3": {"score": 1}}, place="/criteria/a") == Declared(
        {3: Form(Fixed(1))}
    )


def counters(text: str) -> list[str]:
    found = read_config(text.encode())
    sequences = [found.criteria[name].versions[1].scorer for name in found.criteria]
    return [way.counter for way in sequences if isinstance(way, Sequence)] + [f.counter for f in found.faults]


COUNTED = "criteria: {a: {sequence: [1, 0], usage: 1}}\nfaults: [{call: 1, status: 500}]"


def test_a_part_counts_anew_once_its_own_text_has_changed() -> None:
    reordered = COUNTED.replace("call: 1, status: 500", "status: 500, call: 1").replace("1, 0", "1,   0")
    assert counters(COUNTED) == counters(f"{reordered}\nseed: 9")
    changed = counters(COUNTED.replace("1, 0", "1, 1").replace("500", "501"))
    assert not set(counters(COUNTED)) & set(changed)


def test_equal_sequences_in_two_places_count_apart() -> None:
    [first, second, third] = counters(
        "criteria: {a: {sequence: [1, 0]}, b: {sequence: [1, 0]}}\nfaults: [{first: 1, empty: true}]"
    )
    assert len({first, second, third}) == 3


def test_a_sequence_in_a_sequence_has_a_count_of_its_own() -> None:
    outer = form({"sequence": [{"sequence": [1]}, {"sequence": [1]}]}).scorer
    assert isinstance(outer, Sequence)
    inner = [each.scorer.counter for each in outer.forms if isinstance(each.scorer, Sequence)]
    assert [name.partition("#")[0] for name in [outer.counter, *inner]] == [
        "/criteria/it",
        "/criteria/it/sequence/0",
        "/criteria/it/sequence/1",
    ]


def script(value: Json) -> Script:
    return configfile.parse_script(value, place="/completions/-")


def test_scripts_say() -> None:
    assert script({"text": ""}) == Script(choices=(ScriptedChoice(""),), place="/completions/-")
    assert script({"raw": None}).raw == b"null"
    assert script({"raw": {"b": 1, "a": [1.5]}}).raw == b'{"b":1,"a":[1.5]}'
    mixed = script(
        {
            "choices": [
                "a",
                {"refusal": "b"},
                {"tool_calls": [{"name": "f", "arguments": "{no json"}]},
            ],
            "finish_reason": "length",
        }
    )
    assert mixed.choices == (
        ScriptedChoice("a", finish_reason="length"),
        ScriptedChoice(refusal="b", finish_reason="length"),
        ScriptedChoice(calls=(ScriptedCall("f", "{no json"),), finish_reason="length"),
    )
    own = script({"choices": ["a", {"text": "b", "finish_reason": "stop"}]})
    assert [choice.finish_reason for choice in own.choices] == [None, "stop"]


FAULTS: dict[str, tuple[Json, dict[str, object]]] = {
    "a page as an error": (
        {"status": 502, "content_type": "text/html", "body": "<h1>Bad</h1>"},
        {"kinds": (ErrorAnswer(502, body=b"<h1>Bad</h1>"), ContentType("text/html"))},
    ),
    "no body as an error": (
        {"status": 502, "content_type": "text/plain", "body": ""},
        {"kinds": (ErrorAnswer(502, body=b""), ContentType("text/plain"))},
    ),
    "JSON as an error of another type": (
        {"status": 502, "content_type": "application/problem+json; charset=utf-8", "body": "Bad"},
        {
            "kinds": (
                ErrorAnswer(502, body=b'"Bad"'),
                ContentType("application/problem+json; charset=utf-8"),
            )
        },
    ),
    "an object as a page": (
        {"content_type": "text/html", "raw": {"a": 1}},
        {"kinds": (Raw(b'{"a":1}'), ContentType("text/html"))},
    ),
    "a page": (
        {"content_type": "text/html", "raw": "<p>"},
        {"kinds": (Raw(b"<p>"), ContentType("text/html"))},
    ),
    "an error of its own": (
        {"status": 429, "message": "Slow down.", "code": "SLOW", "retry_after": 1.5},
        {"kinds": (ErrorAnswer(429, "Slow down.", "SLOW", retry_after=1.5),)},
    ),
    "any error body": ({"status": 500, "body": None}, {"kinds": (ErrorAnswer(500, body=b"null"),)}),
    "a drip": ({"drip": {"bytes": 3, "every_ms": 10}}, {"kinds": (Drip(3, 0.01),)}),
    "a drip with defaults": ({"drip": {}}, {"kinds": (Drip(16, 0.05),)}),
    "a break": ({"disconnect": True}, {"kinds": (Disconnect(),)}),
    "a break in the middle": (
        {"disconnect": True, "after_bytes": 0, "name": "n"},
        {"kinds": (Disconnect(after_bytes=0),), "name": "n"},
    ),
    "an error event": ({"error_event": True}, {"kinds": (ErrorEvent("The mock broke this stream."),)}),
    "an error event with words": (
        {"error_event": "Oops.", "after_events": 1},
        {"kinds": (ErrorEvent("Oops.", after_events=1),)},
    ),
    "one bit of everything": (
        {"raw": [1], "content_type": "text/html", "delay_ms": 1, "drip": {}, "first": 2, "share": 0.5},
        {
            "kinds": (Raw(b"[1]"), ContentType("text/html"), Drip()),
            "delay": 0.001,
            "first": 2,
            "share": 0.5,
        },
    ),
    "flags": ({"truncated": True}, {"kinds": (Truncated(),)}),
    "no body": ({"empty": True}, {"kinds": (Empty(),)}),
    "no end": ({"endless": True, "every": 2, "first": 2}, {"kinds": (Endless(),), "every": 2, "first": 2}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_says(name: str) -> None:
    value, expected = FAULTS[name]
    found = configfile.parse_fault(value, place="/faults/-")
    assert happens(found) == expected
    assert (found.place, found.when) == ("/faults/-", ALWAYS)


def test_the_error_event_and_drip_of_the_schema_are_those_of_the_settings() -> None:
    drip = configfile.schema()["$defs"]["drip"]["properties"]
    assert Drip() == Drip(drip["bytes"]["default"], drip["every_ms"]["default"] / 1000)
    stream = configfile.schema()["$defs"]["stream"]["properties"]
    defaults = {name: member["default"] for name, member in stream.items()}
    assert configfile.settings({"stream": defaults}).pace == Pace()


def test_what_a_share_is_drawn_by_is_the_fault_s_text_wherever_it_stands() -> None:
    value = {"share": 0.5, "status": 500}
    one, other = (configfile.parse_fault(value, place=place) for place in ("/faults/0", "/runtime/9"))
    assert one.counter != other.counter
    changed = configfile.parse_fault({**value, "status": 501}, place="/faults/0")
    assert one.share_key == other.share_key != changed.share_key


def test_conditions_keep_the_order_of_the_file() -> None:
    value = {
        "criterion": {"contains": "a", "matches": "b"},
        "messages": {"tool": "c", "user": "d"},
        "header": {"X-One": "e"},
        "system": "f",
        "output": "g",
        "endpoint": "latest-logged-call",
    }
    assert told(configfile.parse_when(value)) == [
        ("criterion", "", "contains", "a", "matches", "b"),
        ("messages", "tool", "equals", "c"),
        ("messages", "user", "equals", "d"),
        ("header", "X-One", "equals", "e"),
        ("system", "", "equals", "f"),
        ("output", "", "equals", "g"),
        ("endpoint", "", "equals", "latest-logged-call"),
    ]


# Mistakes.


def mistakes(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(text.encode() if isinstance(text, str) else text, "f")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("f:") for line in lines)
    return [line.removeprefix("f:") for line in lines]


NO_LOOKING = "it has no lookaheads, lookbehinds and backreferences; say it without."
UNCLOSED = r'a "(" has no counterpart; add it, or write \( for the character.'
OPEN_CLASS = r'a "[" has no counterpart; add it, or write \[ for the character.'
WAYS = (
    '"score", "rules", "uniform", "length", "by_output", "sequence", "near", "pass_rate", "error" and "raw"'
)
EFFECTS = (
    '"status", "timeout", "disconnect", "malformed", "truncated", "empty", "error_event", "endless", "raw", '
    '"content_type", "headers" and 2 more'
)
SCENE = (
    "a judge sees input and output only, so these are all that may stand here; conditions on messages and "
    'tools stand under "input"'
)
WRONG: dict[str, tuple[str, list[str]]] = {
    "no object": ("- a", ["1:1: expected a mapping, got a list of 1."]),
    "an unknown key": (
        "versoin: 1\nzzz: 1",
        [
            '1:1: /versoin: unknown property in the file; did you mean "version"?',
            '2:1: /zzz: unknown property in the file; it knows "version", "answers", "seed", "validation", '
            '"repeat", "ids", "clock", "auto_tools", "prompt_schemas", "magic", "auth" and 9 more.',
        ],
    ),
    "a key that is right elsewhere": (
        "stream: {seed: 1}\nstatus: 1\nknown: []",
        [
            '1:10: /stream/seed: unknown property in "stream"; "seed" belongs in the file\'s top level.',
            '2:1: /status: unknown property in the file; "status" belongs in models, faults.* or '
            "criteria.*.error.",
            '3:1: /known: unknown property in the file; "known" belongs in models.',
        ],
    ),
    "versions from the future": (
        "version: 2\nanswers: 3",
        [
            "1:1: /version: expected 1, the one form of this file that this release reads, got the number 2.",
            "2:1: /answers: expected at most 2, the newest answers that this release knows, got the number "
            "3; take 2, or upgrade openpipe-mock.",
        ],
    ),
    "a word that is gone": (
        "validation: report",
        [
            '1:1: /validation: expected "strict", "exact" or "lenient", got the string "report". "report" is '
            'gone: "lenient" answers as it did, and notes what stricter modes would refuse.',
        ],
    ),
    "words and numbers": (
        "seed: 1e30\nvalidation: strikt\nmagic: yes\nids: 5\nlimits: {concurrent: 0.5}\nfaults:",
        [
            "1:1: /seed: expected at most 18446744073709551615, got the number 1e+30.",
            '2:1: /validation: expected "strict", "exact" or "lenient", got the string "strikt". '
            'Did you mean "strict"?',
            '3:1: /magic: expected true or false, got the string "yes".',
            '4:1: /ids: expected "content" or "random", got the number 5.',
            "5:10: /limits/concurrent: expected a whole number or null, got the number 0.5.",
            "6:1: /faults: expected a list, got null.",
        ],
    ),
    "keys, which are secrets": (
        "auth:\n  keys: [my key, '', 5]",
        [
            f"2:{column}: /auth/keys/{index}: expected {expected}, got something else."
            for column, index, expected in (
                (10, 0, "a key of printable ASCII characters without white space"),
                (18, 1, "a key of printable ASCII characters without white space"),
                (22, 2, "a string or a mapping"),
            )
        ],
    ),
    "keys in variables of a wrong shape": (
        "auth:\n  keys: [{env: 'op secret'}, {op-secret: x}]",
        [
            "2:11: /auth/keys/0: expected the name of an environment variable, got something else.",
            '2:30: /auth/keys/1: this item requires "env" (a string), which is missing.',
            '2:31: /auth/keys/1: unknown property in this item; it knows "env".',
        ],
    ),
    "keys in variables that aren't there": (
        "auth:\n  keys: [{env: OPENPIPE_NO_SUCH_KEY}]\n  read_only_keys: [a]",
        [
            "2:10: /auth/keys/0: the environment variable OPENPIPE_NO_SUCH_KEY isn't set; set it, or write "
            "the key here."
        ],
    ),
    "keys, whatever they stand for": (
        "auth:\n  keys: op-secret\n  op-secret: 1",
        [
            "2:3: /auth/keys: expected a list, got something else.",
            '3:3: /auth/***: unknown property in "auth"; it knows "keys" and "read_only_keys".',
        ],
    ),
    "keys, one of them for all": (
        "auth: op-secret",
        ["1:1: /auth: expected a mapping, got something else."],
    ),
    "numbers beyond JSON, and what stands beside them": (
        "seed: .inf\nanswers: 1e999\nsed: 1\n"
        "criteria: {a: {uniform: [0.5, .nan]}, b: {length: {best: .inf, worst: 3}}}\n"
        "limits: {concurrent: &x .inf, requests_per_minute: *x}\nfaults: [{status: .inf, cal: 1}]",
        [
            "1:7: /seed: .inf is no number that JSON knows; write a finite one.",
            "2:10: /answers: 1e999 is no number that JSON knows; write a finite one.",
            '3:1: /sed: unknown property in the file; did you mean "seed"?',
            "4:31: /criteria/a/uniform/1: .nan is no number that JSON knows; write a finite one.",
            "4:58: /criteria/b/length/best: .inf is no number that JSON knows; write a finite one.",
            "5:22: /limits/concurrent: .inf is no number that JSON knows; write a finite one.",
            "6:19: /faults/0/status: .inf is no number that JSON knows; write a finite one.",
            '6:25: /faults/0/cal: unknown property in this item; did you mean "call"?',
        ],
    ),
    "conditions in parts that have another mistake": (
        "criteria: {a: {scor: 1, rules: [{when: {input: {system: {matches: '('}}, oups: 1}, score: 1}]}}\n"
        "faults: [{statu: 1, when: {header: {matches: {matches: '['}}}}]\n"
        "completions: [{text: a, nam: x, raw: {when: {output: {matches: '('}}}}]",
        [
            '1:16: /criteria/a/scor: unknown property in "a"; did you mean "score"?',
            "1:58: /criteria/a/rules/0/when/input/system/matches: RE2 doesn't read this regular expression: "
            + UNCLOSED,
            '1:74: /criteria/a/rules/0/when/oups: unknown property in "when"; did you mean "output"?',
            '2:11: /faults/0/statu: unknown property in this item; did you mean "status"?',
            "2:47: /faults/0/when/header/matches/matches: RE2 doesn't read this regular expression: "
            + OPEN_CLASS,
            '3:16: /completions/0/text: "text" means nothing beside "raw"; remove one of them.',
            '3:25: /completions/0/nam: unknown property in this item; did you mean "name"?',
        ],
    ),
    "a name from elsewhere": (
        "faults: [{status: 500, latency: 5}]",
        ['1:24: /faults/0/latency: unknown property in this item; write the milliseconds as "delay_ms".'],
    ),
    "conditions that no script meets": (
        "completions: [{text: a, when: {output: x, endpoint: judge}}, {text: b, when: {endpoint: chat}}]",
        [
            "1:32: /completions/0/when/output: a script answers chat requests, which have no output; "
            "remove it.",
            "1:43: /completions/0/when/endpoint: a script answers chat requests alone, so this never holds; "
            "remove it.",
        ],
    ),
    "no known model": (
        "models: {known: []}",
        ["1:10: /models/known: expected at least 1 item, got a list of 0."],
    ),
    "a key of two kinds": (
        "auth: {keys: [a], read_only_keys: [b, a]}",
        [
            '1:39: /auth/read_only_keys/1: this key stands under "keys" too, where it may do everything; '
            "remove one of them."
        ],
    ),
    "a pace": (
        "stream: {first_token_ms: 600001, tokens_per_second: 0, endless_events: 0}",
        [
            "1:10: /stream/first_token_ms: expected at most 600000, got the number 600001.",
            "1:34: /stream/tokens_per_second: expected at least 0.01, got the number 0.",
            "1:56: /stream/endless_events: expected at least 1, got the number 0.",
        ],
    ),
    "criterion ids": (
        "criteria:\n  a@v1: {score: 1}\n  a b: {score: 1}",
        [
            f"{line}: /criteria/{name}: expected a criterion id of 1 to 200 characters without white space "
            f'and "@" (versions stand below it: v1, v2, …), got the string "{name}".'
            for line, name in (("2:3", "a@v1"), ("3:3", "a b"))
        ],
    ),
    "no form": (
        "criteria:\n  a: {}\n  b: 0.5\n  c: {scor: 1}\n  d: {usage: 1}\n  e: 90",
        [
            f'2:3: /criteria/a: "a" requires exactly one of {WAYS}; none is there.',
            "3:3: /criteria/b: expected a mapping, got the number 0.5. Write {score: 0.5}.",
            '4:7: /criteria/c/scor: unknown property in "c"; did you mean "score"?',
            f'5:3: /criteria/d: "d" requires exactly one of {WAYS}; none is there.',
            "6:3: /criteria/e: expected a mapping, got the number 90. Write {score: 0.9}.",
        ],
    ),
    "two forms": (
        "criteria:\n  a: {near: 1, score: 1}",
        ['2:16: /criteria/a/score: "score" and "near" exclude each other; keep one of them.'],
    ),
    "what a form doesn't go with": (
        "criteria:\n"
        "  a: {score: 1, decimals: 2, then: last, within: 1, otherwise: 1}\n"
        "  b: {error: {}, explanation: x, usage: 1, flip_share: 1}\n"
        "  c: {raw: {}, explanation: x, decimals: 1}",
        [
            '2:17: /criteria/a/decimals: "decimals" means something beside "uniform", "near" or "length" '
            "only; remove it.",
            '2:30: /criteria/a/then: "then" means something beside "sequence" only; remove it.',
            '2:42: /criteria/a/within: "within" means something beside "near" only; remove it.',
            '2:53: /criteria/a/otherwise: "otherwise" means something beside "rules" or "by_output" only; '
            "remove it.",
            '3:18: /criteria/b/explanation: "explanation" means nothing beside "error"; remove one of them.',
            '3:34: /criteria/b/usage: "usage" means nothing beside "error"; remove one of them.',
            '3:44: /criteria/b/flip_share: "flip_share" means nothing beside "error"; remove one of them.',
            '4:16: /criteria/c/explanation: "explanation" means nothing beside "raw"; remove one of them.',
            '4:32: /criteria/c/decimals: "decimals" means something beside "uniform", "near" or "length" '
            "only; remove it.",
        ],
    ),
    "scores and shares outside of 0 to 1": (
        "criteria:\n  a: {score: 90}\n  b: {by_output: {x: 9}, otherwise: 1.5}\n"
        "  c: {sequence: [-1, {score: 87.5}]}\n  d: {uniform: [0, 100]}\n  e: {pass_rate: 30}\n"
        "  f: {near: 2}\n  g: {raw: {score: 90}}\n  h: {score: 1, flip_share: 101}",
        [
            f"{where}: expected at {bound}, got the number {got}: {noun} run from 0 to 1; write {told}."
            for where, bound, got, noun, told in (
                ("2:7: /criteria/a/score", "most 1", "90", "scores", "0.9"),
                ("3:19: /criteria/b/by_output/x", "most 1", "9", "scores", "0.9"),
                ("3:26: /criteria/b/otherwise", "most 1", "1.5", "scores", "1"),
                ("4:18: /criteria/c/sequence/0", "least 0", "-1", "scores", "0"),
                ("4:23: /criteria/c/sequence/1/score", "most 1", "87.5", "scores", "0.875"),
                ("5:20: /criteria/d/uniform/1", "most 1", "100", "scores", "1"),
                ("6:7: /criteria/e/pass_rate", "most 1", "30", "shares", "0.3"),
                ("9:17: /criteria/h/flip_share", "most 1", "101", "shares", "1"),
            )
        ],
    ),
    "bounds in the wrong order": (
        "criteria:\n  a: {uniform: [1, 0]}\n  b: {length: {best: 9, worst: 9}}\n"
        "  c: {sequence: [1, {uniform: [0.2, 0.1]}]}",
        [
            "2:7: /criteria/a/uniform: the lowest score, 1, is above the highest, 0; write the lowest first.",
            '3:25: /criteria/b/length/worst: expected more than 9, which is "best", got 9.',
            "4:22: /criteria/c/sequence/1/uniform: the lowest score, 0.2, is above the highest, 0.1; write "
            "the lowest first.",
        ],
    ),
    "versions": (
        "criteria:\n  a: {v1: {score: 1}, score: 1}\n  b: {v0: {score: 1}}\n  c: {v1: 1}",
        [
            f"{place}: unknown property in {where}; beside versions only other versions may stand, which are "
            "v1, v2, … up to 9 digits."
            for place, where in (("2:23: /criteria/a/score", '"a"'), ("3:7: /criteria/b/v0", '"b"'))
        ]
        + ["4:7: /criteria/c/v1: expected a mapping, got the number 1. Write {score: 1}."],
    ),
    "what a judge doesn't see": (
        "criteria:\n  a:\n    rules:\n"
        "      - {when: {last_user: x}, score: 1}\n"
        "      - {when: {header: {x: y}, ouput: z}, score: 1}\n"
        "      - {when: {input: {model: x, tol: y}}, score: 1}\n"
        "      - {score: 1}",
        [
            f'4:17: /criteria/a/rules/0/when/last_user: unknown property in "when"; {SCENE}.',
            f'5:17: /criteria/a/rules/1/when/header: unknown property in "when"; {SCENE}.',
            '5:33: /criteria/a/rules/1/when/ouput: unknown property in "when"; did you mean "output"?',
            '6:25: /criteria/a/rules/2/when/input/model: unknown property in "input"; a judge sees input and '
            'output only; of the input these are read: "last_user", "system", "messages" and "tool".',
            '6:35: /criteria/a/rules/2/when/input/tol: unknown property in "input"; did you mean "tool"?',
            '7:9: /criteria/a/rules/3/when: this item requires "when" (a mapping), which is missing.',
        ],
    ),
    "patterns": (
        "faults:\n"
        + "".join(
            f"  - {{status: 500, when: {{last_user: {{matches: '{pattern}'}}}}}}\n"
            for pattern in ("(?=a)", "(?<!a)", r"(a)\1", r"\k<a>", "[", "a**")
        ),
        [
            f"{line}: /faults/{index}/when/last_user/matches: RE2 doesn't read this regular expression: "
            f"{reason}"
            for index, (line, reason) in enumerate(
                (
                    ("2:38", NO_LOOKING),
                    ("3:38", NO_LOOKING),
                    ("4:38", NO_LOOKING),
                    ("5:38", NO_LOOKING),
                    ("6:38", OPEN_CLASS),
                    ("7:38", r'a "*" has nothing to repeat; write \* for the character.'),
                )
            )
        ],
    ),
    "conditions": (
        "completions:\n"
        "  - text: x\n"
        "    when: {last_user: {}, messages: {usr: x}, endpoint: chatt, header: {a b: x}, criteria: x,\n"
        "           status: 5, model: {equals: x}, tool: 5}",
        [
            "3:12: /completions/0/when/last_user: expected at least 1 key, got an empty mapping.",
            '3:38: /completions/0/when/messages/usr: unknown property in "messages"; did you mean "user"?',
            '3:47: /completions/0/when/endpoint: expected "judge", "chat", "report", "report-anthropic", '
            '"update-tags", "update-metadata", "check-cache", "latest-logged-call", "models", "model", '
            '"create-model" or 12 more, got the string "chatt". Did you mean "chat"?',
            "3:73: /completions/0/when/header/a b: expected the name of a header: letters, digits and "
            'hyphens, got the string "a b".',
            '3:82: /completions/0/when/criteria: unknown property in "when"; did you mean "criterion"?',
            '4:12: /completions/0/when/status: unknown property in "when"; "status" belongs in models, '
            "faults.* or criteria.*.error.",
            '4:23: /completions/0/when/model: expected a string, got a mapping with "equals".',
            "4:43: /completions/0/when/tool: expected a string or a mapping, got the number 5.",
        ],
    ),
    "scripts": (
        "completions:\n"
        "  - {text: a, choices: [b]}\n"
        "  - {txt: a}\n"
        "  - {when: {}}\n"
        "  - {choices: [a, {text: b, finish_reason: stop}], finish_reason: stop}\n"
        "  - {choices: [], finish_reason: done}\n"
        "  - {tool_calls: [{name: '', arguments: 5}, {nam: x, arguments: {}}]}\n"
        "  - {raw: 1, finish_reason: stop}",
        [
            '2:6: /completions/0/text: "text" means nothing beside "choices"; remove one of them.',
            '3:6: /completions/1/txt: unknown property in this item; did you mean "text"?',
            '4:5: /completions/2: this item requires at least one of "text", "template", "choices", '
            '"tool_calls", "refusal", "reasoning_content", "raw", "stream", "sequence" and "turns"; '
            "none is there.",
            "5:29: /completions/3/choices/1/finish_reason: the script has a finish reason for all its "
            "choices already; remove one of them.",
            "6:6: /completions/4/choices: expected at least 1 item, got a list of 0.",
            '6:19: /completions/4/finish_reason: expected "stop", "length", "tool_calls", "content_filter" '
            'or "function_call", got the string "done".',
            '7:20: /completions/5/tool_calls/0/name: expected at least 1 character, got the string "".',
            "7:30: /completions/5/tool_calls/0/arguments: expected a mapping or a string, got the number 5.",
            '7:45: /completions/5/tool_calls/1/name: this item requires "name" (a string), which is missing.',
            '7:46: /completions/5/tool_calls/1/nam: unknown property in this item; did you mean "name"?',
            '8:14: /completions/6/finish_reason: "finish_reason" means nothing beside "raw"; remove one of '
            "them.",
        ],
    ),
    "faults": (
        "faults:\n"
        "  - {status: 200}\n"
        "  - {disconnect: false, error_event: 5}\n"
        "  - {call: 3}\n"
        "  - {status: 500, truncated: true, content_type: x}\n"
        "  - {status: 500, body: 1, message: x, code: y}\n"
        "  - {disconnect: true, after_events: 1, after_bytes: 2}\n"
        "  - {truncated: true, after_events: 1, retry_after: 1}\n"
        '  - {content_type: "a\\nb"}\n'
        "  - {share: 1.5, drip: {bytes: 0}}\n",
        [
            "2:6: /faults/0/status: expected at least 400, got the number 200.",
            "3:6: /faults/1/disconnect: expected true, got false.",
            "3:25: /faults/1/error_event: expected true or a string, got the number 5.",
            '3:25: /faults/1/error_event: "error_event" means nothing beside "disconnect"; remove one of '
            "them.",
            f"4:5: /faults/2: this item requires at least one of {EFFECTS}; none is there.",
            '5:19: /faults/3/truncated: "truncated" means nothing beside "status"; remove one of them.',
            '5:36: /faults/3/content_type: "content_type" means nothing beside "truncated"; remove one of '
            "them.",
            '6:28: /faults/4/message: "message" means nothing beside "body"; remove one of them.',
            '6:40: /faults/4/code: "code" means nothing beside "body"; remove one of them.',
            '7:41: /faults/5/after_bytes: "after_bytes" means nothing beside "after_events"; remove one of '
            "them.",
            '8:23: /faults/6/after_events: "after_events" means something beside "disconnect", '
            '"error_event" or "timeout" only; remove it.',
            '8:40: /faults/6/retry_after: "retry_after" means something beside "status" only; remove it.',
            "9:6: /faults/7/content_type: expected a text of printable ASCII characters, got the string "
            '"a\\nb".',
            "10:6: /faults/8/share: expected at most 1, got the number 1.5: shares run from 0 to 1; write 1.",
            "10:25: /faults/8/drip/bytes: expected at least 1, got the number 0.",
        ],
    ),
    "faults that never happen": (
        "faults:\n"
        "  - {call: 3, every: 2, status: 500}\n"
        "  - {call: 3, first: 2, status: 500}\n"
        "  - {every: 3, first: 2, status: 500}",
        [
            '2:15: /faults/0/every: "call": 3 is no multiple of "every": 2, so this never happens; '
            "remove one of them.",
            "3:15: /faults/1/first: the first 2 requests end before it is this fault's turn, so this never "
            "happens.",
            "4:16: /faults/2/first: the first 2 requests end before it is this fault's turn, so this never "
            "happens.",
        ],
    ),
    "wrong shapes and, in parts whose shape is right, all else": (
        "seed: x\n"
        "criteria: {a: {uniform: [1, 0]}, b: {scor: 1}}\n"
        "completions: {}\n"
        "faults:\n  - {call: 3, first: 1, status: 500}\n  - {call: 3, first: 1, status: 200}",
        [
            '1:1: /seed: expected a whole number, got the string "x".',
            "2:16: /criteria/a/uniform: the lowest score, 1, is above the highest, 0; write the "
            "lowest first.",
            '2:38: /criteria/b/scor: unknown property in "b"; did you mean "score"?',
            "3:1: /completions: expected a list, got an empty mapping.",
            "5:15: /faults/0/first: the first 1 requests end before it is this fault's turn, so this never "
            "happens.",
            "6:25: /faults/1/status: expected at least 400, got the number 200.",
        ],
    ),
    "keys that YAML turns into something else, and keys that stand twice": (
        "criteria:\n  true: {score: 1}\n  1: {score: 1}\n  a: {score: 1}\n  a: {scor: 1}",
        [
            '2:3: /criteria/true: YAML reads the key true as a boolean; put it in quotes: "true".',
            '3:3: /criteria/1: YAML reads the key 1 as a number; put it in quotes: "1".',
            '5:3: /criteria/a: the key "a" stands here twice, first in line 4; remove one.',
        ],
    ),
    "a mapping that is used twice": (
        "criteria:\n  a: &it {scor: 1}\n  b: *it",
        [
            '2:11: /criteria/a/scor: unknown property in "a"; did you mean "score"?',
            '2:11: /criteria/b/scor: unknown property in "b"; did you mean "score"?',
        ],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_all_mistakes_are_told_with_their_places(name: str) -> None:
    text, lines = WRONG[name]
    assert mistakes(text) == lines


@pytest.mark.slow
def test_of_very_many_mistakes_the_first_are_told() -> None:
    lines = "".join(f"k{number}: 1\n" for number in range(2000))
    for text in (lines, lines.replace("k", "").replace(": 1", ":")):
        with pytest.raises(ConfigError) as caught:
            read_config(text.encode())
        assert len(str(caught.value).splitlines()) == MOST_MISTAKES + 1
        assert str(caught.value).endswith("\nand more; correct these first.")


def test_many_parts_with_mistakes_among_right_ones() -> None:
    parts = "".join(f"  a{n}: {{scor: 1}}\n  b{n}: {{uniform: [1, 0]}}\n" for n in range(200))
    assert len(mistakes(f"criteria:\n{parts}")) == 400


PART_MISTAKES: dict[str, tuple[Callable[[], object], list[str]]] = {
    "criterion": (
        lambda: configfile.parse_criterion({"scor": 1}, place="/criteria/a"),
        ['/scor: unknown property in the criterion; did you mean "score"?'],
    ),
    "criterion, semantics": (
        lambda: configfile.parse_criterion({"v1": {"uniform": [1, 0]}}, place="/criteria/a"),
        ["/v1/uniform: the lowest score, 1, is above the highest, 0; write the lowest first."],
    ),
    "script": (
        lambda: configfile.parse_script([], place="/completions/0"),
        ["body: expected an object, got an array of 0."],
    ),
    "fault": (
        lambda: configfile.parse_fault({"status": 1, "when": {"tol": "x"}}, place="/faults/0"),
        [
            "/status: expected at least 400, got the number 1.",
            '/when/tol: unknown property in "when"; did you mean "tool"?',
        ],
    ),
    "limits": (
        lambda: configfile.parse_limits({"concurrent": "x"}),
        ['/concurrent: expected a whole number or null, got the string "x".'],
    ),
    "when, of a wrong shape": (
        lambda: configfile.parse_when({"tol": "x", "tool": {"matches": "("}}),
        [
            '/tol: unknown property in the condition; did you mean "tool"?',
            f"/tool/matches: RE2 doesn't read this regular expression: {UNCLOSED}",
        ],
    ),
    "fault, of a wrong shape": (
        lambda: configfile.parse_fault(
            {"every": 0, "empty": True, "when": {"tool": {"matches": "("}}}, place="/faults/0"
        ),
        [
            "/every: expected at least 1, got the number 0.",
            f"/when/tool/matches: RE2 doesn't read this regular expression: {UNCLOSED}",
        ],
    ),
    "when": (
        lambda: configfile.parse_when({"last_user": {"matches": "["}, "tool": {"matches": "("}}),
        [
            f"/last_user/matches: RE2 doesn't read this regular expression: {OPEN_CLASS}",
            f"/tool/matches: RE2 doesn't read this regular expression: {UNCLOSED}",
        ],
    ),
}


@pytest.mark.parametrize("part", PART_MISTAKES)
def test_a_single_part_is_refused_in_the_same_words_with_pointers_from_its_start(part: str) -> None:
    build, sentences = PART_MISTAKES[part]
    with pytest.raises(Mistakes) as caught:
        build()
    assert [str(violation) for violation in caught.value.violations] == sentences
    assert str(caught.value) == "\n".join(sentences)


# Any config.


def plain(settings: Settings) -> str:
    """Settings as they can be compared: compiled patterns have no equals."""
    return re.sub(r"<function [^>]*>+ at 0x[0-9a-f]+>", "", repr(settings))


@thorough
@given(PARTS[""])
def test_every_right_config_is_read(value: Json) -> None:
    found = read_config(as_yaml(value))
    assert plain(found) == plain(configfile.settings(value))
    assert list(found.criteria) == list(value.get("criteria", ()))
    assert len(found.completions) == len(value.get("completions", ()))
    assert len(found.faults) == len(value.get("faults", ()))


PARSERS: dict[str, Callable[[Json], object]] = {
    "criterion": lambda value: configfile.parse_criterion(value, place="/x"),
    "script": lambda value: configfile.parse_script(value, place="/x"),
    "fault": lambda value: configfile.parse_fault(value, place="/x"),
    "limits": configfile.parse_limits,
    "when": configfile.parse_when,
    "": configfile.settings,
}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARSERS)
def test_a_part_is_read_or_its_mistakes_are_told(part: str) -> None:
    @thorough
    @given(PARTS[part] | wrong(PARTS[part]) | anything)
    def never_otherwise(value: Json) -> None:
        try:
            PARSERS[part](value)
        except Mistakes as error:
            refused = error.violations
        else:
            refused = ()
            assert configfile.shape_validator(part).is_valid(value)
        if not configfile.shape_validator(part).is_valid(value):
            assert refused

    never_otherwise()


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """The example with some bytes lost, doubled or replaced."""
    data = EXAMPLE
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 30))
        data = (
            data[:start]
            + draw(st.sampled_from([b"", data[start:end] * 2]) | st.binary(max_size=4))
            + data[end:]
        )
    return data


@thorough
@given(mangled() | st.binary(max_size=99) | wrong(PARTS[""]).map(as_yaml))
def test_any_bytes_give_settings_or_mistakes_with_places(data: bytes) -> None:
    try:
        assert isinstance(read_config(data, "f"), Settings)
    except ConfigError as error:
        lines = str(error).splitlines()
    else:
        lines = []
    for line in lines:
        assert re.fullmatch(r"f:[1-9]\d*:[1-9]\d*: .*[.?]", line), line


def test_keys_that_are_no_text_are_reported_beside_all_other_mistakes() -> None:
    text = b"critera: {}\ncriteria:\n  1: {score: 1}\n  a: {scor: 1}\n  a: {score: 1}\nversion: 2\n"
    with pytest.raises(ConfigError) as caught:
        read_config(text, "file")
    told = [(mistake.line, mistake.column, mistake.pointer) for mistake in caught.value.mistakes]
    assert told == [
        (1, 1, "/critera"),
        (3, 3, "/criteria/1"),
        (4, 7, "/criteria/a/scor"),
        (5, 3, "/criteria/a"),
        (6, 1, "/version"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "auth: {123456: 1}",
        "auth: {keys: [!123456 x]}",
        "auth: {keys: *123456}",
        "auth: {keys: {123456: 1, 123456: 2}}",
        "auth: {keys: [{'123456': x}]}",
        "auth: ['123456']",
        "auth: {keys: [], '123456': {a: b}}",
        "auth: {read_only_keys: 123456}",
    ],
)
def test_no_mistake_repeats_what_may_be_a_key(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(f"{text}\nsed: 1".encode())
    assert "123456" not in str(caught.value)
    assert "/auth" in str(caught.value)
