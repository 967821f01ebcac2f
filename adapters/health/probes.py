"""Probes of each part of an installation; an unusable part raises, and the examination reports the error."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from adapters.compute.code_version import code_digest
from adapters.compute.tls import expires
from adapters.health.servers import check_prefect, check_tracking_server
from adapters.lake.s3 import Bucket
from adapters.settings import Settings, quiet_names
from domain.checks.health import Check
from domain.errors import LakeError
from domain.reporting.formatting import format_bytes

_DISTRIBUTION = "myriad-models"
_LATE_S, _TOO_LATE_S = 30.0, 300.0
_LITTLE_BYTES = 1 << 30
_SOON_DAYS = 30
_ANSWER_S = 12.0


def packages(settings: Settings) -> Iterator[Check]:
    """Check the versions of the required packages."""
    problems = []
    for text in requires(_DISTRIBUTION) or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(needed.name)
        except PackageNotFoundError:
            problems.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(installed, prereleases=True):
            problems.append(f"{needed.name} {installed}, needed {needed.specifier}")
    verdict, way_out = ("failed", "install from requirements/runtime.lock: make demo") if problems else ("ok", "")
    yield Check("packages", "versions", verdict, "; ".join(problems) or "all as needed", way_out)  # type: ignore[arg-type]
    yield Check("packages", "code", "ok", f"myriad {version(_DISTRIBUTION)}, {code_digest()}")


def lake(settings: Settings) -> Iterator[Check]:
    """Check that the lake is reachable and writable, supports conditional writes and agrees with our clock."""
    if settings.lake.startswith("s3://"):
        yield from _s3(Bucket(settings.lake))
        return
    folder = Path(settings.lake_uri)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".doctor-{uuid.uuid4().hex}"
        probe.write_bytes(b"1")
        probe.unlink()
    except OSError as exc:
        raise LakeError(f"{folder}: cannot be written: {exc}; set MYRIAD_LAKE to a folder that can") from exc
    yield Check("lake", "writable", "ok", str(folder))
    free = shutil.disk_usage(folder).free
    low = free < _LITTLE_BYTES
    way_out = "make room, or set MYRIAD_LAKE to another disk" if low else ""
    yield Check("lake", "space", "warning" if low else "ok", f"{format_bytes(free)} free", way_out)


def _s3(bucket: Bucket) -> Iterator[Check]:
    began = time.monotonic()
    server_time = bucket.reach()
    yield Check("lake", "reachable", "ok", f"{bucket.uri} in {1e3 * (time.monotonic() - began):.0f} ms")
    offset_s = abs((datetime.now(UTC) - server_time).total_seconds())
    verdict, way_out = "ok", ""
    if offset_s > _LATE_S:
        verdict = "failed" if offset_s > _TOO_LATE_S else "warning"
        way_out = (
            "set the clock of this host, or the server's, by NTP: requests are refused when they are minutes apart"
        )
    yield Check("lake", "clock", verdict, f"{offset_s:.0f} s apart from the server's", way_out)  # type: ignore[arg-type]
    bucket.round_trip()
    yield Check("lake", "writable", "ok", "written, read back and deleted")
    if bucket.refuses_second():
        yield Check("lake", "conditional writes", "ok", "the second of two is refused")
    else:
        way_out = "two commits at once could lose one of them; use a server with conditional writes (If-None-Match)"
        yield Check("lake", "conditional writes", "failed", "the second of two was accepted", way_out)


def registry(settings: Settings) -> Iterator[Check]:
    """Check the registry server's version and account, and report the registration method."""
    from adapters.registry import DirectAccess, Registry

    if settings.mlflow_uri.startswith(("http://", "https://")):
        yield Check("registry", "server", "ok", f"MLflow {check_tracking_server(settings.mlflow_uri)}")
    elif not settings.tracking_uri and not settings.path("var/mlflow/mlflow.db").exists():
        yield Check("registry", "database", "unused", "made by the first run, below var/mlflow")
        return
    direct_access = DirectAccess(settings.registry_database, settings.registry_files)
    path = Registry(settings.mlflow_uri, settings.mlflow_artifacts, direct_access=direct_access).path
    slow = path == "api"
    method = "one model after another, by MLflow's API" if slow else "in bulk"
    way_out = "set MYRIAD_REGISTRY_DATABASE to the server's database, which is many times faster" if slow else ""
    yield Check("registry", "registration", "warning" if slow else "ok", method, way_out)


def prefect(settings: Settings) -> Iterator[Check]:
    """Check the Prefect server's version and account."""
    from adapters.orchestration.local_server import running_server

    url = running_server(settings)
    if url is None:
        yield Check("prefect", "server", "unused", "a server inside each run, which ends with it")
        return
    yield Check("prefect", "server", "ok", f"Prefect {check_prefect(url)} at {url}")


def workers(settings: Settings) -> Iterator[Check]:
    """Check own workers against this machine's memory, or the scheduler's certificates, versions and workers."""
    if settings.tls_folder is not None:
        days = (expires(settings.tls_folder) - datetime.now(UTC)).days
        way_out = f"renew them: myriad tls {settings.tls_folder}" if days < _SOON_DAYS else ""
        yield Check("workers", "certificates", "warning" if way_out else "ok", f"valid for {days} days", way_out)
    if not settings.dask_address:
        yield _own_workers(settings)
        return
    from adapters.compute.dask import connect

    with connect(settings) as client:
        encrypted = "encrypted" if settings.dask_address.startswith("tls://") else "not encrypted"
        yield Check("workers", "scheduler", "ok", f"{settings.dask_address}, {encrypted}, versions as here")
        future = client.submit(code_digest, pure=False, retries=1)
        try:
            digest = future.result(timeout=_ANSWER_S)
        except TimeoutError:
            way_out = "start workers: myriad workers, on this or another host"
            yield Check("workers", "workers", "failed", f"no worker took a task within {_ANSWER_S:.0f} s", way_out)
            return
        same = digest == code_digest()
        way_out = "" if same else "install the same version of Myriad on all hosts, and start the workers again"
        yield Check("workers", "code", "ok" if same else "failed", f"a worker has {digest}", way_out)
        if settings.lake.startswith("s3://"):
            client.submit(_reach, settings.lake, pure=False).result(timeout=_ANSWER_S)
            yield Check("workers", "lake", "ok", "a worker reaches it")
        elif "127.0.0.1" not in settings.dask_address and "localhost" not in settings.dask_address:
            detail = f"{settings.lake_uri} is a folder, and the scheduler is elsewhere"
            yield Check("workers", "lake", "warning", detail, "workers must see the same folder; or use an s3:// lake")


def _reach(uri: str) -> None:
    Bucket(uri).reach()


def _own_workers(settings: Settings) -> Check:
    cores, memory = os.cpu_count() or 1, psutil.virtual_memory().total
    summary = (
        f"{settings.workers} own workers, memory limit {settings.worker_memory}; {cores} cores, {format_bytes(memory)}"
    )
    if settings.worker_memory != "auto":
        from dask.utils import parse_bytes

        if settings.workers * parse_bytes(settings.worker_memory) > memory:
            return Check("workers", "memory", "warning", summary, "lower MYRIAD_WORKERS or MYRIAD_WORKER_MEMORY")
    return Check("workers", "own", "ok", summary)


def telemetry(settings: Settings) -> Iterator[Check]:
    """Check that telemetry of third-party libraries is off."""
    enabled = [name for name, quiet in quiet_names().items() if _yes(os.environ.get(name, quiet)) != _yes(quiet)]
    state = f"on: {', '.join(enabled)}" if enabled else "off"
    yield Check("telemetry", "libraries", "warning" if enabled else "ok", state, "unset it" if enabled else "")


def _yes(value: str) -> bool:
    """Parse a boolean variable as the libraries do: `1`, `true`, `yes` and `on` are true."""
    return value.strip().lower() in ("1", "true", "t", "yes", "y", "on")
