"""Register every challenger as a version of its segment's registered model, bucket by bucket."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from adapters.compute.progress import Progress, emit
from adapters.compute.workers import WorkPendingError
from adapters.lake.staged_file import StagedFile
from adapters.registry import Batch, Registry
from domain.data.model_record import ModelRecord
from domain.data.segments import FALLBACK_BUCKET
from domain.data.tables import CHALLENGERS, REGISTRATIONS, TableSpec
from tasks.context import Run
from tasks.registry_entries import model_entry
from tasks.workers.run_context import in_bucket, read_models

__all__ = ["RegisterSummary", "register_challengers"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegisterSummary:
    """registered : segments whose challenger is a registered version. created : new versions, including levels."""

    registered: int
    created: int
    levels: int


def register_challengers(run: Run, registry: Registry, *, only_look: bool = False) -> RegisterSummary:
    """Register the challengers that are not registered yet, bucket by bucket; a repeated run only fills gaps.

    The registry must confirm every registration in the lake: a version that it does not have is made again.
    only_look : raise WorkPendingError instead, before anything is registered.
    """
    challengers, standing = _by_bucket(run, CHALLENGERS), _by_bucket(run, REGISTRATIONS)
    known = registry.versions(sorted({row["model_name"] for rows in challengers.values() for row in rows}))
    pending = [
        bucket for bucket, rows in challengers.items() if not _is_registered(rows, standing.get(bucket, []), known)
    ]
    if pending and only_look:
        raise WorkPendingError("register")
    table = run.table(REGISTRATIONS)
    table.create()
    created = _register(run, registry, pending, standing) if pending else 0
    gone = standing.keys() - challengers.keys()
    if gone:
        table.replace([], lambda file: int(file.partition["bucket"]) in gone, note={"run_id": run.context.run_id})
    levels = len(challengers.get(FALLBACK_BUCKET, []))
    return RegisterSummary(sum(map(len, challengers.values())) - levels, created, levels)


def _by_bucket(run: Run, spec: TableSpec) -> dict[int, list[dict[str, Any]]]:
    """Return names, fingerprints and, if there are any, versions of a table's models by bucket."""
    columns = ["segment", "model_name", "fingerprint", "model_version", "bucket"]
    by_bucket: dict[int, list[dict[str, Any]]] = {}
    for row in run.table(spec).read([name for name in columns if name in spec.schema.names]).to_pylist():
        by_bucket.setdefault(row["bucket"], []).append(row)
    return dict(sorted(by_bucket.items()))


def _is_registered(
    rows: Sequence[Mapping[str, Any]],
    standing: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, int]],
) -> bool:
    """Check that a bucket's registrations are those of its challengers, and that the registry has all of them."""
    there = {
        (row["segment"], row["fingerprint"])
        for row in standing
        if known.get(row["model_name"], {}).get(row["fingerprint"]) == row["model_version"]
    }
    return len(standing) == len(rows) and all((row["segment"], row["fingerprint"]) in there for row in rows)


def _register(
    run: Run, registry: Registry, buckets: Sequence[int], standing: Mapping[int, Sequence[Mapping[str, Any]]]
) -> int:
    """Register the challengers of some buckets under a run of this training; return the number of new versions.

    standing : registrations according to the lake; a version that the registry lost gets its old number if it is free.
    """
    parent = registry.start_training(run.fleet.name, run.context.run_id, {"myriad.run_id": run.context.run_id})
    table = run.table(REGISTRATIONS)
    staged: list[StagedFile] = []
    created = 0
    emit(Progress("register", 0, len(buckets)))
    batches = (_batch(run, bucket, standing.get(bucket, ())) for bucket in buckets)
    for done, (batch, registrations) in enumerate(registry.register_buckets(parent, batches), start=1):
        columns = {
            "segment": [entry.tags["myriad.segment"] for entry in batch.entries],
            "model_name": [registration.name for registration in registrations],
            "model_version": [registration.version for registration in registrations],
            "fingerprint": [entry.fingerprint for entry in batch.entries],
        }
        staged.append(table.stage(pa.table(columns), bucket=batch.bucket))
        created += sum(registration.created for registration in registrations)
        emit(Progress("register", done, len(buckets)))
    done_now = {str(bucket) for bucket in buckets}
    table.replace(staged, lambda file: file.partition["bucket"] in done_now, note={"run_id": run.context.run_id})
    registry.finish_training(parent, {"created": float(created)})
    return created


def _batch(run: Run, bucket: int, standing: Sequence[Mapping[str, Any]]) -> Batch:
    challengers = read_models(run.context, CHALLENGERS, in_bucket(bucket), ModelRecord).values()
    models = []
    for model in challengers:
        # The registry must not vouch for a graph that was never trained; the gates hold the challenger.
        if failure := model.graph_failure():
            log.warning("segment %s: model %s is not registered: %s", model.segment, model.model_name, failure.reason)
        else:
            models.append(model)
    numbers = {(row["segment"], row["fingerprint"]): row["model_version"] for row in standing}
    entries = [model_entry(run.fleet, model, numbers.get((model.segment, model.fingerprint), 0)) for model in models]
    mean_error = sum(model.error for model in models) / max(1, len(models))
    return Batch(bucket, entries, {"models": float(len(models)), "mean_error": mean_error})
