"""The OpenAPI document of the control API, with the shapes of the config file inside."""

from functools import cache
from typing import Any

import yaml

from openpipe_mock.answers.scorers import SCORERS, Drawn
from openpipe_mock.config import file as configfile
from openpipe_mock.core.resources import folder
from openpipe_mock.openapi.spec import load_document

Json = Any
_YamlDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of the control API, with the shapes and score forms of the config file inside."""
    control = load_document(folder("schemas") / "control.yaml")
    shapes = configfile.schema()["$defs"]
    whole = {**control, "components": {**control["components"]}}
    whole["components"]["schemas"] = {**control["components"]["schemas"], **shapes}
    made: dict[str, Any] = _relinked(whole)
    versions = made["components"]["schemas"]["Criterion"]["properties"]["versions"]
    versions["additionalProperties"]["enum"] = [*(scorer.key for scorer in SCORERS), Drawn.key]
    return made


@cache
def served() -> bytes:
    """The OpenAPI document of the control API as YAML, as `GET /_mock/openapi.yaml` sends it."""
    text: str = yaml.dump(document(), Dumper=_YamlDumper, sort_keys=False, allow_unicode=True, width=110)
    return text.encode()


_ELSEWHERE = ("config.schema.json#/$defs/", "#/$defs/")


def _relinked(value: Json) -> Json:
    """A copy of a document whose references to the config file's schema stay inside."""
    if isinstance(value, list):
        return [_relinked(item) for item in value]
    if not isinstance(value, dict):
        return value
    copied = {key: _relinked(member) for key, member in value.items()}
    target = copied.get("$ref")
    for start in _ELSEWHERE:
        if isinstance(target, str) and target.startswith(start):
            copied["$ref"] = f"#/components/schemas/{target.removeprefix(start)}"
    return copied
