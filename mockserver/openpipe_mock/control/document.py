"""The OpenAPI document of the control API, with the shapes of the config file inside."""

from functools import cache
from typing import Any

import orjson
import yaml

from openpipe_mock.answers.scorers import SCORERS, ByFunction, Drawn
from openpipe_mock.config import file as configfile
from openpipe_mock.core.resources import folder
from openpipe_mock.openapi.spec import load_document

_YamlDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of the control API, with the shapes and score forms of the config file inside."""
    control = load_document(folder("schemas") / "control.yaml")
    shapes = configfile.schema()["$defs"]
    whole = {**control, "components": {**control["components"]}}
    whole["components"]["schemas"] = {**control["components"]["schemas"], **shapes}
    text = orjson.dumps(whole)
    for elsewhere in (b"config.schema.json#/$defs/", b"#/$defs/"):
        text = text.replace(b'"$ref":"' + elsewhere, b'"$ref":"#/components/schemas/')
    made: dict[str, Any] = orjson.loads(text)
    versions = made["components"]["schemas"]["Criterion"]["properties"]["versions"]
    keys = [*(scorer.key for scorer in SCORERS), ByFunction.key, Drawn.key]
    versions["additionalProperties"]["enum"] = keys
    return made


@cache
def served() -> bytes:
    """The OpenAPI document of the control API as YAML, as `GET /_mock/openapi.yaml` sends it."""
    text: str = yaml.dump(document(), Dumper=_YamlDumper, sort_keys=False, allow_unicode=True, width=110)
    return text.encode()
