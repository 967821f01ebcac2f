"""The gateway's OpenAPI document: names of operations, keys, problems and types that generated clients need."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from serving.problem_details import MEDIA_TYPE, Problem

__all__ = ["OPEN", "document_bytes", "document_of", "operation_id"]

OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/v1/links/{token}"})
"""Addresses that require no key: they expose no client data, or carry a signature."""
_BEARER = "A key of `myriad keys create`, or a token (JWT) of the identity provider."
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def operation_id(route: APIRoute) -> str:
    """Return the name of a route's function: what a generated client calls its method."""
    return route.name


def document_bytes(app: FastAPI) -> bytes:
    """Return the document as it is sent, rendered once."""
    content: bytes | None = getattr(app.state, "document", None)
    if content is None:
        content = app.state.document = json.dumps(app.openapi(), separators=(",", ":")).encode()
    return content


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the document: with the keys, and problems in place of FastAPI's own errors."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=version("myriad-models"), description=app.description, routes=app.routes
        )
        parts = document.setdefault("components", {})
        _replace_errors(parts.setdefault("schemas", {}))
        parts["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": _BEARER},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _complete(operation, is_open=path in OPEN)
        for schema in _schemas_in(document):
            _type_the_values(schema)
        app.openapi_schema = document
    return app.openapi_schema


def _replace_errors(schemas: dict[str, Any]) -> None:
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {}) | {"Problem": problem}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _complete(operation: dict[str, Any], *, is_open: bool) -> None:
    if not is_open:
        operation["security"] = [{"bearer": []}, {"header": []}]
    if "422" in operation["responses"]:
        operation["responses"]["422"] = {"description": "Unprocessable Content", "content": _PROBLEM}


def _schemas_in(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from _schemas_in(item)


def _type_the_values(schema: dict[str, Any]) -> None:
    """State the values of a map by `additionalProperties`: generators of clients do not read `patternProperties`."""
    patterns = schema.get("patternProperties")
    if isinstance(patterns, dict) and len(patterns) == 1:
        ((pattern, values),) = patterns.items()
        del schema["patternProperties"]
        schema |= {"additionalProperties": values, "propertyNames": {"type": "string", "pattern": pattern}}
