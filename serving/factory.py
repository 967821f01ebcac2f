"""Build the gateway's dependencies from the settings."""

import os
import secrets

from adapters.gateway.jwks import TokenVerifier, check_place_of_keys
from adapters.gateway.store import GatewayStore
from adapters.gateway.webhook_client import check_secret, send
from adapters.lake.table import Lake
from adapters.orchestration.flow_runs import FlowRuns
from adapters.settings import Settings
from domain.errors import SettingsError
from domain.gateway.jwt_claims import TokenRules
from serving.background.job_reconciler import JobReconciler
from serving.background.webhook_dispatcher import WebhookDispatcher
from serving.dependencies import Dependencies, Signer
from serving.limits import Limits

__all__ = ["open_dependencies", "request_limits"]


def open_dependencies(settings: Settings, api_url: str) -> Dependencies:
    """Build the dependencies of one gateway. api_url : of the Prefect server."""
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else None
    if secret is not None:
        check_secret("MYRIAD_WEBHOOK_SECRET", secret)
    hosts = _list(settings.webhook_hosts)
    store, runs, lake = GatewayStore(settings.gateway_url), FlowRuns(api_url), Lake(settings.lake_uri)
    return Dependencies(
        store=store,
        runs=runs,
        reconciler=JobReconciler(store, runs, lake, settings.home.resolve(), roots=_list(settings.gateway_roots)),
        dispatcher=WebhookDispatcher(store, send, secret, hosts),
        lake=lake,
        home=settings.home.resolve(),
        signer=Signer(_secret(settings)),
        roots=_list(settings.gateway_roots),
        local="://" not in settings.lake,
        hosts=hosts,
        can_sign=secret is not None,
        tokens=_tokens(settings),
        outputs=_list(settings.gateway_outputs),
    )


def request_limits(settings: Settings) -> Limits:
    """Return the limits of requests, with the hosts of the settings."""
    return Limits(hosts=tuple(host.lower() for host in _list(settings.gateway_hosts)))


def _tokens(settings: Settings) -> TokenVerifier | None:
    """Return the verifier of tokens, if it is set up; raise SettingsError for half a set-up."""
    values = {"MYRIAD_JWT_ISSUER": settings.jwt_issuer, "MYRIAD_JWT_AUDIENCE": settings.jwt_audience}
    values |= {"MYRIAD_JWT_KEYS": settings.jwt_keys}
    missing = [name for name, value in values.items() if not value]
    if len(missing) == len(values):
        return None
    if missing:
        raise SettingsError(f"{', '.join(missing)}: not set; tokens need {', '.join(values)}")
    check_place_of_keys(settings.jwt_keys)
    claim, prefix = settings.jwt_scope_claim, settings.jwt_scope_prefix
    rules = TokenRules(settings.jwt_issuer, settings.jwt_audience, scope_claim=claim, scope_prefix=prefix)
    return TokenVerifier(rules, settings.jwt_keys)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _secret(settings: Settings) -> bytes:
    """That signs links: of the settings, or random and kept in a file that its owner alone can read."""
    if settings.gateway_secret:
        return settings.gateway_secret.get_secret_value().encode()
    path = settings.path("var/gateway/secret")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_hex(32).encode())
    return path.read_bytes()
