"""One stored model as a value: a row of the challengers or champions table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Self

__all__ = ["Champion", "ModelRecord"]


@dataclass(frozen=True)
class ModelRecord:
    """A trained model with the figures that it was chosen on.

    level : `segment`, or the fallback level that it stands for. error, baseline_error : backtest, in `metric`.
    weight : what the segment counts in fleet-wide figures. scale : mean absolute target. cutoff : time of the newest
    training row. contract, parameters : JSON. parity_error : ONNX against native, relative to the scale.
    """

    segment: str
    level: str
    model_name: str
    candidate: str
    metric: str
    error: float
    baseline_error: float
    weight: float
    rows: int
    cutoff: datetime | None
    scale: float
    fingerprint: str
    contract: str
    parameters: str
    onnx: bytes
    sha256: str
    parity_error: float
    latency_ms: float
    run_id: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The record of a table's row; further columns are left out."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})

    def to_row(self) -> dict[str, Any]:
        """The row of a table, without its partition columns."""
        return asdict(self)


@dataclass(frozen=True)
class Champion(ModelRecord):
    """A model in production: its registered version, and when and how it came there."""

    model_version: int
    promoted_at: datetime
    kind: str
    source: str

    @classmethod
    def promoted(cls, model: ModelRecord, version: int, at: datetime, source: str) -> Self:
        """The champion that a challenger becomes. version : registered version. source : run that promoted it."""
        return cls(**asdict(model), model_version=version, promoted_at=at, kind="promotion", source=source)
