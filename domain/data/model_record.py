"""One stored model as a value: a row of the challengers or champions table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Self

__all__ = ["Champion", "ModelRecord"]


@dataclass(frozen=True)
class ModelRecord:
    """A trained model with the figures that it was chosen on.

    level : `segment`, or the fallback level that it stands for. error, baseline_error : backtest, in `metric`.
    weight : what the segment counts in fleet-wide figures. scale : mean absolute target. cutoff : time of the newest
    training row. contract, parameters : JSON. parity_error : ONNX against native, relative to the scale.
    refits : trainings since the candidate was chosen.
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
    refits: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The record of a table's row; further columns are left out."""
        values = {field.name: row[field.name] for field in fields(cls)}
        # Null where a table was written before the column came.
        return cls(**values | {"refits": values["refits"] or 0})

    def to_row(self) -> dict[str, Any]:
        """The row of a table, without its partition columns."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_json(self) -> str:
        """Everything but the graph; `from_json` with the graph gives the record back."""
        values = {name: value for name, value in _values(self).items() if name != "onnx"}
        return json.dumps(values | {"cutoff": self.cutoff.isoformat() if self.cutoff else None})

    @classmethod
    def from_json(cls, text: str, onnx: bytes) -> Self:
        """The record of `to_json` and its graph."""
        values = json.loads(text)
        cutoff = datetime.fromisoformat(values["cutoff"]) if values["cutoff"] else None
        return cls.from_row(values | {"cutoff": cutoff, "onnx": onnx})


@dataclass(frozen=True)
class Champion(ModelRecord):
    """A model in production: its registered version, and when and how it came there.

    kind : `promotion`, `rollback`, `pin` or `unpin`. source : run of a promotion, `release N` or `version N`.
    """

    model_version: int
    promoted_at: datetime
    kind: str
    source: str

    @classmethod
    def promoted(cls, model: ModelRecord, version: int, at: datetime, source: str) -> Self:
        """The champion that a challenger becomes. version : registered version. source : run that promoted it."""
        return cls(**_values(model), model_version=version, promoted_at=at, kind="promotion", source=source)

    @classmethod
    def pinned(cls, model: ModelRecord, version: int, at: datetime) -> Self:
        """The champion that a model becomes by a pin; no challenger replaces it."""
        return cls(**_values(model), model_version=version, promoted_at=at, kind="pin", source=f"version {version}")

    @property
    def is_pinned(self) -> bool:
        return self.kind == "pin"

    def unpinned(self, at: datetime) -> Self:
        """The same model, which challengers may replace again."""
        return replace(self, kind="unpin", promoted_at=at)

    def restored(self, release: int, at: datetime) -> Self:
        """The same model, put back with the release that had it. A pin is part of its release and stays a pin."""
        if self.is_pinned:
            return replace(self, promoted_at=at)
        return replace(self, kind="rollback", source=f"release {release}", promoted_at=at)

    def renumbered(self, version: int) -> Self:
        """The same model under another version number, as after its registration was lost and made again."""
        source = f"version {version}" if self.kind in ("pin", "unpin") else self.source
        return replace(self, model_version=version, source=source)


def _values(model: ModelRecord) -> dict[str, Any]:
    """Fields of the record by name, without those of a champion. `asdict` would copy every value in depth."""
    return {field.name: getattr(model, field.name) for field in fields(ModelRecord)}
