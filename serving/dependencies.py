"""The parts of a gateway, put together once when it starts."""

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from adapters.gateway.jwks import TokenVerifier
from adapters.gateway.secrets import trigger_secrets
from adapters.gateway.store import GatewayStore
from adapters.lake.table import Lake
from adapters.orchestration.flow_runs import FlowRuns
from adapters.sources.precheck import input_roots
from domain.config.fleet import Fleet
from domain.gateway.quotas import Quotas
from serving.background.job_reconciler import JobReconciler
from serving.background.webhook_dispatcher import WebhookDispatcher
from serving.outputs import OutputCache
from serving.problem_details import ProblemError

__all__ = ["Dependencies", "Signer"]


class Signer:
    """Signs addresses that need no key (HMAC-SHA256)."""

    def __init__(self, *secrets: bytes) -> None:
        """secrets : the first signs; links that another one signed are valid as well, until it is dropped."""
        self._secrets = secrets

    def sign(self, job: str, form: str, end: int) -> str:
        """Return a token for the output of a job in a format, valid until a time in seconds since 1970."""
        content = f"{job}.{form}.{end}"
        return f"{content}.{self._mark(self._secrets[0], content)}"

    def read(self, token: str) -> tuple[str, str, int]:
        """Return job, format and end of a token. Raises ProblemError for one that was not signed here."""
        content, _, mark = token.rpartition(".")
        marks = [self._mark(secret, content) for secret in self._secrets]
        if not any(hmac.compare_digest(mark.encode(), known.encode()) for known in marks):
            raise ProblemError(404, "the link is not known")
        job, form, end = content.split(".")
        return job, form, int(end)

    def _mark(self, secret: bytes, content: str) -> str:
        digest = hmac.digest(secret, content.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class Dependencies:
    """The gateway's parts. roots : places that any job may read from, besides what its fleet reads anyway.

    local : whether input may lie on this machine. hosts : that outgoing webhooks may go to.

    outputs : places that jobs may write to. reports : folder of the reports of runs, with one per fleet.

    tokens : of an identity provider, taken beside keys; none: keys alone.
    """

    store: GatewayStore
    runs: FlowRuns
    reconciler: JobReconciler
    dispatcher: WebhookDispatcher
    lake: Lake
    home: Path
    signer: Signer
    output_cache: OutputCache
    roots: tuple[str, ...]
    local: bool
    hosts: tuple[str, ...] = ()
    can_sign: bool = False
    tokens: TokenVerifier | None = None
    outputs: tuple[str, ...] = ()
    reports: Path = Path("var/reports")
    quotas: Quotas = field(default_factory=Quotas)

    def roots_of(self, fleet: Fleet) -> list[str]:
        """Return the places that a job of this fleet may read from."""
        source = fleet.score.source.path if fleet.score else None
        return input_roots(self.roots, source, self.home, local=self.local)

    def output_roots(self) -> list[str]:
        """Return the places that a job may write to."""
        return input_roots(self.outputs, None, self.home, local=self.local)

    def secrets_of(self, hook: str) -> tuple[str, ...]:
        """Return the secrets of a trigger's sender. Raises SettingsError for one that cannot be used."""
        return trigger_secrets(hook, os.environ)
