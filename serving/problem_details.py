"""Errors in the form of RFC 9457: `application/problem+json`, naming the field and the way out."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from domain.errors import FleetError, MyriadError, OrchestratorError, RequestError, SourceError, UnknownNameError

__all__ = ["MEDIA_TYPE", "Problem", "ProblemError", "answers", "install", "problem_of"]

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger("myriad.gateway")
_MOST_ERRORS, _MOST_SUMMARIZED, _MAX_DETAIL = 20, 3, 4000


class Wrong(BaseModel):
    """A single error. field : its place, such as `body.inputs.0`."""

    field: str
    detail: str


class Problem(BaseModel):
    """Answer to a request that fails (RFC 9457)."""

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["endpoint nope: there is none; endpoints: m3"])
    errors: list[Wrong] = []


class ProblemError(Exception):
    """End a request with this answer. field : of a single error. errors : reasons by field."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Mapping[str, str] | None = None,
    ) -> None:
        self.errors = dict(errors or ({field: detail} if field else {}))
        self.detail = detail or "; ".join(
            f"{name}: {reason}" for name, reason in [*self.errors.items()][:_MOST_SUMMARIZED]
        )
        self.status, self.headers = status, dict(headers or {})
        super().__init__(self.detail)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route whose answers with these statuses are problems."""
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
    app.exception_handler(MyriadError)(_known)
    app.exception_handler(ClientDisconnect)(_gone)
    app.exception_handler(Exception)(_unexpected)


def problem_of(exc: ProblemError | MyriadError, scope: Mapping[str, Any]) -> JSONResponse:
    """Return the answer to an error. Whatever names paths, addresses or SQL is in the log, under a reference."""
    if isinstance(exc, ProblemError):
        errors = [Wrong(field=field, detail=reason) for field, reason in [*exc.errors.items()][:_MOST_ERRORS]]
        return _answer(exc.status, exc.detail, errors, exc.headers)
    if isinstance(exc, UnknownNameError):
        return _answer(404, str(exc))
    if isinstance(exc, RequestError | SourceError):
        return _answer(422, str(exc))
    if isinstance(exc, FleetError):  # It names the place of the file, and only its owner can mend it.
        return _answer(503, f"the file of the fleet cannot be used; reference {_reference(exc, scope)} in the log")
    service = "the Prefect server" if isinstance(exc, OrchestratorError) else "a service that the gateway needs"
    detail = f"{service} does not answer; reference {_reference(exc, scope)} in the gateway's log"
    return _answer(503, detail, headers={"Retry-After": "5"})


def _reference(exc: Exception, scope: Mapping[str, Any]) -> str:
    reference = secrets.token_hex(4)
    request = f"{scope.get('method')} {scope.get('path')}"
    _LOG.warning("reference %s: %s: %s: %s", reference, _shown(request), type(exc).__name__, _shown(str(exc)))
    return reference


def _shown(text: str, limit: int = _MAX_DETAIL) -> str:
    """Return a text that UTF-8 and one line of a log can hold, cut where it is long."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\r", " ")
    return text if len(text) <= limit else f"{text[:limit]}..."


def _answer(
    status: int, detail: str, errors: Sequence[Wrong] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    shown = [Wrong(field=_shown(error.field, 200), detail=_shown(error.detail)) for error in errors]
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=_shown(detail), errors=shown)
    return JSONResponse(problem.model_dump(), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


async def _known(request: Request, exc: ProblemError | MyriadError) -> JSONResponse:
    return problem_of(exc, request.scope)


async def _invalid(_: Request, exc: RequestValidationError) -> JSONResponse:
    errors = [
        Wrong(field=".".join(map(str, error["loc"])), detail=str(error["msg"])) for error in exc.errors()[:_MOST_ERRORS]
    ]
    return _answer(422, "; ".join(f"{error.field}: {error.detail}" for error in errors), errors)


async def _plain(_: Request, exc: HTTPException) -> JSONResponse:
    if exc.status_code == 400:  # Of FastAPI: bytes that are no text.
        return _answer(422, "body: it is no JSON that can be read", [Wrong(field="body", detail=str(exc.detail))])
    return _answer(exc.status_code, str(exc.detail), headers=exc.headers)


async def _gone(_: Request, __: ClientDisconnect) -> Response:
    return Response(status_code=400)  # Nobody reads it; the log needs no traceback.


async def _unexpected(request: Request, exc: Exception) -> JSONResponse:
    return _answer(500, f"the gateway failed; reference {_reference(exc, request.scope)} in its log")
