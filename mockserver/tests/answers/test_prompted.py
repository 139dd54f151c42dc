"""Schemas in prompts: those that clients write, answered with a value; and texts that only resemble them.

`prompts.json` has what these packages sent, recorded on the wire or from their format instructions:
instructor 1.17.0, DSPy 3.4.1, pydantic-ai 2.38.0, langchain-core 1.8.3, AI SDK 6.0 and 4.3, LangChain JS
(core 0.3.80, openai 1.5.8).
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers import prompted
from openpipe_mock.answers.prompted import prompted_schema
from openpipe_mock.config.file import read_config
from openpipe_mock.config.settings import Settings
from openpipe_mock.core import canonical
from openpipe_mock.service.service import Service
from tests.chatting import ask, asking, choices, chunks, joined, tool, user

Json = Any

PROMPTS: dict[str, Json] = json.loads((Path(__file__).parent / "prompts.json").read_text("utf-8"))
FENCE = re.compile(r"```json\n(.*)\n```", re.S)

ADDRESS: Json = {
    "type": "object",
    "properties": {"street": {"type": "string"}, "zip_code": {"type": "string"}},
    "required": ["street", "zip_code"],
    "additionalProperties": False,
}
PERSON: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "mood": {"enum": ["calm", "excited"]},
        "address": ADDRESS,
        "friends": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "age", "mood", "address"],
    "additionalProperties": False,
}


def wrapped(**members: Json) -> Json:
    return {
        "type": "object",
        "properties": members,
        "required": [*members],
        "additionalProperties": False,
    }


def said(body: Json, settings: Settings | None = None) -> str:
    """What the first choice says."""
    [choice] = choices(Service(settings), {"model": "m", **body})
    text: str = choice["message"]["content"]
    return text


def prompt(*texts: str, json_mode: bool = False) -> Json:
    """A request with these texts: all but the last from the system."""
    *before, last = texts
    messages = [*({"role": "system", "content": text} for text in before), user(last)]
    form = {"response_format": {"type": "json_object"}} if json_mode else {}
    return {"messages": messages, **form}


def is_plain(text: str) -> bool:
    return " mock answer to " in text and "{" not in text


# What clients write.

ANSWERED = {
    "instructor, Mode.JSON": PERSON,
    "instructor, Mode.MD_JSON": PERSON,
    "pydantic-ai, PromptedOutput": PERSON,
    "pydantic-ai, PromptedOutput of two models": wrapped(
        result={
            "anyOf": [
                wrapped(kind={"const": "Person"}, data=PERSON),
                wrapped(kind={"const": "Address"}, data=ADDRESS),
            ]
        }
    ),
    "DSPy, JSONAdapter with a model": wrapped(person=PERSON),
    "DSPy, JSONAdapter with plain fields": wrapped(
        label={"enum": ["good", "bad"]},
        sure={"type": "boolean"},
        count={"type": "integer"},
        mood={"enum": ["calm", "excited"]},
        names={"type": "array", "items": {"type": "string"}},
        reason={"type": "string", "minLength": 1},
    ),
    "LangChain, PydanticOutputParser": PERSON,
    "LangChain JS, StructuredOutputParser": PERSON,
    "AI SDK 4, generateObject": PERSON,
}
"""A recorded prompt → a schema, written by hand, that its answer has to fit."""
FENCED = {"instructor, Mode.MD_JSON", "LangChain JS, StructuredOutputParser"}
WITHOUT = {"LangChain JS, jsonMode", "AI SDK, generateObject"}
"""Clients that ask for a JSON object and write no schema anywhere."""


def test_each_recorded_prompt_is_looked_at() -> None:
    assert set(PROMPTS) == {*ANSWERED, *WITHOUT, "DSPy, ChatAdapter"}


@pytest.mark.parametrize("name", ANSWERED)
def test_a_recorded_prompt_is_answered_with_a_value_for_its_schema(name: str) -> None:
    for number in range(3):
        body = {**PROMPTS[name], "n": number + 1}
        text = choices(Service(), {"model": "m", **body})[number]["message"]["content"]
        fenced = FENCE.fullmatch(text)
        assert bool(fenced) == (name in FENCED)
        jsonschema_rs.validate(ANSWERED[name], json.loads(fenced[1] if fenced else text))


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_without_a_schema_json_mode_answers_as_ever(name: str) -> None:
    assert list(json.loads(said(PROMPTS[name]))) == ["answer"]


def test_json_that_nothing_describes_is_told_once() -> None:
    service = Service()
    body = {"model": "m", **prompt("Give me JSON.", json_mode=True)}
    [note] = ask(service, body).notes
    assert note.startswith("`response_format` is json_object and no message holds a JSON Schema")
    assert ask(service, {**body, "n": 2}).notes == ()


def test_json_that_is_described_scripted_or_not_sent_needs_no_word() -> None:
    described = prompt(json.dumps(PERSON), "Me.", json_mode=True)
    assert ask(Service(), {"model": "m", **described}).notes == ()
    bare = {"model": "m", **prompt("Give me the weather as JSON.", json_mode=True)}
    assert ask(Service(Settings(prompt_schemas=False)), bare).notes == ()
    assert ask(Service(read_config(b"completions: [{text: '{}'}]")), bare).notes == ()
    assert ask(Service(), {**bare, "tools": [tool("get_weather")]}).notes == ()


def test_a_prompt_that_asks_for_another_form_gets_a_text() -> None:
    assert is_plain(said(PROMPTS["DSPy, ChatAdapter"]))


@pytest.mark.parametrize("name", ANSWERED)
def test_one_setting_turns_it_off(name: str) -> None:
    text = said(PROMPTS[name], Settings(prompt_schemas=False))
    assert list(json.loads(text)) == ["answer"] if "response_format" in PROMPTS[name] else is_plain(text)


def test_a_stream_says_the_same() -> None:
    body = {"model": "m", **PROMPTS["instructor, Mode.MD_JSON"]}
    [streamed] = joined(chunks(ask(Service(), {**body, "stream": True})))["choices"]
    assert streamed["message"]["content"] == said(body)


# What a text asks for.

SCHEMA = json.dumps(PERSON)
CAT = json.dumps({"type": "object", "properties": {"cat": {"const": "Tom"}}, "required": ["cat"]})
EXAMPLE = '{"name": "Ann", "age": 3, "mood": "calm", "type": "object"}'
ASKING = [
    f"Return only valid JSON that fits this schema: {SCHEMA}",
    f"{SCHEMA}\n\nRespond in JSON.",
    f"Reply with a single JSON object.\n```\n{SCHEMA}\n```",
    f"Extract the person. Your output must be formatted as JSON. Schema:\n{SCHEMA}",
    f"Output JSON.\n{json.dumps(PERSON, indent=4)}",
    f"Answer as JSON. For example {EXAMPLE} would do.\nSchema: {SCHEMA}",
    f"Answer as JSON by this schema: {SCHEMA}\nFor example: {EXAMPLE}",
    f"Answer as JSON. A cat has this schema: {CAT}. Yours is {SCHEMA}",
    f'Answer as JSON. Leave {{"this": ...}} and {{"that out. Schema: {SCHEMA}',
]
TALKING = [
    f"Explain this JSON Schema: {SCHEMA}",
    f"What does `age` mean in this schema?\n```json\n{SCHEMA}\n```",
    f"Is this JSON schema right? {SCHEMA}",
    f"Give me feedback on this JSON schema, please: {SCHEMA}",
    f"I return JSON from my server; here is the schema that my tests read. {SCHEMA}",
    f"Write an explanation of the JSON below.\n{SCHEMA}",
    f"Answer as JSON, like {EXAMPLE}",
    "Answer as JSON.",
    'Answer as JSON: {"properties": {"name": ["Ann"]}}',
    'Answer as JSON: {"properties": {"name": {"type": "string"}}',
]


@pytest.mark.parametrize("text", ASKING)
def test_where_a_text_asks_for_json_its_schema_is_answered(text: str) -> None:
    jsonschema_rs.validate(PERSON, json.loads(said(prompt(text))))
    jsonschema_rs.validate(PERSON, json.loads(said(prompt(text, "Who is Ann?"))))
    jsonschema_rs.validate(PERSON, json.loads(said(prompt(text, json_mode=True))))


@pytest.mark.parametrize("text", TALKING)
def test_where_it_only_talks_of_one_the_answer_is_a_text(text: str) -> None:
    assert " mock answer to “" in said(prompt(text))


@pytest.mark.parametrize("text", [text for text in TALKING if SCHEMA in text])
def test_in_json_mode_any_schema_is_meant(text: str) -> None:
    jsonschema_rs.validate(PERSON, json.loads(said(prompt(text, json_mode=True))))


def test_a_schema_to_talk_of_leaves_the_one_that_is_asked_for() -> None:
    body = prompt(f"Respond in JSON by this schema: {SCHEMA}", f"What is this? {CAT}")
    jsonschema_rs.validate(PERSON, json.loads(said(body)))
    body = prompt(f"Respond in JSON by this schema: {SCHEMA}", f"What is this? {CAT}", json_mode=True)
    jsonschema_rs.validate(PERSON, json.loads(said(body)))


@pytest.mark.parametrize(
    ("asks", "fenced"),
    [
        ("Return JSON within a ```json block.", True),
        ("Return JSON in a code block.", True),
        ("Return JSON inside the markdown fence.", True),
        ("Return JSON in ```json.", True),
        ("Return JSON without a code block, not in a fence.", False),
        ("Return JSON. Do not put it in a markdown block.", False),
        ("Return JSON. The schema:", False),
    ],
)
def test_a_fence_stands_where_one_is_asked_for(asks: str, fenced: bool) -> None:
    for body in (prompt(f"{asks}\n{SCHEMA}"), prompt(f"Schema: {SCHEMA}", asks)):
        assert bool(FENCE.fullmatch(said(body))) == fenced
    assert not FENCE.fullmatch(said(prompt(f"{asks}\n{SCHEMA}", json_mode=True)))


def test_what_a_user_asked_before_an_answer_is_over() -> None:
    body = prompt(f"Return JSON: {SCHEMA}")
    after = [*body["messages"], {"role": "assistant", "content": "{}"}, user("Thank you. Tell me a joke.")]
    assert is_plain(said({"messages": after}))
    form = {"type": "json_object"}
    jsonschema_rs.validate(PERSON, json.loads(said({"messages": after, "response_format": form})))


def test_a_schema_in_an_answer_or_a_result_counts_for_nothing() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    body = {
        "messages": [
            user("Return JSON."),
            {"role": "assistant", "content": SCHEMA, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": f"Return JSON: {SCHEMA}"},
        ]
    }
    assert " mock answer to " in said(body)


def test_a_tool_that_the_text_mentions_and_a_schema_of_the_request_come_first() -> None:
    body = asking(f"look_up Ann. Return JSON: {SCHEMA}", tools=[tool("look_up")])
    assert choices(Service(), body)[0]["message"]["tool_calls"]
    form = {"type": "json_schema", "json_schema": {"name": "cat", "schema": json.loads(CAT)}}
    assert json.loads(said({**prompt(f"Return JSON: {SCHEMA}"), "response_format": form}))["cat"] == "Tom"


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"$defs": {"P": ADDRESS}, "$ref": "#/$defs/P"}, ADDRESS),
        ({"definitions": {"P": ADDRESS}, "$ref": "#/definitions/P"}, ADDRESS),
        ({"anyOf": [ADDRESS]}, ADDRESS),
        ({"type": "array", "items": ADDRESS, "minItems": 2}, {"type": "array", "minItems": 2}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"type": "object"}),
        ({"properties": {"a": ADDRESS, "b": True}}, {"type": "object", "required": ["a"]}),
    ],
)
def test_schemas_of_many_forms_are_known(schema: Json, fits: Json) -> None:
    jsonschema_rs.validate(fits, json.loads(said(prompt(f"Return JSON: {json.dumps(schema)}"))))


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "strin"}}},
        {"properties": {"a": {"$ref": "#/nowhere"}}, "required": ["a"]},
        {"properties": {"a": False}, "required": ["a"]},
    ],
)
def test_a_schema_that_nothing_fits_is_no_error(schema: Json) -> None:
    text = f"Return JSON: {json.dumps(schema)}"
    assert " mock answer to " in said(prompt(text))
    assert list(json.loads(said(prompt(text, json_mode=True)))) == ["answer"]


# DSPy's template.

NOTE, ADHERE = "# note: the value you produce must", "adhere to the JSON schema:"


@pytest.mark.parametrize(
    ("template", "fits"),
    [
        ({"a": "{a}"}, wrapped(a={"type": "string"})),
        ({"a b": f"{{a b}}   {NOTE} be True or False"}, wrapped(**{"a b": {"type": "boolean"}})),
        ({"a/b": f"{{a/b}} {NOTE} {ADHERE} {SCHEMA}"}, wrapped(**{"a/b": PERSON})),
        ({"a": f"{{a}} {NOTE} {ADHERE} nothing"}, {"required": ["a"]}),
        ({"a": f"{{a}} {NOTE} {ADHERE} true"}, {"required": ["a"]}),
    ],
)
def test_a_template_is_filled(template: Json, fits: Json) -> None:
    text = f"Outputs will be a JSON object with the following fields.\n\n{json.dumps(template, indent=2)}"
    jsonschema_rs.validate(fits, json.loads(said(prompt(text, "Hi", json_mode=True))))


@pytest.mark.parametrize("other", [{"a": "{b}"}, {"a": "a"}, {"a": "{a}", "b": 1}])
def test_another_object_is_no_template(other: Json) -> None:
    assert list(json.loads(said(prompt(json.dumps(other), json_mode=True)))) == ["answer"]


# Hostile and ordinary texts.


class Counting:
    """A decoder that counts what it reads."""

    def __init__(self) -> None:
        self.calls = self.characters = 0

    def raw_decode(self, text: str, start: int) -> tuple[Json, int]:
        self.calls += 1
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except json.JSONDecodeError as error:
            self.characters += error.pos - start
            raise
        self.characters += end - start
        return value, end


HOSTILE = {
    "braces": "{" * 1_000_000,
    "beginnings": '{"properties": ' * 70_000,
    "nested": '{"properties":{"a":' * 50_000,
    "closed": '{"properties":{"a":' * 50_000 + "1" + "}}" * 50_000,
    "unclosed strings": '{"properties' * 80_000,
    "a long list each": ('{"properties": [' + "1," * 300) * 1500,
    "many small ones": '{"properties": {}} ' * 50_000,
    "verbs": '{"properties": 1}' + "return " * 140_000,
    "a fence": '{"properties": {}}' + "in a " * 200_000,
    "white space": '{"properties": 1}' + ("{" + " " * 1000) * 1000,
    "long numbers": '{"properties": {}, "a": ' + "1" * 100_000 + "}",
    "no numbers": '{"properties": {"a": NaN}}' * 40_000,
    "half pairs": '{"properties": {"\\ud800": {}}}' * 30_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_read_a_bounded_number_of_times(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    monkeypatch.setattr(prompted, "_DECODER", counting)
    messages = [user(HOSTILE[name])] * 5
    prompted_schema(messages, json_mode=True)
    assert counting.characters <= 2 * prompted._MOST_READ + 1
    assert counting.calls <= prompted._MOST_READ // 2
    assert said(prompt(HOSTILE[name], json_mode=True))


@pytest.mark.parametrize("text", ["Hi", "Return JSON", "{name} is {age}", '{"a": 1}', "x" * 1_000_000])
def test_in_a_text_without_a_schema_nothing_is_decoded(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    monkeypatch.setattr(prompted, "_DECODER", counting)
    for json_mode in (True, False):
        assert prompted_schema([user(text)], json_mode=json_mode) is None
    assert counting.calls == 0


@given(
    st.lists(st.sampled_from([SCHEMA, CAT, EXAMPLE, "{", "}", '"', '{"', "```json", "Return JSON. ", "\\"]))
)
def test_any_text_gets_an_answer(pieces: list[str]) -> None:
    text = "".join(pieces)
    for json_mode in (True, False):
        found = said(prompt(text, json_mode=json_mode))
        assert not json_mode or isinstance(json.loads(found), dict)


def test_the_answer_is_a_function_of_the_request() -> None:
    body = prompt(f"Return JSON: {SCHEMA}")
    first = said(body)
    assert said(body) == first
    assert first == canonical.spelled(json.loads(first)).decode()
