"""The list of edits, held against the schema from the other side: without a rule, an edit of it passes."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.pointers import pointer_to
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import Checker, contract
from openpipe_mock.openapi.violations import DIALECT
from openpipe_mock.payloads.edits import Edit, component_edits, edits, edits_at, header_edits
from openpipe_mock.payloads.places import resolve_path, root, walk
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS, header_positives, positives, preceded
from openpipe_mock.service.service import Service
from tests.inprocess import FULL, HEADERS, JUDGE, answer
from tests.live import run

Json = Any

PATHS = {"judge": JUDGE, "chat": f"{BASE}/chat/completions"}
both = pytest.mark.parametrize("endpoint", sorted(REQUEST_COMPONENTS))


def checker(endpoint: str) -> Checker:
    return contract().checker(REQUEST_COMPONENTS[endpoint])


def named(name: str) -> Edit:
    return next(edit for edit in edits(name.partition(".")[0]) if edit.name == name)


# The schema with every reference written out, so that each place can be changed by itself.


def inlined(schema: Json) -> Json:
    if isinstance(schema, list):
        return [inlined(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(contract().document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return {
        key: deepcopy(value) if key in ("enum", "default") else inlined(value)
        for key, value in schema.items()
    }


@cache
def flat(endpoint: str) -> Json:
    return inlined({"$ref": REQUEST_COMPONENTS[endpoint]})


def nodes(schema: Json, place: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema inside a schema, with its place."""
    yield place, schema
    for name, member in schema.get("properties", {}).items():
        yield from nodes(member, f"{place}/{name}")
    for number, branch in enumerate(schema.get("anyOf", ())):
        yield from nodes(branch, f"{place}|{number}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from nodes(schema[keyword], f"{place}/*")


Change = tuple[str, Json, Any, Json]
"""What is changed, by name; the schema, its member, and the new value, GONE to remove it."""
GONE = object()


def loosenings(place: str, node: Json) -> Iterator[Change]:
    """Each rule of one schema, taken away."""
    for keyword in ("type", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "pattern"):
        redundant = keyword == "type" and "enum" in node
        if keyword in node and not redundant:
            yield f"{place} {keyword}", node, keyword, GONE
    for name in node.get("required", ()):
        yield f"{place} required {name}", node, "required", others(node["required"], name)
    if node.get("additionalProperties") is False:
        yield f"{place} additionalProperties", node, "additionalProperties", True


def tightenings(place: str, node: Json) -> Iterator[Change]:
    """Each freedom of one schema, taken away."""
    for branch in node.get("anyOf", ()):
        yield f"{place} anyOf {branch}", node, "anyOf", others(node["anyOf"], branch)
    for option in node.get("enum", ()):
        if option != "null":  # the word stands beside a branch that takes any string
            yield f"{place} enum {option}", node, "enum", others(node["enum"], option) or ["nothing"]
    if isinstance(node.get("type"), list) and "enum" not in node:
        for name in node["type"]:
            yield f"{place} type {name}", node, "type", others(node["type"], name)
    for name in node.get("properties", ()):
        yield f"{place} without {name}", node["properties"], name, False
    if node.get("additionalProperties") is True:
        yield f"{place} closed", node, "additionalProperties", False
    for keyword, step in (("minimum", 1), ("maximum", -1)):
        if keyword in node:
            yield f"{place} {keyword}", node, keyword, node[keyword] + step


def others(options: list[Json], one: Json) -> list[Json]:
    return [option for option in options if option is not one]


def unnoticed(endpoint: str, changes: Any, noticed: Callable[[Any], bool]) -> tuple[int, list[str]]:
    """How many changes of the schema there are, and those that nobody notices."""
    schema, missed = flat(endpoint), []
    every = [change for place, node in list(nodes(schema)) for change in changes(place, node)]
    for name, owner, key, value in every:
        before = dict(owner)
        owner.pop(key) if value is GONE else owner.update({key: value})
        if not noticed(jsonschema_rs.validator_for({"$schema": DIALECT, **schema}).is_valid):
            missed.append(name)
        owner.update(before)
    return len(every), missed


@pytest.mark.parametrize(("endpoint", "least"), [("judge", 200), ("chat", 236)])
def test_every_rule_of_the_schema_at_every_place_has_an_edit_that_only_it_refuses(
    endpoint: str, least: int
) -> None:
    bodies = [edit.apply(edit.base) for edit in edits(endpoint)]
    assert not any(map(checker(endpoint).is_valid, bodies))
    count, missed = unnoticed(endpoint, loosenings, lambda valid: any(map(valid, bodies)))
    assert missed == []
    assert count >= least


@both
def test_every_branch_word_member_and_bound_has_a_positive_that_needs_it(endpoint: str) -> None:
    bodies = [positive.body for positive in positives(endpoint)]
    assert all(map(checker(endpoint).is_valid, bodies))
    count, missed = unnoticed(endpoint, tightenings, lambda valid: not all(map(valid, bodies)))
    assert missed == []
    assert count > 150


def test_a_place_that_nobody_tries_would_be_noticed() -> None:
    """The two tests above, of a list with a hole."""
    bodies = [
        edit.apply(edit.base) for edit in edits("judge") if not edit.name.endswith("tool_call_id.missing")
    ]
    assert unnoticed("judge", loosenings, lambda valid: any(map(valid, bodies)))[1] == [
        "/input/messages/*|4 required tool_call_id"
    ]


# Each edit by itself.


@both
def test_an_edit_breaks_one_rule_where_it_says(endpoint: str) -> None:
    check = checker(endpoint)
    for edit in edits(endpoint):
        base = edit.base
        body = edit.apply(base)
        assert check.is_valid(base), edit
        assert base == edit.base, "the base was changed"
        assert not check.is_valid(check.tidy(body)), edit
        seen = [(violation.pointer, violation.rule) for violation in check.violations(body)]
        assert seen == [(edit.pointer, edit.rule)], edit


@both
def test_what_is_not_lenient_stays_broken_for_a_server_that_strips_and_coerces(endpoint: str) -> None:
    check = checker(endpoint)
    for edit in edits(endpoint):
        loose = check.coerced(check.tidy(edit.apply(edit.base), unknown=True))
        if check.is_valid(loose):
            assert edit.lenient, edit
        assert edit.lenient or edit.rule != "additionalProperties"


@pytest.mark.slow
@both
def test_an_edit_finds_its_place_in_other_bodies(endpoint: str) -> None:
    check, other = checker(endpoint), positives(endpoint)[-1].body
    fitting = [edit for edit in edits(endpoint) if edit.fits(other)]
    assert len(fitting) > 0.9 * len(edits(endpoint))
    for edit in fitting:
        seen = [(violation.pointer, violation.rule) for violation in check.violations(edit.apply(other))]
        assert seen == [(edit.pointer_in(other), edit.rule)], edit


def test_an_edit_that_fits_no_body_says_so() -> None:
    edit = named("judge.input.messages.tool.tool_call_id.missing")
    assert not edit.fits({**FULL, "input": {"messages": []}})
    with pytest.raises(ValueError, match=r"tool_call_id\.missing finds nothing to change in this body"):
        edit.apply({"criterion_id": "x", "output": {"role": "assistant"}})
    assert edit.pointer_in(FULL) == "/input/messages/4/tool_call_id"


def test_the_same_member_is_broken_in_the_branch_that_the_edit_names() -> None:
    body = named("judge.input.messages.tool.content.type-number").apply(FULL)
    assert [message.get("content") for message in body["input"]["messages"]][-3:] == [None, 7, None]


def test_what_an_edit_says_of_itself() -> None:
    edit = named("chat.messages.user.content.image_url.image_url.url.missing")
    told = (edit.rule, edit.component, edit.level, edit.lenient, edit.endpoint, edit.pointer)
    assert told == ("required", "ImageUrl", "decision", False, "chat", "/messages/0/content/0/image_url/url")
    assert repr(edit) == f"Edit(name={edit.name!r}, rule='required', pointer={edit.pointer!r})"


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("judge.output.content.type-number", "documented"),
        ("judge.input.messages.user.additional", "documented"),
        ("chat.messages.user.content.type-number", "decision"),
        ("chat.messages.user.additional", "decision"),
        ("chat.audio.additional", "decision"),
        ("chat.n.minimum", "decision"),
        ("chat.temperature.type-string", "decision"),
        ("chat.messages.missing", "sdk"),
        ("chat.model.missing", "sdk"),
        ("chat.messages.tool.role.enum-unknown", "sdk"),
        ("chat.messages.tool.role.missing", "decision"),
        ("chat.audio.voice.enum-unknown", "decision"),
    ],
)
def test_an_edit_rests_on_what_its_rule_rests_on(name: str, level: str) -> None:
    assert named(name).level == level


def test_a_member_of_its_own_class_is_stronger_than_what_stands_around_it() -> None:
    found = {edit.name: edit.level for edit in component_edits("ChatCompletion", "answer")}
    assert found["answer.choices.item.criteria_results.type-number"] == "documented"
    assert found["answer.choices.item.criteria_results.value.success.score.type-string"] == "documented"
    assert found["answer.choices.item.criteria_results.value.success.errorCode.type-string"] == "sdk"
    assert not any(edit.lenient for edit in component_edits("JudgeCriteriaResponse", "answer"))


def test_null_is_sent_only_where_it_does_not_mean_absent() -> None:
    nulls = {
        edit.name.removesuffix(".type-null") for edit in edits("judge") if edit.name.endswith(".type-null")
    }
    assert "judge.criterion_id" in nulls
    assert "judge.input.messages.tool.tool_call_id" in nulls
    assert not nulls & {"judge.input", "judge.input.messages.user.content", "judge.input.messages.user.name"}


# Headers.


def test_a_header_is_broken_where_the_edit_says() -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for parameter in contract().document["components"]["parameters"].values()
    }
    assert {edit.header for edit in header_edits()} == {
        "op-criteria",
        "op-tags",
        "op-cache",
        "op-log-request",
    }
    for edit in header_edits():
        schema, text = parameters[edit.header], edit.headers[edit.header]
        if edit.rule == "contentMediaType":
            with pytest.raises(json.JSONDecodeError):
                json.loads(text)
            continue
        value = json.loads(text) if "contentSchema" in schema else text
        (error,) = jsonschema_rs.validator_for(schema.get("contentSchema", schema)).iter_errors(value)
        assert (edit.rule, edit.pointer) == (error.kind.name, pointer_to(*error.instance_path))
        assert edit.apply(edit.base) == edit.base
        assert edit.level == "decision"


def test_valid_headers_show_each_word_and_type() -> None:
    shown = [header for positive in header_positives() for header in positive.headers.items()]
    assert len(set(shown)) == len(shown)
    assert {text for name, text in shown if name == "op-cache"} == {
        "readWrite",
        "readOnly",
        "writeOnly",
        "true",
        "false",
    }
    assert ("op-tags", '{"note":1}') in shown
    assert {
        positive.level for positive in header_positives() if positive.headers == {"op-criteria": "[]"}
    } == {"decision"}


# Our own server.


def sent(service: Service, endpoint: str, body: Json, headers: dict[str, str]) -> int:
    known = {name.encode(): text.encode() for name, text in headers.items()}
    return answer(service, body, path=PATHS[endpoint], headers={**HEADERS, **known}).status


@pytest.mark.slow
@both
def test_our_server_takes_each_positive_and_refuses_each_edit(endpoint: str) -> None:
    service, chat = Service(Settings(validation="exact")), endpoint == "chat"
    for positive in (*positives(endpoint), *(header_positives() if chat else ())):
        assert sent(service, endpoint, positive.body, positive.headers) == 200, positive.name
    for edit in (*edits(endpoint), *(header_edits() if chat else ())):
        assert sent(service, endpoint, edit.apply(edit.base), edit.headers) == 400, edit.name


# The list.


def digest(found: Iterator[Edit]) -> str:
    told = [(e.name, e.rule, e.pointer, e.component, e.level, e.lenient, e.text) for e in found]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


PINNED = {
    "judge": (595, "410a585d83d1d101"),
    "chat": (700, "714e609fe3f2624f"),
    "headers": (23, "a9d2a2d5ecb097b8"),
}
"""Count and digest. Names are public: who changes them says so in the changelog."""


@pytest.mark.parametrize("which", sorted(PINNED))
def test_the_list_is_what_it_was(which: str) -> None:
    found = header_edits() if which == "headers" else edits(which)
    assert (len(found), digest(iter(found))) == PINNED[which]


@pytest.mark.slow
def test_the_list_is_the_same_in_another_process_and_needs_no_hypothesis() -> None:
    code = (
        "from tests.payloads.test_edits import digest; from openpipe_mock.payloads.edits import edits;"
        "print(digest(iter(edits('judge'))))"
    )
    assert run([sys.executable, "-c", code], {"PYTHONHASHSEED": "7"}).strip() == PINNED["judge"][1]
    code = "import sys, openpipe_mock.payloads.edits; print('hypothesis' in sys.modules)"
    assert run([sys.executable, "-c", code]) == "False\n"


@both
def test_names_are_unique_also_among_the_positives(endpoint: str) -> None:
    found: list[Any] = [*positives(endpoint), *edits(endpoint)]
    names = [each.name for each in found]
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"{endpoint}.") for name in names)
    assert {each.level for each in found} <= set(LEVELS)


def test_an_unknown_endpoint_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        edits("report")


# Positives.


def test_what_a_model_must_understand_is_said() -> None:
    needs = {positive.name: positive.needs for positive in positives("chat")}
    assert needs["chat.messages.user.content.image_url.object"] == ("images",)
    assert needs["chat.audio.object"] == ("audio",)
    assert needs["chat.fullest"] == ("images", "audio")
    assert needs["chat.audio.null"] == needs["chat.object"] == ()


@pytest.mark.parametrize(
    ("endpoint", "alternatives"),
    [("judge", []), ("chat", ["response_format.text.type", "response_format.json_object.type"])],
)
def test_the_fullest_body_has_every_place_that_can_stand_beside_the_others(
    endpoint: str, alternatives: list[str]
) -> None:
    body = positives(endpoint)[-1].body
    routes = [spot.route for spot in walk(root(REQUEST_COMPONENTS[endpoint]))]
    missing = [".".join(map(str, route)) for route in routes if next(resolve_path(body, route), None) is None]
    assert missing == alternatives


@both
def test_two_valid_bodies_make_a_valid_one(endpoint: str) -> None:
    check, bodies = checker(endpoint), [positive.body for positive in positives(endpoint)]
    for one, other in zip(bodies, bodies[7:] + bodies[:7], strict=True):
        assert check.is_valid(preceded(REQUEST_COMPONENTS[endpoint], one, other))


# Schemas of other kinds.


def edits_of(**member: Json) -> list[tuple[str, str, Json]]:
    """What the edits of an object's member `m` put in its place, without those of its type."""
    schema = {"type": "object", "properties": {"m": member}}
    document = {"components": {"schemas": {"Thing": schema}}}
    found = [edit for spot in walk(root("Thing", document)) for edit in edits_at(spot)]
    return [
        (edit.name, edit.rule, json.loads(edit.text))
        for edit in found
        if edit.rule not in ("type", "additionalProperties")
    ]


@pytest.mark.parametrize(
    ("schema", "edit"),
    [
        ({"type": "number", "minimum": 0}, ("m.minimum", "minimum", -1)),
        ({"type": "number", "maximum": 0.5}, ("m.maximum", "maximum", 1.5)),
        ({"type": "string", "minLength": 2}, ("m.minLength", "minLength", "x")),
        ({"type": "string", "maxLength": 2}, ("m.maxLength", "maxLength", "xxx")),
        (
            {"anyOf": [{"type": "string", "maxLength": 0}, {"type": "null"}]},
            ("m.maxLength", "maxLength", "x"),
        ),
        ({"type": "string", "enum": ["Yes"]}, ("m.enum-empty", "enum", "")),
    ],
)
def test_each_bound_is_broken_by_its_nearest_neighbour(schema: Json, edit: tuple[str, str, Json]) -> None:
    found = edits_of(**schema)
    assert edit in found
    for _, _, value in found:
        assert not jsonschema_rs.validator_for(schema).is_valid(value)


def test_a_keyword_that_nobody_knows_how_to_break_is_refused() -> None:
    with pytest.raises(ValueError, match=r"m: no edit breaks multipleOf; add it to edits\.BREAKS"):
        edits_of(type="number", multipleOf=2)
