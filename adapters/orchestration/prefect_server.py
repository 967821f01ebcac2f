"""Prefect's server for one machine: `python -m adapters.orchestration.prefect_server`.

Prefect answers to any host name. A page of the web whose name resolves to this machine (DNS rebinding) would be of the
same origin as the server, so only this machine's own names are served here, to HTTP and to websockets alike.
"""

import os

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

__all__ = ["HOSTS", "create_app"]

HOSTS = ("127.0.0.1", "localhost")
"""Names by which a browser or a client may call the server."""


def create_app() -> ASGIApp:
    """Return Prefect's API and UI behind a check of the Host header; settings come from PREFECT_SERVER_*."""
    from prefect.server.api.server import create_app as create_prefect

    return TrustedHostMiddleware(create_prefect(final=True), allowed_hosts=HOSTS, www_redirect=False)


def main() -> None:
    """Serve until a signal arrives, as `prefect server start` does."""
    os.environ["PREFECT__SERVER_FINAL"] = "1"
    from prefect.settings import get_current_settings

    server = get_current_settings().server
    uvicorn.run(
        create_app(),
        host=server.api.host,
        port=server.api.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
        server_header=False,
    )


if __name__ == "__main__":
    main()
