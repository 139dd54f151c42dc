"""The contract: `schemas/openapi.yaml`, compiled once into validators that are fast and explain."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from openpipe_mock.core.errors import Violation
from openpipe_mock.core.resources import folder
from openpipe_mock.openapi.coercion import coerced
from openpipe_mock.openapi.shapes import Shape, shape_of, tidy, types
from openpipe_mock.openapi.violations import DIALECT, SchemaPlace, violations_of

YamlLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def load_document(path: Path) -> dict[str, Any]:
    """A YAML document that ships with the package."""
    document: dict[str, Any] = yaml.load(path.read_bytes(), YamlLoader)
    return document


class Checker:
    """One component schema: is a value valid, why not, and what of it counts.

    `is_valid(value)` costs microseconds; `violations(value)` is for the value that it refused.
    """

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        self.name = name
        self.document = document
        self.schema: dict[str, Any] = document["components"]["schemas"][name]
        self.known: dict[tuple[str, int], Any] = {}
        validator = jsonschema_rs.validator_for(standalone(name, document))
        self.is_valid: Callable[[Any], bool] = validator.is_valid

    @cached_property
    def shape(self) -> Shape:
        return shape_of(self.schema, self.document)

    def tidy(self, value: Any, *, unknown: bool = False, defaults: bool = False) -> Any:
        """The value without the members that count as absent: see `shapes.tidy`."""
        return tidy(self.shape, value, unknown=unknown, defaults=defaults)

    def coerced(self, value: Any) -> Any:
        """The value with its top-level scalars turned into the declared scalars, as the service does."""
        if not isinstance(value, dict):
            return value
        members = self.schema.get("properties", {})
        return {name: coerced(member, types(members.get(name, {}))) for name, member in value.items()}

    def violations(self, value: Any) -> Iterator[Violation]:
        """Every violation, in the order of the value; nothing when it is valid."""
        return violations_of(self.schema, value, SchemaPlace(self.document, known=self.known))


def standalone(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON Schema for one component, which carries all the others that it may refer to."""
    return {
        "$schema": DIALECT,
        "$ref": f"#/components/schemas/{name}",
        "components": {"schemas": document["components"]["schemas"]},
    }


@dataclass(frozen=True)
class _Contract:
    """The whole document, and a checker for each component that is asked for."""

    document: Mapping[str, Any]

    @cache  # noqa: B019 - a contract lives as long as the process
    def checker(self, name: str) -> Checker:
        """The checker of the component schema `name`; KeyError when the document has none."""
        return Checker(name, self.document)

    def warm(self, *names: str) -> None:
        """Compile these checkers now, so that no request waits for them."""
        for name in names:
            _ = self.checker(name).shape

    def statuses(self, path: str, method: str = "post") -> frozenset[str]:
        """The statuses that the document lists for an operation, `default` among them if it has one."""
        return frozenset(self.document["paths"][path][method]["responses"])

    __hash__ = object.__hash__


@cache
def contract() -> _Contract:
    """The contract that ships with this package."""
    return _Contract(load_document(folder("schemas") / "openapi.yaml"))
