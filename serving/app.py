"""The gateway as an ASGI app."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from serving.auth import Authenticator
from serving.dependencies import Dependencies
from serving.limits import Limits, RateLimit
from serving.middleware.gate import Gate
from serving.middleware.route_table import RouteTable
from serving.problem_details import MEDIA_TYPE, Problem, ProblemError, answers, install
from serving.readiness import Readiness
from serving.routes import audit, endpoints, jobs, outputs, subscriptions, triggers, uploads

__all__ = ["Limits", "create_app"]

_FORMER_TRIGGERS = "/v1/hooks"
"""Former address of triggers, for senders that still use it."""
OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/v1/links/{token}"})
"""Addresses that require no key: they expose no client data, or carry a signature."""
_BEARER = "A key of `myriad keys create`, or a token (JWT) of the identity provider."
_DESCRIPTION = """Batch scoring of fleets of models. Clients authenticate with a key or a token, `Authorization: Bearer
KEY`, with one or more of the scopes `read`, `score`, `operate` and `admin`. Every error is `application/problem+json`
(RFC 9457)."""


def create_app(services: Dependencies, limits: Limits | None = None) -> FastAPI:
    """Build the app; it starts and stops the background threads with itself."""
    limits = limits or Limits()
    clients = RateLimit(limits.per_second, limits.at_once)
    failures = RateLimit(limits.unauthenticated_per_second, limits.unauthenticated_at_once)
    authenticator = Authenticator(services.store, clients, failures, services.tokens)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        authenticator.start()
        services.reconciler.start()
        services.dispatcher.start()
        try:
            yield
        finally:
            services.reconciler.stop()
            services.dispatcher.stop()

    # No pages with scripts from elsewhere: the document is enough for any client's own tools.
    app = FastAPI(
        title="Myriad gateway",
        version=version("myriad-models"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would name whatever host the request names, before anybody is authenticated.
        redirect_slashes=False,
    )
    app.state.services, app.state.authenticator = services, authenticator
    app.add_middleware(
        Gate,
        table=lambda: RouteTable(app),
        authenticator=authenticator,
        is_signed=lambda name: _is_signed(services, name),
        limits=limits,
    )
    install(app)
    _include_routes(app)
    _include_health(app, services)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _is_signed(services: Dependencies, name: str) -> bool:
    trigger = services.store.triggers.get(name)
    return trigger is not None and trigger.verification == "signature"


def _include_routes(app: FastAPI) -> None:
    for router in (endpoints.router, jobs.router, outputs.router, uploads.router, outputs.links):
        app.include_router(router)
    for prefix in ("/v1/triggers", _FORMER_TRIGGERS):
        documented = prefix != _FORMER_TRIGGERS
        app.include_router(triggers.router, prefix=prefix, include_in_schema=documented)
        app.include_router(triggers.incoming, prefix=prefix, include_in_schema=documented)
    app.include_router(subscriptions.router)
    app.include_router(audit.router)


def _include_health(app: FastAPI, services: Dependencies) -> None:
    def check() -> None:
        services.store.ping()
        services.runs.alive()

    readiness = Readiness(check)

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """Check that the gateway responds."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], responses=answers(503))
    async def readyz() -> dict[str, str]:
        """Check that the gateway can reach its database and the Prefect server; the result is up to 2 s old."""
        if not await readiness.is_ready():
            raise ProblemError(503, "not ready; the gateway's log has the cause", headers={"Retry-After": "5"})
        return {"status": "ok"}

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(_document_bytes(app), media_type="application/json")


def _document_bytes(app: FastAPI) -> bytes:
    """The document as it is sent, rendered once."""
    content: bytes | None = getattr(app.state, "document", None)
    if content is None:
        content = app.state.document = json.dumps(app.openapi(), separators=(",", ":")).encode()
    return content


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: with the keys, and problems in place of FastAPI's own errors."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        parts = document.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {}) | {"Problem": problem}
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        parts["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": _BEARER,
            },
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if path not in OPEN:
                    operation["security"] = [{"bearer": []}, {"header": []}]
                if "422" in operation["responses"]:
                    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
                    operation["responses"]["422"] = {"description": "Unprocessable Content", "content": content}
        app.openapi_schema = document
    return app.openapi_schema
