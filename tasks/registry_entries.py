"""Entries of models for the registry."""

from adapters.registry import ModelEntry, tag_key
from domain.config.fleet import Fleet
from domain.data.model_record import ModelRecord
from domain.data.segments import parse_segment

__all__ = ["model_entry"]


def model_entry(fleet: Fleet, model: ModelRecord, version: int = 0) -> ModelEntry:
    """Return the registry entry for the model of a segment or level. version : its former number, 0 for none."""
    shared = {"myriad.fleet": fleet.name, "myriad.segment": model.segment, "myriad.level": model.level}
    shared |= {tag_key(f"segment.{column}"): value for column, value in parse_segment(model.segment).items()}
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
        record=model.to_json(),
        version=version,
    )
