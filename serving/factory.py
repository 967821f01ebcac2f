"""Build the gateway's dependencies from the settings."""

import os
from datetime import timedelta

from adapters.gateway.jwks import TokenVerifier, check_place_of_keys
from adapters.gateway.secrets import check_trigger_secrets, link_secrets, webhook_secrets
from adapters.gateway.store import GatewayStore
from adapters.gateway.webhook_client import send
from adapters.lake.table import Lake
from adapters.orchestration.flow_runs import FlowRuns
from adapters.settings import Settings
from domain.errors import SettingsError
from domain.gateway.jwt_claims import TokenRules
from domain.gateway.quotas import Quotas, Retention
from serving.background.job_reconciler import JobReconciler
from serving.background.webhook_dispatcher import WebhookDispatcher
from serving.dependencies import Dependencies, Signer
from serving.limits import Limits
from serving.outputs import OutputCache

__all__ = ["open_dependencies", "request_limits"]


def open_dependencies(settings: Settings, api_url: str) -> Dependencies:
    """Build the dependencies of one gateway. api_url : of the Prefect server."""
    webhook = settings.webhook_secret
    secrets = webhook_secrets("MYRIAD_WEBHOOK_SECRET", webhook.get_secret_value()) if webhook is not None else ()
    signer = Signer(*link_secrets(settings))
    check_trigger_secrets(os.environ)
    hosts = _list(settings.webhook_hosts)
    store, runs, lake = GatewayStore(settings.gateway_url), FlowRuns(api_url), Lake(settings.lake_uri)
    return Dependencies(
        store=store,
        runs=runs,
        reconciler=JobReconciler(
            store,
            runs,
            lake,
            settings.home.resolve(),
            roots=_list(settings.gateway_roots),
            retention=Retention(
                timedelta(days=settings.gateway_retention_days), timedelta(days=settings.gateway_upload_days)
            ),
        ),
        dispatcher=WebhookDispatcher(store, send, secrets, hosts),
        lake=lake,
        home=settings.home.resolve(),
        signer=signer,
        output_cache=OutputCache(settings.path("var/gateway/outputs"), settings.gateway_cache_mib << 20),
        roots=_list(settings.gateway_roots),
        local="://" not in settings.lake,
        hosts=hosts,
        can_sign=bool(secrets),
        tokens=_tokens(settings),
        outputs=_list(settings.gateway_outputs),
        reports=settings.path(settings.reports),
        quotas=Quotas(
            settings.gateway_queued_jobs,
            settings.gateway_kept_jobs,
            settings.gateway_upload_mib << 20,
            settings.gateway_waiting_files,
        ),
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
