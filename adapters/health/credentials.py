"""Check that the secrets of the set-up are there where they are needed, and strong enough."""

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from adapters.settings import Settings
from domain.checks.health import Check
from domain.gateway.secret_strength import weakness

_SECRET = re.compile(
    "(?:MYRIAD|MLFLOW|AWS|PREFECT|POSTGRES|PG|WEED)_?(?:[A-Z0-9]+_)*"
    "(?:PASSWORD|AUTH_STRING|SECRET|SECRET_KEY|SECRET_ACCESS_KEY)(?:_[A-Z0-9]+)?"
)
"""Variables whose value is a secret that somebody chose; tokens and keys that servers issue are not judged."""
_ADDRESSES = ("MYRIAD_TRACKING_URI", "MYRIAD_REGISTRY_DATABASE", "MYRIAD_GATEWAY_DATABASE", "MLFLOW_TRACKING_URI")
"""Variables whose value may hold a password in an address."""
_FILE = "var/gateway/secret"


def credentials(settings: Settings) -> Iterator[Check]:
    """Check every secret of the environment, of `.env` and of the gateway's file; names are given, secrets are not."""
    # A `.env` may be of the stack alone, and not yet of this process.
    from_file = {name: value for name, value in dotenv_values(settings.home / ".env").items() if value is not None}
    variables = from_file | dict(os.environ)
    judged = dict(_secrets(variables))
    path = settings.path(_FILE)
    if path.is_file() and os.access(path, os.R_OK):
        judged[str(path)] = path.read_text(encoding="utf-8", errors="replace").strip()
    weak = {name: reason for name, secret in judged.items() if (reason := weakness(secret)) is not None}
    for name, reason in weak.items():
        problem, _, way_out = reason.partition("; ")
        yield Check("secrets", name, "failed", f"too weak: {problem}", f"set another one; {way_out}")
    if strong := [name for name in judged if name not in weak]:
        yield Check("secrets", "strength", "ok", f"strong enough: {', '.join(strong)}")
    if not judged:
        yield Check("secrets", "strength", "unused", "no secrets are set: everything is on this machine")
    yield from _missing(variables)


def _secrets(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted(filter(_SECRET.fullmatch, variables)):
        # USER:PASSWORD
        yield name, variables[name].partition(":")[2] if name.endswith("AUTH_STRING") else variables[name]
    for name in _ADDRESSES:
        if password := urlsplit(variables.get(name, "")).password:
            yield f"password in {name}", unquote(password)


def _missing(variables: Mapping[str, str]) -> Iterator[Check]:
    """Check that servers elsewhere are not used without an account: such a server would obey anybody."""
    prefect = variables.get("PREFECT_API_URL", "")
    if is_remote(prefect) and not (variables.get("PREFECT_API_AUTH_STRING") or variables.get("PREFECT_API_KEY")):
        way_out = (
            "start it with PREFECT_SERVER_API_AUTH_STRING, and set PREFECT_API_AUTH_STRING: it runs code for callers"
        )
        yield Check("secrets", "Prefect", "failed", f"no account for {prefect}", way_out)
    mlflow = variables.get("MYRIAD_TRACKING_URI") or variables.get("MLFLOW_TRACKING_URI", "")
    has_account = "MLFLOW_TRACKING_PASSWORD" in variables or "MLFLOW_TRACKING_TOKEN" in variables
    if is_remote(mlflow) and not has_account and not urlsplit(mlflow).password:
        way_out = "start it with --app-name basic-auth, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        yield Check("secrets", "MLflow", "warning", f"no account for {urlsplit(mlflow).hostname}", way_out)


def is_remote(address: str) -> bool:
    """Return True if an address names a server on another machine."""
    host = urlsplit(address).hostname if "://" in address else None
    return host is not None and host not in ("localhost", "::1") and not host.startswith("127.")
