"""Turn the documentation site's pages into OpenAPI 3.1, to be merged into a whole document.

    document = merge(document, convert_page(text))
    open(path, "w").write(dump(document))

Anything that no known page says is refused, and nothing is guessed silently. Every operation, response,
component and security scheme carries `x-source`: "documented", or "decision" where the page leaves something
open and this module chose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from openpipe_mock.openapi.conversion.merge import differences, dump, merge
from openpipe_mock.openapi.conversion.naming import Root, camel, named_parts
from openpipe_mock.openapi.conversion.page import Page, read_page
from openpipe_mock.openapi.conversion.refusals import ConversionError, check_choice, check_form, child, only
from openpipe_mock.openapi.conversion.schema import standard_schema
from openpipe_mock.openapi.conversion.security import by_location, security_schemes

__all__ = ["ConversionError", "convert_page", "differences", "dump", "merge"]

Json = dict[str, Any]

_STYLES = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
_TEMPLATE = re.compile(r"\{([^{}]*)\}")
# The generator's media type for a response without content.
_NO_CONTENT = "_mintlify/placeholder"
_DOCUMENTED = {"x-source": "documented"}


def convert_page(text: str) -> Json:
    """Turn one page into an OpenAPI 3.1 document with one operation.

    Args:
        text: the page's markdown, with `# Title`, `> description` and one fenced block "yaml METHOD /path".

    Raises:
        ConversionError: the page has another form or says something unknown; the message tells where.
    """
    page = read_page(text)
    check_form(page.tree)
    paths = page.tree["paths"]
    _check_operation(page, paths)
    raw_components = page.tree.get("components", {}).get("schemas", {})
    draft = _Draft(camel(page.title) or camel(f"{page.method} {page.path}"), frozenset(raw_components))
    components = {
        name: draft.schema(raw, child("/components/schemas", name)) for name, raw in raw_components.items()
    }
    operation = draft.operation(page, paths)
    schemas = draft.finish(components)
    return _compact(
        openapi="3.1.0",
        info=_compact(title=page.title, version="1", description=page.description),
        servers=[_server(server) for server in paths.get("servers", [])],
        paths={page.path: {page.method: operation}},
        components=_compact(schemas=schemas, securitySchemes=draft.schemes),
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """Converts one operation. `title` is the page's in CamelCase, `components` are the page's own names.

    Schemas are first put in whole and noted in `roots`; `finish` then takes the parts out of all of them.
    """

    title: str
    components: frozenset[str]
    roots: list[tuple[Json, Root]] = field(default_factory=list)
    schemes: dict[str, Json] = field(default_factory=dict)

    def schema(self, raw: Any, place: str) -> Json:
        return standard_schema(raw, place, self.components)

    def finish(self, components: dict[str, Json]) -> dict[str, Json]:
        """Replace the whole schemas by references and return the components."""
        uses, parts = named_parts([root for _, root in self.roots], components)
        for (holder, _), use in zip(self.roots, uses, strict=True):
            holder["schema"] = use
        return {name: _DOCUMENTED | schema for name, schema in parts.items()}

    def hold(self, holder: Json, schema: Json, name: str, qualifier: str, prefix: str) -> None:
        """Put a whole schema into its holder and note it as a root."""
        holder["schema"] = schema
        self.roots.append((holder, Root(name, name + qualifier, prefix, schema)))

    def operation(self, page: Page, paths: Json) -> Json:
        place, request = "/paths/request", paths["request"]
        security = [
            self.requirement(entry, child(place, "security", index))
            for index, entry in enumerate(request.get("security", []))
        ]
        operation = _compact(
            operationId=self.title[0].lower() + self.title[1:],
            summary=page.title,
            description=page.description,
            deprecated=paths.get("deprecated"),
            **_DOCUMENTED,
        )
        if "security" in request:
            operation["security"] = security
        parameters = list(self.parameters(page, request.get("parameters", {}), child(place, "parameters")))
        body = self.body(request.get("body", {}), child(place, "body"))
        return operation | _compact(
            parameters=parameters,
            requestBody=body,
            responses=self.responses(paths["response"], "/paths/response"),
        )

    def requirement(self, raw: Any, place: str) -> dict[str, list[str]]:
        """One alternative of `security`: scheme → no scopes; `{}` if it asks for nothing."""
        found = security_schemes(raw, place)
        for name, scheme in found.items():
            if self.schemes.setdefault(name, scheme) != scheme:
                raise ConversionError(
                    child(place, "title"), f'"{name}" names two schemes; rename one of them'
                )
        return {name: [] for name in found}

    def parameters(self, page: Page, raw: Any, place: str) -> Iterator[Json]:
        found = list(by_location(raw, place))
        in_path = {name for location, name, _, _ in found if location == "path"}
        for name in sorted(in_path ^ set(_TEMPLATE.findall(page.path))):
            raise ConversionError(
                child(place, "path", name), f'"{name}" has to stand in the path and here; add or remove it'
            )
        for location, name, at, value in found:
            yield self.parameter(value, at, location, name)

    def parameter(self, raw: Any, place: str, location: str, name: str) -> Json:
        required, schema = self.root_schema(raw["schema"], child(place, "schema"))
        check_choice(raw.get("style", _STYLES[location][0]), child(place, "style"), _STYLES[location])
        parameter = {"name": name, "in": location} | _compact(
            description=schema.pop("description", ""),
            required=required or location == "path",
            deprecated=schema.pop("deprecated", False),
        )
        parameter |= {key: raw[key] for key in ("style", "explode") if key in raw}
        base = self.title + camel(name)
        self.hold(parameter, schema, base, camel(location), base)
        return parameter

    def root_schema(self, found: list[Any], place: str) -> tuple[bool, Json]:
        """Whether a body or parameter is required (at a root `required` is a flag), and its one schema."""
        rest = dict(only(found, place))
        required = rest.pop("required") if isinstance(rest.get("required"), bool) else False
        return required, self.schema(rest, child(place, 0))

    def body(self, raw: Any, place: str) -> Json:
        content: Json = {}
        required, descriptions = set(), set()
        name = self.title + "Request"
        for media_type, media in raw.items():
            at = child(place, media_type)
            content[media_type], needed = self.media(media, at, media_type, name, self.title, "")
            required.add(needed)
            descriptions.add(media.get("description", ""))
        if len(required) > 1 or len(descriptions) > 1:
            raise ConversionError(
                place, "the media types differ in what they say of the body; make them agree"
            )
        found = _compact(description="".join(descriptions), required=True in required, content=content)
        return found and {**found, **_DOCUMENTED}

    def media(
        self, raw: Any, place: str, media_type: str, name: str, prefix: str, qualifier: str
    ) -> tuple[Json, bool]:
        required, schema = self.root_schema(raw["schemaArray"], child(place, "schemaArray"))
        content: Json = {}
        subtype = media_type.partition("/")[2].partition(";")[0]
        self.hold(content, schema, name, qualifier or camel(subtype), prefix)
        content.update(_compact(examples=raw.get("examples")))
        return content, required

    def responses(self, raw: Any, place: str) -> Json:
        return {status: self.response(found, child(place, status), status) for status, found in raw.items()}

    def response(self, raw: Any, place: str, status: str) -> Json:
        failed = status[0] in "45d"
        name, prefix = ("Error", "Error") if failed else (self.title + "Response", self.title)
        content: Json = {}
        descriptions = set()
        for media_type, media in raw.items():
            at = child(place, media_type)
            if media_type == _NO_CONTENT:
                only(media["schemaArray"], child(at, "schemaArray"))
            else:
                content[media_type], _ = self.media(media, at, media_type, name, prefix, camel(status))
            descriptions.add(media.get("description", ""))
        if len(descriptions) > 1:
            raise ConversionError(place, "the media types carry different descriptions; make them agree")
        return {"description": "".join(descriptions)} | _DOCUMENTED | _compact(content=content)


def _check_operation(page: Page, paths: Json) -> None:
    """Refuse a page whose block names one operation in its opening line and another in its tree."""
    check_choice(paths["method"], "/paths/method", (page.method,))
    check_choice(paths["path"], "/paths/path", (page.path,))


def _server(raw: Any) -> Json:
    variables = {name: _server_variable(variable) for name, variable in raw.get("variables", {}).items()}
    return {"url": raw["url"]} | _compact(description=raw.get("description"), variables=variables)


def _server_variable(raw: Any) -> Json:
    """A server's variable, without the generator's `type`: it is always a string."""
    return {"default": raw["default"]} | _compact(description=raw.get("description"))


def _compact(**members: Any) -> Json:
    """A mapping of the members that aren't None, False or empty."""
    return {
        key: value for key, value in members.items() if value is not None and value not in ("", {}, [], False)
    }
