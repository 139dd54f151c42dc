"""What client libraries really send gets valid, readable values: `corpus/README.md` says where it is from."""

import json
import re
import time
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import orjson
import pytest

from openpipe_mock.instances.builder import SchemaError, build
from tests.speed import unit

CORPUS: dict[str, Any] = {
    f"{file.stem}: {name}": schema
    for file in sorted((Path(__file__).parent / "corpus").glob("*.json"))
    for name, schema in json.loads(file.read_bytes())["schemas"].items()
}
REFUSED = {
    # Closed objects, of which each forbids the other's required members: no value exists.
    "javascript-zod-to-json-schema: intersection of unions": (
        "additionalProperties",
        "/allOf/1/anyOf/0/additionalProperties",
    ),
    # A dictionary that must not be empty, closed by the library: no value exists.
    "python-langchain-core: convert_to_openai_tool Dicts, strict": (
        "additionalProperties",
        "/properties/bounded/additionalProperties",
    ),
    # \p{Extended_Pictographic}
    "javascript-zod: emoji": ("pattern", "/properties/a"),
}
"""Name → the keyword and the pointer that the refusal names."""
OLDER = {
    "javascript-zod-to-json-schema: numbers, openApi3": "http://json-schema.org/draft-04/schema#",
    "javascript-sinclair-typebox: tuple": "http://json-schema.org/draft-07/schema#",
}
"""Name → the draft whose spelling it has without saying so."""
BUILT = CORPUS.keys() - REFUSED.keys()
LATEST = "https://json-schema.org/draft/2020-12/schema"
SEED = b"seed"
VARIANTS = (0, 1, 2, 3, 100, 12_345)


def is_valid(schema: Any, value: Any) -> bool:
    """Whether two implementations say so; Python's `re` doesn't read every pattern of JavaScript."""
    opinions = [
        jsonschema_rs.validator_for(schema).is_valid,
        jsonschema_rs.validator_for(schema, validate_formats=True).is_valid,
    ]
    if r"\p{" not in json.dumps(schema):
        python = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        opinions.append(python(schema).is_valid)
    return all(opinion(value) for opinion in opinions)


def texts(value: Any) -> list[str]:
    """All texts in a value."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def test_there_are_enough() -> None:
    assert len(CORPUS) > 300


@pytest.mark.parametrize("name", sorted(BUILT))
def test_every_variant_is_valid_and_the_same_again(name: str) -> None:
    schema = CORPUS[name]
    for variant in VARIANTS:
        value = build(schema, SEED, variant)
        assert is_valid({"$schema": OLDER.get(name, LATEST), **schema}, value), value
        assert orjson.dumps(build(schema, SEED, variant)) == orjson.dumps(value)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_built_is_named(name: str) -> None:
    with pytest.raises(SchemaError) as caught:
        build(CORPUS[name], SEED)
    assert (caught.value.keyword, caught.value.pointer) == REFUSED[name]


def test_values_are_readable() -> None:
    for name in BUILT:
        value = build(CORPUS[name], SEED)
        assert len(orjson.dumps(value)) < 6_000, name
        assert all(re.fullmatch(r"[ -~\t\n]{0,200}", text) for text in texts(value)), name


@pytest.mark.slow
def test_each_is_built_soon() -> None:
    def taken(schema: Any) -> float:
        begun = time.thread_time()
        build(schema, SEED, 1)
        return time.thread_time() - begun

    late = [name for name in BUILT if min(taken(CORPUS[name]) for _ in range(3)) > 1.2 * unit()]
    assert not late  # 20 ms on an idle machine
