"""Register: every challenger becomes a version of its segment's registered model, bucket by bucket."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from adapters.lake import StagedFile
from adapters.registry import ModelEntry, Registry
from adapters.telemetry import Progress, emit
from models.records import ModelRecord
from models.segments import parse_segment
from models.tables import CHALLENGERS, REGISTRATIONS
from tasks.context import Run
from tasks.work.job import in_bucket, read_models
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
    buckets = sorted({int(file.partition["bucket"]) for file in run.table(CHALLENGERS).files()})
    parent = registry.start_training(run.fleet.name, run.job.run_id, {"myriad.run_id": run.job.run_id})
    table = run.table(REGISTRATIONS)
    table.create()
    staged: list[StagedFile] = []
    registered = created = levels = 0
    emit(Progress("register", 0, len(buckets)))
    for done, bucket in enumerate(buckets, start=1):
        models = list(read_models(run.job, CHALLENGERS, in_bucket(bucket), ModelRecord).values())
        entries = [_entry(run, model) for model in models]
        found = registry.register_bucket(parent, bucket, entries, _metrics(models))
        columns = {
            "segment": [model.segment for model in models],
            "model_name": [registration.name for registration in found],
            "model_version": [registration.version for registration in found],
            "fingerprint": [model.fingerprint for model in models],
        }
        staged.append(table.stage(pa.table(columns), bucket=bucket))
        created += sum(registration.created for registration in found)
        if bucket == LEVELS:
            levels = len(models)
        else:
            registered += len(models)
        emit(Progress("register", done, len(buckets)))
    table.replace(staged, lambda file: True, note={"run_id": run.job.run_id})
    registry.finish_training(parent, {"registered": float(registered), "created": float(created)})
    return RegisterSummary(registered, created, levels)


def _metrics(models: Sequence[ModelRecord]) -> dict[str, float]:
    return {"models": float(len(models)), "mean_error": sum(model.error for model in models) / max(1, len(models))}


def _entry(run: Run, model: ModelRecord) -> ModelEntry:
    fleet = run.fleet
    shared = {"myriad.fleet": fleet.name, "myriad.segment": model.segment, "myriad.level": model.level}
    shared |= {f"segment.{column}": value for column, value in parse_segment(model.segment).items()}
    tags = {
        **shared,
        "candidate": model.candidate,
        "metric": model.metric,
        "error": f"{model.error:.6g}",
        "baseline_error": f"{model.baseline_error:.6g}",
        "rows": str(model.rows),
        "cutoff": model.cutoff.isoformat() if model.cutoff else "",
        "sha256": model.sha256,
        "myriad.run_id": model.run_id,
    }
    what = f"segment {model.segment}" if model.level == "segment" else f"fallback level {model.level} ({model.segment})"
    return ModelEntry(
        name=model.model_name,
        onnx=model.onnx,
        fingerprint=model.fingerprint,
        tags=tags,
        description=f"{fleet.name}: {fleet.target.column} of {what}, {model.candidate}",
        model_tags=shared,
    )
