"""The gateway as an ASGI app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from serving.auth import Authenticator, BodyLimit, RateLimit
from serving.dependencies import Dependencies
from serving.problem_details import MEDIA_TYPE, Problem, answers, install
from serving.routes import audit, subscriptions, triggers
from serving.routes.jobs import links, router

__all__ = ["Limits", "create_app"]

_FORMER_TRIGGERS = "/v1/hooks"
"""Former address of triggers, for senders that still use it."""
OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/v1/links/{token}"})
"""Addresses that require no key: they expose no client data, or carry a signature."""
_BEARER = "A key of `myriad keys create`, or a token (JWT) of the identity provider."
_DESCRIPTION = """Batch scoring of fleets of models. Clients authenticate with a key or a token, `Authorization: Bearer
KEY`, with one or more of the scopes `read`, `score`, `operate` and `admin`. Every error is `application/problem+json`
(RFC 9457)."""


class Limits:
    """Limits of requests: size of bodies, and requests per second."""

    def __init__(
        self,
        body_bytes: int = 1 << 20,
        upload_bytes: int = 256 << 20,
        per_second: float = 50.0,
        at_once: int = 300,
        unauthenticated_per_second: float = 2.0,
        unauthenticated_at_once: int = 20,
    ) -> None:
        self.body_bytes, self.upload_bytes = body_bytes, upload_bytes
        self.clients = RateLimit(per_second, at_once)
        self.unauthenticated = RateLimit(unauthenticated_per_second, unauthenticated_at_once)


def create_app(services: Dependencies, limits: Limits | None = None) -> FastAPI:
    """Build the app; it starts and stops the background threads with itself."""
    limits = limits or Limits()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
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
    )
    app.state.services = services
    app.state.authenticator = Authenticator(services.store, limits.clients, limits.unauthenticated, services.tokens)
    app.add_middleware(BodyLimit, most_bytes=limits.body_bytes, most_upload_bytes=limits.upload_bytes)
    install(app)
    app.include_router(router)
    app.include_router(links)
    for prefix in ("/v1/triggers", _FORMER_TRIGGERS):
        documented = prefix != _FORMER_TRIGGERS
        app.include_router(triggers.router, prefix=prefix, include_in_schema=documented)
        app.include_router(triggers.incoming, prefix=prefix, include_in_schema=documented)
    app.include_router(subscriptions.router)
    app.include_router(audit.router)

    @app.get("/healthz", tags=["health"])
    def healthz() -> dict[str, str]:
        """Check that the gateway responds."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], responses=answers(503))
    def readyz(response: Response) -> dict[str, str]:
        """Check that the gateway can reach its database and the Prefect server."""
        services.store.ping()
        services.runs.alive()
        return {"status": "ok"}

    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: with the keys, and problems in place of FastAPI's own errors."""
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
                "description": "A key of `myriad keys create`, or a token (JWT) of the identity provider.",
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
