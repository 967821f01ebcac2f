"""Check that what leaves this machine is encrypted."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from adapters.health.credentials import is_remote
from adapters.settings import Settings
from domain.checks.health import Check


def transport(settings: Settings) -> Iterator[Check]:
    """Check the connections to Dask, MLflow, Prefect and S3."""
    yield _dask(settings.dask_address)
    plain = {
        "MLflow": settings.tracking_uri,
        "Prefect": os.environ.get("PREFECT_API_URL", ""),
        "S3": os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", ""),
    }
    for name, address in plain.items():
        if not address.startswith(("http://", "https://")):
            continue
        where = f"{urlsplit(address).scheme}://{urlsplit(address).hostname}"
        if address.startswith("http://") and is_remote(address):
            way_out = "use https://, or a network that nobody else can listen on"
            yield Check("transport", name, "warning", f"{where}: keys and data travel in plain text", way_out)
        else:
            yield Check("transport", name, "ok", where)


def _dask(address: str) -> Check:
    if not address:
        return Check("transport", "Dask", "ok", "own workers on loopback, with certificates of their run")
    if address.startswith("tls://"):
        return Check("transport", "Dask", "ok", f"{address}, with certificates on both sides")
    # Whoever connects to a scheduler runs code as its owner.
    way_out = "use certificates: myriad tls FOLDER, MYRIAD_DASK_TLS=FOLDER and a tls:// address"
    state = f"{address} is neither encrypted nor asks who connects: who reaches it runs code in the workers"
    return Check("transport", "Dask", "failed", state, way_out)
