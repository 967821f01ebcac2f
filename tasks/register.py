"""Register: every challenger becomes a version of its segment's registered model, bucket by bucket."""

from dataclasses import dataclass

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from adapters.lake import StagedFile
from adapters.registry import ModelEntry, Registry
from adapters.telemetry import Progress, emit
from models.segments import parse_segment
from models.tables import CHALLENGERS, REGISTRATIONS
from tasks.context import Run
from tasks.work.job import in_bucket
from tasks.work.train import LEVELS

__all__ = ["RegisterSummary", "register_challengers"]


@dataclass(frozen=True)
class RegisterSummary:
    """registered : segments whose challenger is a registered version. created : versions that are new, levels too."""

    registered: int
    created: int
    levels: int


@task(name="register challengers", cache_policy=NO_CACHE)
def register_challengers(run: Run, registry: Registry) -> RegisterSummary:
    """Register all challengers; what is registered already keeps its version, so a repeated run only fills gaps."""
    challengers = run.table(CHALLENGERS)
    files = challengers.files()
    buckets = sorted({int(file.partition["bucket"]) for file in files})
    parent = registry.start_training(run.fleet.name, run.job.run_id, {"myriad.run_id": run.job.run_id})
    table = run.table(REGISTRATIONS)
    table.create()
    staged: list[StagedFile] = []
    registered = created = levels = 0
    emit(Progress("register", 0, len(buckets)))
    for done, bucket in enumerate(buckets, start=1):
        rows = challengers.read_files([file for file in files if in_bucket(bucket)(file.partition)]).to_pylist()
        entries = [_entry(run, row) for row in rows]
        found = registry.register_bucket(parent, bucket, entries, _metrics(rows))
        columns = {
            "segment": [row["segment"] for row in rows],
            "model_name": [registration.name for registration in found],
            "model_version": [registration.version for registration in found],
            "fingerprint": [row["fingerprint"] for row in rows],
        }
        staged.append(table.stage(pa.table(columns), bucket=bucket))
        created += sum(registration.created for registration in found)
        if bucket == LEVELS:
            levels = len(rows)
        else:
            registered += len(rows)
        emit(Progress("register", done, len(buckets)))
    table.replace(staged, lambda file: True, note={"run_id": run.job.run_id})
    registry.finish_training(parent, {"registered": float(registered), "created": float(created)})
    return RegisterSummary(registered, created, levels)


def _metrics(rows: list[dict[str, object]]) -> dict[str, float]:
    errors = [float(row["error"]) for row in rows]  # type: ignore[arg-type]
    return {"models": float(len(rows)), "mean_error": sum(errors) / max(1, len(errors))}


def _entry(run: Run, row: dict[str, object]) -> ModelEntry:
    fleet, segment = run.fleet, str(row["segment"])
    shared = {"myriad.fleet": fleet.name, "myriad.segment": segment, "myriad.level": str(row["level"])}
    shared |= {f"segment.{column}": value for column, value in parse_segment(segment).items()}
    tags = {
        **shared,
        "candidate": str(row["candidate"]),
        "metric": str(row["metric"]),
        "error": f"{row['error']:.6g}",
        "baseline_error": f"{row['baseline_error']:.6g}",
        "rows": str(row["rows"]),
        "cutoff": str(row["cutoff"]),
        "sha256": str(row["sha256"]),
        "myriad.run_id": str(row["run_id"]),
    }
    what = f"segment {segment}" if row["level"] == "segment" else f"fallback level {row['level']} ({segment})"
    return ModelEntry(
        name=str(row["model_name"]),
        onnx=bytes(row["onnx"]),  # type: ignore[arg-type]
        fingerprint=str(row["fingerprint"]),
        tags=tags,
        description=f"{fleet.name}: {fleet.target.column} of {what}, {row['candidate']}",
        model_tags=shared,
    )
