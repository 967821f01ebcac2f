"""A server stack of our own for benchmarks and tests: free ports, random secrets, everything in a scratch folder."""

import base64
import random
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.local_stack import LocalStack

__all__ = ["ROOT", "scratch_stack", "stack_variables"]

ROOT = Path(__file__).parents[2]
_PORTS = ("POSTGRES_PORT", "S3_PORT", "MLFLOW_PORT", "PREFECT_PORT", "DASK_PORT", "GATEWAY_PORT")
_PORT_RANGE = (15_000, 31_999)
_SECRETS = ("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD")
_ROLES = tuple(f"POSTGRES_{role}_PASSWORD" for role in ("PREFECT", "MLFLOW", "GATEWAY", "RUNS", "OPERATOR"))
_SIGNING = ("MLFLOW_FLASK_SERVER_SECRET_KEY", "MYRIAD_GATEWAY_SECRET")


@contextmanager
def scratch_stack(**settings: str) -> Iterator[LocalStack]:
    """The whole stack for the block. settings : further variables, such as MYRIAD_WORKERS."""
    # Not below a folder that only its owner may enter: PostgreSQL does not run as root.
    state = Path(tempfile.mkdtemp(prefix="myriad-stack-"))
    state.chmod(0o711)
    stack = LocalStack(ROOT, stack_variables() | settings, state)
    try:
        stack.up(lambda line: None)
        yield stack
    finally:
        stack.down()
        shutil.rmtree(state, ignore_errors=True)


def stack_variables() -> dict[str, str]:
    """Return free ports and random secrets: what `.env` holds."""
    return (
        dict(zip(_PORTS, map(str, _free_ports(len(_PORTS))), strict=True))
        | {name: secrets.token_hex(16) for name in (*_SECRETS, *_ROLES, *_SIGNING)}
        | {"MYRIAD_WEBHOOK_SECRET": f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"}
        | {"MLFLOW_TRACKING_USERNAME": "admin", "PREFECT_API_AUTH_STRING": f"admin:{secrets.token_hex(12)}"}
    )


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, outside of those that the system gives to connections by itself."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(*_PORT_RANGE)
        with socket.socket() as attempt:
            if port not in found and attempt.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found
