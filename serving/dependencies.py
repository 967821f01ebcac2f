"""What the routes work with, put together once when the gateway starts."""

import base64
import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from pathlib import Path

from adapters.gateway.jwks import TokenVerifier
from adapters.gateway.store import GatewayStore
from adapters.gateway.webhook_client import check_secret
from adapters.lake.table import Lake
from adapters.orchestration.flow_runs import FlowRuns
from adapters.sources.precheck import input_roots
from domain.config.fleet import Fleet
from serving.background.job_reconciler import JobReconciler
from serving.background.webhook_dispatcher import WebhookDispatcher
from serving.problem_details import ProblemError

__all__ = ["Dependencies", "Signer"]


class Signer:
    """Signs addresses that need no key (HMAC-SHA256)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, job: str, form: str, end: int) -> str:
        """A token for the output of a job in a format, until a moment in seconds since 1970."""
        return f"{job}.{form}.{end}.{self._mark(f'{job}.{form}.{end}')}"

    def read(self, token: str) -> tuple[str, str, int]:
        """What the token is for. Raises ProblemError for one that was not signed here."""
        content, _, mark = token.rpartition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(content).encode()):
            raise ProblemError(404, "the link is not known")
        job, form, end = content.split(".")
        return job, form, int(end)

    def _mark(self, content: str) -> str:
        digest = hmac.digest(self._secret, content.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class Dependencies:
    """The gateway's parts. roots : places that any job may read from, besides what its fleet reads anyway.

    local : whether input may lie on this machine. hosts : that outgoing webhooks may go to.

    outputs : places that jobs may write to. tokens : of an identity provider, taken beside keys; none: keys alone.
    """

    store: GatewayStore
    runs: FlowRuns
    reconciler: JobReconciler
    dispatcher: WebhookDispatcher
    lake: Lake
    home: Path
    signer: Signer
    roots: tuple[str, ...]
    local: bool
    hosts: tuple[str, ...] = ()
    can_sign: bool = False
    tokens: TokenVerifier | None = None
    outputs: tuple[str, ...] = ()

    def roots_of(self, fleet: Fleet) -> list[str]:
        """Places that a job of this fleet may read from."""
        source = fleet.score.source.path if fleet.score else None
        return input_roots(self.roots, source, self.home, local=self.local)

    def output_roots(self) -> list[str]:
        """Places that a job may write to."""
        return input_roots(self.outputs, None, self.home, local=self.local)

    def secret_of(self, hook: str) -> str | None:
        """The secret of a hook's sender, from the environment. Raises SettingsError for one that cannot be used."""
        name = self.secret_name(hook)
        secret = os.environ.get(name)
        if secret:
            check_secret(name, secret)
        return secret or None

    @staticmethod
    def secret_name(hook: str) -> str:
        """The variable that has it."""
        return f"MYRIAD_HOOK_SECRET_{re.sub('[^A-Z0-9]', '_', hook.upper())}"
