"""Errors as RFC 9457 has them: `application/problem+json`, naming the field and the way out."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from domain.errors import FleetError, MyriadError, RequestError, SourceError, UnknownNameError

__all__ = ["MEDIA_TYPE", "Problem", "ProblemError", "answers", "install"]

MEDIA_TYPE = "application/problem+json"
_MOST_ERRORS, _MOST_TOLD = 20, 3


class Wrong(BaseModel):
    """One thing that is wrong. field : where, such as `body.inputs.0`."""

    field: str
    detail: str


class Problem(BaseModel):
    """What a request that fails is answered with (RFC 9457)."""

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["endpoint nope: there is none; endpoints: m3"])
    errors: list[Wrong] = []


class ProblemError(Exception):
    """Ends a request with this answer. field : what is wrong, where it is one thing. errors : reasons by field."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Mapping[str, str] | None = None,
    ) -> None:
        self.errors = dict(errors or ({field: detail} if field else {}))
        self.detail = detail or "; ".join(f"{name}: {reason}" for name, reason in [*self.errors.items()][:_MOST_TOLD])
        self.status, self.headers = status, dict(headers or {})
        super().__init__(self.detail)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the `responses` of a route: these statuses are problems."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document, without internal details."""
    app.exception_handler(ProblemError)(_known)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_plain)
    app.exception_handler(MyriadError)(_ours)
    app.exception_handler(Exception)(_unexpected)


def _answer(
    status: int, detail: str, errors: Sequence[Wrong] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors))
    return JSONResponse(problem.model_dump(), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


async def _known(_: Request, exc: ProblemError) -> JSONResponse:
    errors = [Wrong(field=field, detail=reason) for field, reason in [*exc.errors.items()][:_MOST_ERRORS]]
    return _answer(exc.status, exc.detail, errors, exc.headers)


async def _invalid(_: Request, exc: RequestValidationError) -> JSONResponse:
    errors = [
        Wrong(field=".".join(map(str, error["loc"])), detail=str(error["msg"])) for error in exc.errors()[:_MOST_ERRORS]
    ]
    return _answer(422, "; ".join(f"{error.field}: {error.detail}" for error in errors), errors)


async def _plain(request: Request, exc: HTTPException) -> JSONResponse:
    if exc.status_code == 400:  # Of FastAPI: bytes that are no text.
        return _answer(422, "body: it is no JSON that can be read", [Wrong(field="body", detail=str(exc.detail))])
    headers = dict(exc.headers or {})
    if exc.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
        return _answer(405, f"{request.method} is not for this address; use {headers['Allow']}", headers=headers)
    return _answer(exc.status_code, str(exc.detail), headers=headers)


def _methods(request: Request) -> set[str]:
    """All that an address takes; the framework names those of the first route only."""
    path, methods = request.scope["path"], set[str]()
    for template, operations in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path):
            methods |= {method.upper() for method in operations}
    return methods


async def _ours(_: Request, exc: Exception) -> JSONResponse:
    if isinstance(exc, UnknownNameError):
        return _answer(404, str(exc))
    if isinstance(exc, RequestError | SourceError | FleetError):
        return _answer(422, str(exc))
    return _answer(503, str(exc), headers={"Retry-After": "5"})


async def _unexpected(_: Request, __: Exception) -> JSONResponse:
    return _answer(500, "the gateway failed; its log has the cause")
