"""What the contract allows: every value has its row, every row is true, and the page says the same."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from openpipe_mock.faults.allowed import FREEDOMS, MEMBERS, ROOTS, USUAL, member_values
from openpipe_mock.faults.variants import ONLY_NAMED, VARIANTS
from openpipe_mock.openapi.shapes import union
from openpipe_mock.openapi.spec import contract
from tests.chatting import asking, sent_with, tool
from tests.faults.test_variants import Answered, ask
from tests.faults.variants_page import PAGE, made
from tests.inprocess import JUDGE, MINIMAL

Json = Any
NAMES = {variant.name for variant in (*VARIANTS, *ONLY_NAMED)}
OBSERVED = ("absent", "null", "empty")
FUNCTION = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


def test_each_value_that_the_contract_allows_has_a_row_and_no_other() -> None:
    allowed: dict[str, set[str]] = defaultdict(set)
    for member, value in member_values(contract().document):
        allowed[member].add(value)
    assert {member: set(row) for member, row in MEMBERS.items()} == allowed


def test_what_has_a_value_is_a_variant_or_a_reason() -> None:
    for row in (*MEMBERS.values(), *FREEDOMS.values()):
        for by in row.values():
            assert by in NAMES or by == USUAL or by.startswith("not shown: ")


def test_each_variant_shows_something() -> None:
    shown = {by for row in (*MEMBERS.values(), *FREEDOMS.values()) for by in row.values()}
    assert shown >= NAMES


def answers(variant: str | None) -> Iterator[tuple[str, Answered]]:
    """Answers of all kinds, each with its schema."""
    criteria = sent_with(op_criteria=["helpful", "polite"])
    weather = asking("What is the weather in Rome?", tools=[tool("weather")])
    legacy = asking("What is the weather in Rome?", functions=[FUNCTION], function_call={"name": "weather"})
    yield "JudgeCriteriaResponse", ask(dict(MINIMAL), variant, path=JUDGE)
    yield "Error", ask({}, variant, path=JUDGE)
    yield "ChatError", ask({"model": "gpt-4o"}, variant)
    likely = asking(n=3, logprobs=True, top_logprobs=2)
    for body in (likely, asking(logprobs=True), asking(), weather, legacy):
        yield "ChatCompletion", ask(body, variant, headers=criteria if body is likely else sent_with())
        streamed = ask({**body, "stream": True, "stream_options": {"include_usage": True}}, variant)
        yield "ChatCompletionChunk", streamed
    yield "ChatCompletionChunk", ask(asking(stream=True), variant)


@cache
def observed(variant: str | None) -> frozenset[tuple[str, str]]:
    """The kinds of values that members have in a variant's answers."""
    document = contract().document
    found: set[tuple[str, str]] = set()
    for schema, answer in answers(variant):
        bodies = answer.chunks if schema == "ChatCompletionChunk" else [answer.body]
        for body in bodies:
            found.update(values(body, {"$ref": f"#/components/schemas/{schema}"}, document))
    return frozenset(found)


def values(value: Json, schema: Json, document: Json) -> Iterator[tuple[str, str]]:
    names = {id(each): name for name, each in document["components"]["schemas"].items()}
    for branch in union(schema, document):
        if isinstance(value, list) and "items" in branch:
            for item in value:
                yield from values(item, branch["items"], document)
        if not isinstance(value, dict) or "properties" not in branch:
            inner = branch.get("additionalProperties")
            for member in value.values() if isinstance(value, dict) and isinstance(inner, dict) else ():
                yield from values(member, inner, document)
            continue
        name = names.get(id(branch), "")
        if (
            "status" in branch["properties"]
            and value.get("status") not in branch["properties"]["status"]["enum"]
        ):
            continue
        if value.keys() - branch["properties"].keys():
            yield name, "further"
        for member, described in branch["properties"].items():
            if member not in value:
                yield f"{name}.{member}", "absent"
                continue
            inside = value[member]
            yield f"{name}.{member}", kind_of(inside)
            yield from values(inside, described, document)


def kind_of(value: Json) -> str:
    if value is None:
        return "null"
    return "empty" if value in ("", [], {}) else str(value)


ROWS = [
    pytest.param(member, value, by, id=f"{member}-{value}")
    for member, row in MEMBERS.items()
    for value, by in row.items()
    if not by.startswith("not shown") and value != "unusual"
]


@pytest.mark.parametrize(("member", "value", "by"), ROWS)
def test_a_row_is_true(member: str, value: str, by: str) -> None:
    assert (member, value) in observed(None if by == USUAL else by)


def test_the_schemas_of_answers_are_all_there() -> None:
    assert set(ROOTS) <= contract().document["components"]["schemas"].keys()


def test_the_page_says_what_the_tables_say() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert made(text) == text, "run: .venv/bin/python -m tests.faults.variants_page, in mockserver/"
