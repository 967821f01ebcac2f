"""Write `.env`, the settings of the stack, with random secrets."""

import base64
import secrets
from pathlib import Path

from dotenv import dotenv_values

from adapters.private_files import write_private
from domain.errors import SettingsError

__all__ = ["write_secrets"]

_SECRETS = {
    "POSTGRES_PASSWORD": 24,
    "POSTGRES_PREFECT_PASSWORD": 24,
    "POSTGRES_MLFLOW_PASSWORD": 24,
    "POSTGRES_GATEWAY_PASSWORD": 24,
    "POSTGRES_RUNS_PASSWORD": 24,
    "POSTGRES_OPERATOR_PASSWORD": 24,
    "AWS_ACCESS_KEY_ID": 12,
    "AWS_SECRET_ACCESS_KEY": 24,
    "MLFLOW_TRACKING_PASSWORD": 18,
    "MLFLOW_FLASK_SERVER_SECRET_KEY": 24,
    "MYRIAD_GATEWAY_SECRET": 24,
}
_HEAD = "# Secrets of the server stack; .env.example tells what else can be set.\n"


def write_secrets(file: Path) -> None:
    """Add a random value for each secret that the file lacks; only its owner can read it.

    Raises SettingsError if it lacks none: a secret that is in use is never replaced.
    """
    present = {name for name, value in dotenv_values(file).items() if value} if file.exists() else set()
    missing = {name: value for name, value in _random_values().items() if name not in present}
    if not missing:
        raise SettingsError(f"{file}: is there already, with all secrets; edit it, or move it away first")
    before = file.read_text(encoding="utf-8") if file.exists() else _HEAD
    lines = "".join(f"{name}={value}\n" for name, value in missing.items())
    write_private(file, f"{before.rstrip()}\n{lines}")


def _random_values() -> dict[str, str]:
    return {
        **{name: secrets.token_hex(size) for name, size in _SECRETS.items()},
        "MYRIAD_WEBHOOK_SECRET": f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "MLFLOW_TRACKING_USERNAME": "admin",
        "PREFECT_API_AUTH_STRING": f"admin:{secrets.token_hex(18)}",
    }
