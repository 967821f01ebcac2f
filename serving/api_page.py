"""The OpenAPI document as a page for people: one file, no scripts, nothing loaded from elsewhere."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

__all__ = ["PAGE_POLICY", "render_api_page"]

PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of pages that the gateway serves."""
_REF = "#/components/schemas/"


@dataclass(frozen=True)
class _Row:
    """A parameter of an operation, or a property of a schema. links : schemas that its type names."""

    name: str
    place: str
    kind: str
    links: tuple[str, ...]
    is_required: bool
    description: str


@dataclass(frozen=True)
class _Operation:
    """An operation; `bodies` and `answers` are pairs of a label and the schema that it names, or ''."""

    name: str
    method: str
    path: str
    tag: str
    is_open: bool
    summary: str
    rows: tuple[_Row, ...]
    bodies: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str], ...]


def render_api_page(app: FastAPI) -> str:
    """Return the page of an app's OpenAPI document, rendered once."""
    page: str | None = getattr(app.state, "api_page", None)
    if page is None:
        page = app.state.api_page = _render(app.openapi())
    return page


def _render(document: Mapping[str, Any]) -> str:
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    tags = list(dict.fromkeys(operation.tag for operation in operations))
    schemas = {name: _properties(schema) for name, schema in document["components"]["schemas"].items()}
    descriptions = {name: schema.get("description", "") for name, schema in document["components"]["schemas"].items()}
    return _template().render(
        info=document["info"], operations=operations, tags=tags, schemas=schemas, descriptions=descriptions
    )


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> _Operation:
    body = operation.get("requestBody", {}).get("content", {})
    answers = operation["responses"].items()
    return _Operation(
        operation["operationId"],
        method.upper(),
        path,
        (operation.get("tags") or [""])[0],
        "security" not in operation,
        operation.get("description", ""),
        tuple(_row(item["name"], item["in"], item) for item in operation.get("parameters", ())),
        tuple((media, _first(_links(content.get("schema", {})))) for media, content in body.items()),
        tuple((f"{status} {answer.get('description', '')}", _first(_links(answer))) for status, answer in answers),
    )


def _row(name: str, place: str, item: Mapping[str, Any]) -> _Row:
    schema = item.get("schema", item)
    description = item.get("description") or schema.get("description", "")
    return _Row(name, place, _kind(schema), _links(schema), bool(item.get("required")), description)


def _properties(schema: Mapping[str, Any]) -> list[_Row]:
    required: Sequence[str] = schema.get("required", ())
    return [
        _row(name, "", {**part, "required": name in required}) for name, part in schema.get("properties", {}).items()
    ]


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a schema in a few words, such as `array of string` or `integer, or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "items" in schema:
        return f"array of {_kind(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_kind(schema['additionalProperties'])}"
    return str(schema.get("format") or schema.get("type") or "any")


def _links(part: Any) -> tuple[str, ...]:
    """Return the names of the schemas that a part of the document refers to, once each."""
    names = list[str]()
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            names.append(part["$ref"].removeprefix(_REF))
        part = list(part.values())
    if isinstance(part, list):
        names.extend(name for item in part for name in _links(item))
    return tuple(dict.fromkeys(names))


def _first(names: Sequence[str]) -> str:
    return names[0] if names else ""


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("serving"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("api.html.j2")
