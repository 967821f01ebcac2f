"""Commands of the gateway: the server, its keys and its webhooks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.common import print_result, report_errors, settings_of
from cli.options import AsJson
from domain.errors import OrchestratorError, RequestError, SettingsError, UnknownNameError
from domain.gateway.api_keys import SCOPES, Scope

if TYPE_CHECKING:
    from adapters.gateway.store import GatewayStore
    from domain.gateway.api_keys import Key

__all__ = ["keys", "serve", "webhooks"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
keys = typer.Typer(name="keys", help="API keys of the gateway's clients.", no_args_is_help=True)
webhooks = typer.Typer(name="webhooks", help="Deliveries of webhooks to subscribers.", no_args_is_help=True)
ClientName = Annotated[str, typer.Argument(help="Name of the client, such as webshop.", metavar="CLIENT")]
Days = Annotated[int | None, typer.Option(help="Days until the key expires; default: never.", min=1, max=3650)]


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8700,
    cert: Annotated[Path | None, typer.Option(help="TLS certificate (PEM), for HTTPS.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy terminates TLS, and names the clients in its headers.")
    ] = False,
    forwarded_allow_ips: Annotated[
        str | None,
        typer.Option(
            help="Addresses and networks of the proxies, separated by commas; default: MYRIAD_FORWARDED_ALLOW_IPS.",
        ),
    ] = None,
) -> None:
    """Serve the gateway: scoring jobs over HTTP, for clients with API keys.

    Requires a Prefect server with deployed fleets: myriad up, or PREFECT_API_URL. /healthz and /readyz report its
    health, and /openapi.json describes its API.

    Example: myriad serve --port 8700
    """
    with report_errors():
        _check_listener(host, cert, key, behind_proxy)
        from adapters.logs import configure_logging
        from adapters.orchestration.local_server import running_server
        from domain.gateway.proxies import proxy_networks

        settings = settings_of(None)
        configure_logging(settings.log_format)
        proxies = proxy_networks(forwarded_allow_ips or settings.forwarded_allow_ips) if behind_proxy else ()
        url = running_server(settings)
        if url is None:
            raise OrchestratorError("no Prefect server is known; start one: myriad up, or set PREFECT_API_URL")
        from serving.app import create_app
        from serving.factory import open_dependencies, request_limits
        from serving.server import ServerOptions, run_server

        app = create_app(open_dependencies(settings, url), request_limits(settings))
        typer.echo(f"gateway   {'https' if cert else 'http'}://{host}:{port}   document /openapi.json   Prefect {url}")
        run_server(app, ServerOptions(host, port, cert, key, proxies))


def _check_listener(host: str, cert: Path | None, key: Path | None, behind_proxy: bool) -> None:
    """Raise SettingsError for half of a certificate, and for an address at which keys would travel in plain text."""
    if (cert is None) != (key is None):
        raise SettingsError("--cert and --key go together; give both, or neither")
    if host not in _LOOPBACK and cert is None and not behind_proxy:
        raise SettingsError(
            f"--host {host}: keys would travel in plain text; give --cert and --key, or --behind-proxy if a proxy "
            "terminates TLS"
        )
    for path in (cert, key):
        if path is not None and not path.is_file():
            raise SettingsError(f"{path}: no such file")


@keys.command("create")
def create(
    client: ClientName,
    scope: Annotated[list[str], typer.Option(help=f"Scope of the key: {', '.join(SCOPES)}; may be repeated.")],
    endpoint: Annotated[
        list[str] | None, typer.Option(help="Endpoint that the key is limited to; may be repeated; default: all.")
    ] = None,
    days: Days = None,
    as_json: AsJson = False,
) -> None:
    """Create a key for a client. It is printed once; only its digest is stored.

    Example: myriad keys create webshop --scope score --endpoint rides --days 90
    """
    with report_errors():
        from adapters.gateway.api_keys import create_key

        text, key = create_key(_store(), client, [_scope(text) for text in scope], endpoint or [], days)
        _show_new(text, key, as_json)


@keys.command("rotate")
def rotate(client: ClientName, days: Days = None, as_json: AsJson = False) -> None:
    """Create a second key with the same rights; the first stays valid until you revoke it.

    Example: myriad keys rotate webshop --days 90
    """
    with report_errors():
        from adapters.gateway.api_keys import rotate_key

        text, key = rotate_key(_store(), client, days)
        _show_new(text, key, as_json)


@keys.command("revoke")
def revoke(
    prefix: Annotated[str, typer.Argument(help="The 12 hex digits in the middle of the key.", metavar="PREFIX")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key, with immediate effect.

    Example: myriad keys revoke 0f3a9c51d2e7
    """
    with report_errors():
        from adapters.gateway.api_keys import revoke_key

        revoke_key(_store(), prefix)
        print_result({"revoked": prefix}, lambda _: typer.echo(f"key {prefix} is revoked"), as_json)


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys with their clients, scopes and endpoints; the secrets are not stored.

    Example: myriad keys list
    """
    with report_errors():
        from cli.views.keys import print_keys

        print_result([_public(key) for key in _store().keys.all()], print_keys, as_json)


@webhooks.command("list")
def list_messages(
    subscription: Annotated[str | None, typer.Option(help="Only deliveries to this one; default: all.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only deliveries that failed for good.")] = False,
    as_json: AsJson = False,
) -> None:
    """List deliveries to subscribers, newest first, with the reason for each failure.

    Example: myriad webhooks list --dead
    """
    with report_errors():
        from cli.views.keys import print_deliveries

        print_result(_store().deliveries.newest(subscription, "dead" if dead else None, 200), print_deliveries, as_json)


@webhooks.command("replay")
def replay(
    subscription: Annotated[str, typer.Argument(help="Name of the subscription.", metavar="SUBSCRIPTION")],
    message: Annotated[str | None, typer.Option(help="Only this message; default: all that failed for good.")] = None,
    as_json: AsJson = False,
) -> None:
    """Queue failed deliveries again; a running gateway sends them.

    Example: myriad webhooks replay app
    """
    with report_errors():
        store = _store()
        known = store.subscriptions.all()
        if subscription not in known:
            from domain.data.segment_search import suggest_closest

            raise UnknownNameError(
                f"subscription {subscription}: not found{suggest_closest(subscription, list(known))}"
            )
        count = store.deliveries.replay(subscription, message)
        if message is not None and not count:
            raise UnknownNameError(f"message {message}: {subscription} has no such delivery")
        store.audit.record("cli", "subscription.replay", subscription, {"messages": count})
        print_result({"messages": count}, lambda _: typer.echo(f"{count:,} messages queued for delivery"), as_json)


def _store() -> "GatewayStore":
    from adapters.gateway.store import GatewayStore

    return GatewayStore(settings_of(None).gateway_url)


def _scope(text: str) -> Scope:
    for scope in SCOPES:
        if scope == text:
            return scope
    raise RequestError(f"--scope {text}: unknown scope; give one of {', '.join(SCOPES)}")


def _public(key: "Key") -> dict[str, object]:
    return {name: value for name, value in vars(key).items() if name != "digest"}


def _show_new(text: str, key: "Key", as_json: bool) -> None:
    def show(_: object) -> None:
        typer.echo(f"{key.slot} key of {key.client}, scopes {', '.join(key.scopes)}; shown only once:\n{text}")

    print_result({"key": text, **_public(key)}, show, as_json)
