"""Configs, drawn by hypothesis: right ones, and such as people get wrong."""

import json
from typing import Any

from hypothesis import strategies as st

from openpipe_mock.config.file import schema
from openpipe_mock.openapi.violations import declarations
from tests.generate import Change, Strategy, anything, changed, edited, places, texts

Json = Any

NAMES = ("helpful", "concise", "a/b~c", "é😀", "x" * 200, "v1", "-")
ROLES = ("system", "user", "assistant", "developer", "tool", "function")
REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call")
ENDPOINTS = ("judge", "chat", "report", "report-anthropic", "update-tags", "update-metadata", "check-cache")

shares: Strategy = st.sampled_from([0, 1, 0.5, 0.25]) | st.floats(0, 1)
scores: Strategy = st.sampled_from([0, 1, 0.7, 1.0]) | st.floats(0, 1)
centres: Strategy = st.sampled_from([0, 1, 0.7, -1, 2, 1e300]) | st.floats(-1, 2)
counts: Strategy = st.integers(1, 9)
milliseconds: Strategy = st.sampled_from([0, 1, 0.5, 600_000])
durations: Strategy = milliseconds | st.just({"uniform": [200, 900.5]})
globs: Strategy = st.sampled_from(["openai:*", "openpipe:my-model", "*", "[", "?"])
patterns: Strategy = st.sampled_from(["", "(?i)weather", r"\d+$", "^a|b", "[😀]", "x{1,9}"])


def some(required: dict[str, Strategy], **optional: Strategy) -> Strategy:
    """Objects with these members, and some of those."""
    return st.fixed_dictionaries(required, optional=optional)


def joined(*objects: Strategy) -> Strategy:
    """Objects with the members of several."""
    return st.tuples(*objects).map(lambda parts: {name: part[name] for part in parts for name in part})


def one_of(**members: Strategy) -> Strategy:
    """Objects with exactly one of these members."""
    return st.one_of([some({name: member}) for name, member in members.items()])


tests: Strategy = texts | some({"contains": texts}, equals=texts) | some({"matches": patterns})
tests_of_input = {
    "last_user": tests,
    "system": tests,
    "messages": st.dictionaries(st.sampled_from(ROLES), tests, max_size=2),
    "tool": tests,
}
whens: Strategy = some(
    {},
    **tests_of_input,
    model=globs,
    output=tests,
    header=st.dictionaries(st.sampled_from(["x-test", "X-Other", "a_b.c~"]), tests, max_size=2),
    metadata=st.dictionaries(texts, tests, max_size=2),
    endpoint=st.sampled_from(ENDPOINTS),
    criterion=tests,
    last_message=tests,
    last_result=tests,
    last_tool=tests,
    body=some({"pointer": st.sampled_from(["", "/temperature", "/messages/0/role"])}, equals=anything),
)
scenes: Strategy = some({}, input=some({}, **tests_of_input), output=tests)

bounds: Strategy = st.tuples(scores, scores).map(sorted)
lengths: Strategy = st.tuples(st.integers(0, 50), counts).map(lambda n: {"best": n[0], "worst": n[0] + n[1]})
companions = {"explanation": texts, "usage": st.integers(0, 999), "flip_share": shares}
decimals = {"decimals": st.integers(0, 6)}
errors: Strategy = some({}, status=st.integers(400, 599), message=texts)


def forms_of(inner: Strategy) -> Strategy:
    """Forms whose parts are numbers or `inner` forms."""
    part = scores | inner
    rules = joined(some({"when": scenes}), inner)
    ways = st.one_of(
        some({"score": scores}, **companions),
        some({"uniform": bounds}, **companions, **decimals),
        some({"near": centres}, within=shares, **companions, **decimals),
        some({"length": lengths}, **companions, **decimals),
        some({"pass_rate": shares}, **companions),
        some({"rules": st.lists(rules, min_size=1, max_size=2)}, otherwise=part, **companions),
        some({"by_output": st.dictionaries(texts, part, min_size=1, max_size=2)}, otherwise=part),
        some(
            {"sequence": st.lists(part, min_size=1, max_size=3)},
            then=st.sampled_from(["repeat", "last", "fail"]),
        ),
        one_of(error=errors, raw=anything),
    )
    return ways


forms: Strategy = st.recursive(some({"score": scores}, **companions), forms_of, max_leaves=4)
criteria: Strategy = forms | st.dictionaries(
    st.sampled_from(["v1", "v2", "v10", "v999999999"]), forms, min_size=1, max_size=2
)

arguments: Strategy = texts | st.dictionaries(texts, anything, max_size=2)
calls: Strategy = st.lists(
    some({"name": st.just("get_weather"), "arguments": arguments}, id=st.just("call_1")),
    min_size=1,
    max_size=2,
)
reasons: Strategy = st.sampled_from(REASONS)
likely: Strategy = some({"token": texts, "bytes": st.none(), "logprob": st.floats(-9, 0)})
likelihoods: Strategy = some({}, content=st.lists(joined(likely, some({"top_logprobs": st.lists(likely)}))))
templates: Strategy = st.sampled_from(["", "{last_user} {{}}", "{call}: {/messages/0/content}{model}"])
single_choices: Strategy = st.one_of(
    one_of(
        template=templates, text=st.none() | texts, refusal=texts, tool_calls=calls, reasoning_content=texts
    ),
    some({"tool_calls": calls}, text=texts, refusal=texts, reasoning_content=texts, logprobs=likelihoods),
)
tokens: Strategy = st.integers(0, 10**6)
usages: Strategy = some({"prompt_tokens": tokens}, completion_tokens=tokens, total_tokens=tokens)
paces: Strategy = some({}, first_token_ms=durations, tokens_per_second=st.just(50), jitter=shares)
envelopes: Strategy = some(
    {}, delay_ms=durations, pace=paces, id=texts, model=texts, created=tokens, usage=usages
)
choices: Strategy = texts | joined(single_choices, some({}, finish_reason=reasons))
named: Strategy = some({}, name=texts, when=whens)
asked: Strategy = some({}, **tests_of_input, model=globs, criterion=tests, endpoint=st.just("chat"))
headers: Strategy = st.dictionaries(
    st.sampled_from(["x-should-retry", "X-RateLimit-Remaining-Requests", "x_other~"]),
    st.sampled_from(["", "0", "a; b=c"]) | st.booleans() | st.integers(0, 9) | shares,
    min_size=1,
    max_size=2,
)
pieces: Strategy = texts | st.dictionaries(texts, anything, max_size=2)
streams: Strategy = texts | st.lists(pieces, min_size=1, max_size=3)
answers: Strategy = joined(
    st.one_of(
        joined(single_choices, some({}, finish_reason=reasons)),
        joined(some({"choices": st.lists(choices, min_size=1, max_size=3)}), envelopes),
        some({"choices": st.lists(texts, min_size=1, max_size=3)}, finish_reason=reasons),
        some({"raw": anything}),
        some({"stream": streams}, text=texts),
    ),
    some({}, headers=headers),
)
order: Strategy = st.one_of(some({}, first=counts), some({"every": counts}), some({"call": counts}))
in_turn: Strategy = st.lists(texts | some({"template": templates}) | answers, min_size=1, max_size=3)
scripts: Strategy = joined(
    some({}, name=texts, when=asked),
    st.one_of(
        joined(answers, order),
        joined(some({"sequence": in_turn}, then=st.sampled_from(["repeat", "last", "fail"])), order),
        some({"turns": in_turn}),
    ),
)

true: Strategy = st.just(True)
happenings: Strategy = st.one_of(
    some({"status": st.integers(400, 599)}, message=texts, code=texts, retry_after=milliseconds),
    some({"status": st.integers(400, 599)}, body=anything, retry_after=milliseconds),
    some({"status": st.integers(400, 599)}, body=texts, content_type=st.just("text/html")),
    some({"disconnect": true}, after_events=st.integers(0, 9)),
    some({"timeout": true}, after_events=st.integers(0, 9)),
    some({"disconnect": true}, after_bytes=st.integers(0, 9)),
    some({"error_event": true | texts}, after_events=st.integers(0, 9)),
    joined(one_of(malformed=true, raw=anything), some({}, content_type=st.just("text/html; charset=x"))),
    one_of(truncated=true, empty=true, endless=true, content_type=st.just("text/plain")),
    some({"delay_ms": durations}),
    some({"drip": some({}, bytes=counts, every_ms=durations)}),
)
turns: Strategy = st.one_of(
    some({}, share=shares, first=counts), some({"every": counts}, share=shares), some({"call": counts})
)
pauses: Strategy = some({}, delay_ms=durations, drip=some({}, bytes=counts))
faults: Strategy = joined(named, turns, pauses, happenings)

limits: Strategy = some(
    {}, requests_per_minute=st.none() | counts, concurrent=st.none() | st.sampled_from([1, 2.0])
)
configs: Strategy = some(
    {},
    version=st.just(1),
    answers=st.sampled_from([1, 2]),
    seed=st.sampled_from([-(2**63), 2**64 - 1, 0, 42, 7.0]),
    validation=st.sampled_from(["strict", "exact", "lenient"]),
    repeat=st.sampled_from(["same", "vary"]),
    ids=st.sampled_from(["content", "random"]),
    clock=st.sampled_from(["fixed", "real"]),
    auto_tools=st.sampled_from(["mention", "always", "never"]),
    prompt_schemas=st.booleans(),
    magic=st.booleans(),
    auth=some({}, keys=st.just(["op-local"]), read_only_keys=st.just(["op-reader", "~!"])),
    criteria=st.dictionaries(st.sampled_from(NAMES), criteria, max_size=2),
    unknown_criteria=st.sampled_from(["judge", "not_found"]),
    completions=st.lists(scripts, max_size=2),
    unscripted=st.sampled_from(["answer", "refuse"]),
    models=some({}, known=st.lists(globs, min_size=1, max_size=2)),
    stream=some(
        {},
        first_token_ms=durations,
        tokens_per_second=st.sampled_from([None, 0.01, 50]),
        jitter=shares,
        endless_events=counts,
    ),
    limits=limits,
    faults=st.lists(faults, max_size=2),
)
PARTS: dict[str, Strategy] = {
    "": configs,
    "criterion": criteria,
    "script": scripts,
    "fault": faults,
    "limits": limits,
    "when": whens,
}
"""Part of a config, as the schema names it → right ones."""


@st.composite
def misplaced(draw: st.DrawFn, originals: Strategy) -> Json:
    """A value with a key that is right elsewhere, or renamed, in some of its objects."""
    value = draw(originals)
    keys = sorted({path.rpartition(".")[2] for path, _ in declarations(schema())})
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))))
        value = changed(
            value, path, adding(draw(st.sampled_from([*keys, "v2", "v0"])), draw(anything | true))
        )
    return value


def adding(key: str, member: Json) -> Change:
    return lambda value: {**value, key: member} if isinstance(value, dict) else value


def wrong(originals: Strategy) -> Strategy:
    """Values as people get them wrong; a few stay right."""
    return edited(originals) | misplaced(originals) | edited(misplaced(originals))


def as_yaml(value: Json) -> bytes:
    """JSON that YAML reads as what it says: astral characters are written in YAML's way."""
    plain = json.dumps(value, ensure_ascii=False)
    return "".join(map(escaped, plain)).encode()


def escaped(character: str) -> str:
    code = ord(character)
    if character.isascii() and character.isprintable():
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
