"""The gateway as an ASGI app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from serving.api_page import PAGE_POLICY, render_api_page
from serving.auth import Authenticator
from serving.dependencies import Dependencies
from serving.limits import Limits, RateLimit
from serving.middleware.gate import Gate
from serving.middleware.route_table import RouteTable
from serving.openapi import document_bytes, document_of, operation_id
from serving.problem_details import ProblemError, answers, install
from serving.readiness import Readiness
from serving.routes import audit, endpoints, jobs, outputs, reports, subscriptions, triggers, uploads

__all__ = ["Limits", "create_app"]

_FORMER_TRIGGERS = "/v1/hooks"
"""Former address of triggers, for senders that still use it."""
_DESCRIPTION = """Batch scoring of fleets of models. Clients authenticate with a key or a token, `Authorization: Bearer
KEY`, with one or more of the scopes `read`, `score`, `operate` and `admin`. Every error is `application/problem+json`
(RFC 9457)."""


class Health(BaseModel):
    """State of the gateway: `ok`."""

    status: str = Field(examples=["ok"])


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

    # FastAPI's own pages load scripts from elsewhere; `/docs` is a page of our own.
    app = FastAPI(
        title="Myriad gateway",
        version=version("myriad-models"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=operation_id,
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
    app.openapi = lambda: document_of(app)  # type: ignore[method-assign]
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
    app.include_router(reports.router)
    app.include_router(audit.router)


def _include_health(app: FastAPI, services: Dependencies) -> None:
    def check() -> None:
        services.store.ping()
        services.runs.alive()

    readiness = Readiness(check)

    @app.get("/healthz", tags=["health"])
    async def healthz() -> Health:
        """Check that the gateway responds."""
        return Health(status="ok")

    @app.get("/readyz", tags=["health"], responses=answers(503))
    async def readyz() -> Health:
        """Check that the gateway can reach its database and the Prefect server; the result is up to 2 s old."""
        if not await readiness.is_ready():
            raise ProblemError(503, "not ready; the gateway's log has the cause", headers={"Retry-After": "5"})
        return Health(status="ok")

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(document_bytes(app), media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(render_api_page(app), media_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})
