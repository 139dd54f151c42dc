"""The contract, `schemas/openapi.yaml`, compiled once into checkers that validate and explain."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from openpipe_mock.core.errors import Violation
from openpipe_mock.core.resources import folder
from openpipe_mock.openapi.coercion import coerced
from openpipe_mock.openapi.shapes import Shape, shape_of, tidy, types
from openpipe_mock.openapi.tolerances import widened
from openpipe_mock.openapi.violations import DIALECT, SchemaPlace, violations_of

YamlLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def load_document(path: Path) -> dict[str, Any]:
    """Load a YAML document that ships with the package; the answer is cached, so don't change it."""
    document: dict[str, Any] = yaml.load(path.read_bytes(), YamlLoader)
    return document


class Checker:
    """Checks values against one component schema.

    `is_valid(value)` takes microseconds; call `violations(value)` for a value that it refused.
    """

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        self.name = name
        self.document = document
        self.schema: dict[str, Any] = document["components"]["schemas"][name]
        self.known: dict[tuple[Callable[..., Any], int], Any] = {}
        validator = jsonschema_rs.validator_for(standalone(name, document))
        self.is_valid: Callable[[Any], bool] = validator.is_valid

    @cached_property
    def shape(self) -> Shape:
        return shape_of(self.schema, self.document)

    def tidy(self, value: Any, *, unknown: bool = False, defaults: bool = False) -> Any:
        """A copy of the value without the members that count as absent: see `shapes.tidy`."""
        return tidy(self.shape, value, unknown, defaults)

    def coerced(self, value: Any) -> Any:
        """A copy of the value with its top-level scalars turned into the declared types: see `coercion`."""
        if not isinstance(value, dict):
            return value
        members = self.schema.get("properties", {})
        return {name: coerced(member, types(members.get(name, {}))) for name, member in value.items()}

    def violations(self, value: Any, noun: str = "the request body") -> Iterator[Violation]:
        """Every violation of a value, which sentences call `noun`, in its order; none if it is valid."""
        return violations_of(self.schema, value, SchemaPlace(self.document, noun=noun, known=self.known))


def standalone(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON Schema for one component; it includes all components, so that references work."""
    return {
        "$schema": DIALECT,
        "$ref": f"#/components/schemas/{name}",
        "components": {"schemas": document["components"]["schemas"]},
    }


class _Contract:
    """The whole document, with a cached checker for each component."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    @cache  # noqa: B019 - a contract lives as long as the process
    def checker(self, name: str) -> Checker:
        """The checker of the component schema `name`. Raises KeyError if the document has none."""
        return Checker(name, self.document)

    @cached_property
    def tolerant_chat(self) -> Checker:
        """The checker of chat requests that also takes what popular clients send: see `tolerances`."""
        return Checker("ChatCompletionRequest", widened(self.document))

    def warm(self, *names: str) -> None:
        """Compile these checkers now, so that no request waits for them."""
        for name in names:
            _ = self.checker(name).shape


@cache
def contract() -> _Contract:
    """The contract that ships with this package."""
    return _Contract(load_document(folder("schemas") / "openapi.yaml"))
