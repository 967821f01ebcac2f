"""Parameters of the run of a job, and the limit that Prefect sets to their size."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.gateway.records import JobRecord
from adapters.lake.table import Lake
from adapters.lake.uploads import SCHEME, place_of, uploads_of
from adapters.sources.fleet_files import load_fleet
from adapters.sources.precheck import input_roots
from domain.errors import RequestError
from domain.gateway.jobs import MOST_INPUTS

__all__ = ["MOST_INPUT_BYTES", "MOST_PARAMETER_BYTES", "RunParameters", "batches"]

MOST_PARAMETER_BYTES = 516_096
"""Prefect refuses parameters of more than 524,288 bytes of JSON; 8 KiB are for those of the deployment."""
MOST_INPUT_BYTES = 450_000
"""Bytes of the inputs of a job that is made from files of a trigger; the rest is for its other parameters."""


class RunParameters:
    """Builds the parameters of runs. roots : locations that any job may read from, besides its fleet's own source."""

    def __init__(self, lake: Lake, home: Path, roots: Sequence[str]) -> None:
        self._lake, self._home, self._roots = lake, home, tuple(roots)

    def of(self, job: JobRecord) -> dict[str, Any]:
        """Return the parameters of a job's run. Raises FleetError and RequestError if it cannot start."""
        settings = job.settings
        inputs = [self._place(job.fleet, uri) for uri in job.request.inputs]
        optional = {name: settings.get(name) for name in ("workers", "concurrency")}
        optional["output"] = job.request.output.place(job.id)
        return {
            "run_id": job.id,
            "release": settings.get("release"),
            "inputs": inputs or None,
            "within": self._within(job.fleet),
            "max_rejected_share": settings.get("max_rejected_share", 1.0),
        } | {name: value for name, value in optional.items() if value is not None}

    def check_size(self, job: JobRecord) -> None:
        """Raise RequestError with figure and limit if Prefect would refuse the job's parameters."""
        size = _size(self.of(job))
        if size > MOST_PARAMETER_BYTES:
            raise RequestError(
                f"{len(job.request.inputs):,} inputs make {size:,} bytes of parameters, and a run takes "
                f"{MOST_PARAMETER_BYTES:,}; name fewer files in a job, or a folder with shorter addresses"
            )

    def _within(self, fleet: str) -> list[str]:
        """Return the folders that the run may read from: what was checked may have become a link since."""
        rule = load_fleet(fleet, self._home).score
        source = rule.source.path if rule else None
        local = "://" not in self._lake.uri
        return [*input_roots(self._roots, source, self._home, local=local), uploads_of(self._lake, fleet)]

    def _place(self, fleet: str, uri: str) -> str:
        return place_of(self._lake, fleet, uri) if uri.startswith(SCHEME) else uri


def batches(uris: Mapping[str, str]) -> list[dict[str, str]]:
    """Cut files, uri by key, into batches that one run takes: by their number and by the bytes of their addresses."""
    parts, size = [dict[str, str]()], 0
    for key, uri in uris.items():
        bytes_of_uri = _size(uri) + 2
        if parts[-1] and (len(parts[-1]) == MOST_INPUTS or size + bytes_of_uri > MOST_INPUT_BYTES):
            parts.append({})
            size = 0
        parts[-1][key] = uri
        size += bytes_of_uri
    return [part for part in parts if part]


def _size(value: object) -> int:
    """Return the bytes that Prefect counts: JSON with escapes."""
    return len(json.dumps(value))
