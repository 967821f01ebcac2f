"""A stored model as a value: a row of the challengers or champions table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Self

from domain.data.graph_digest import graph_failure
from domain.failure import Failure

__all__ = ["Champion", "ModelRecord"]


@dataclass(frozen=True)
class ModelRecord:
    """A trained model and the figures that decided its selection.

    level : `segment`, or the fallback level of the model. error, baseline_error : of the backtest, in `metric`.
    weight : weight of the segment in fleet-wide figures. scale : mean absolute target. cutoff : time of the newest
    training row. contract, parameters : JSON. parity_error : ONNX against the native model, relative to the scale.
    refits : trainings since the candidate was selected.
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
        """Read a row of a table; columns without a field are ignored."""
        values = {field.name: row[field.name] for field in fields(cls)}
        # Null if the table was written before the column existed.
        return cls(**values | {"refits": values["refits"] or 0})

    def to_row(self) -> dict[str, Any]:
        """Return the row of a table, without its partition columns."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def graph_failure(self) -> Failure | None:
        """Return a Failure if the graph is not the one that was trained; it must not be run then."""
        return graph_failure(self.onnx, self.sha256)

    def to_json(self) -> str:
        """Write everything but the graph; `from_json` restores the record from it and the graph."""
        values = {name: value for name, value in _values(self).items() if name != "onnx"}
        return json.dumps(values | {"cutoff": self.cutoff.isoformat() if self.cutoff else None})

    @classmethod
    def from_json(cls, text: str, onnx: bytes) -> Self:
        """Restore a record from the text of `to_json` and the graph."""
        values = json.loads(text)
        cutoff = datetime.fromisoformat(values["cutoff"]) if values["cutoff"] else None
        return cls.from_row(values | {"cutoff": cutoff, "onnx": onnx})


@dataclass(frozen=True)
class Champion(ModelRecord):
    """A model in production: its registered version, and the time and cause of its promotion.

    kind : `promotion`, `rollback`, `pin` or `unpin`. source : run of the promotion, `release N` or `version N`.
    """

    model_version: int
    promoted_at: datetime
    kind: str
    source: str

    @classmethod
    def promoted(cls, model: ModelRecord, version: int, at: datetime, source: str) -> Self:
        """Promote a challenger to champion. version : registered version. source : run of the promotion."""
        return cls(**_values(model), model_version=version, promoted_at=at, kind="promotion", source=source)

    @classmethod
    def pinned(cls, model: ModelRecord, version: int, at: datetime) -> Self:
        """Make a model the champion by a pin; no challenger replaces it."""
        return cls(**_values(model), model_version=version, promoted_at=at, kind="pin", source=f"version {version}")

    @property
    def is_pinned(self) -> bool:
        return self.kind == "pin"

    def unpinned(self, at: datetime) -> Self:
        """Return the same model, open to replacement by challengers again."""
        return replace(self, kind="unpin", promoted_at=at)

    def restored(self, release: int, at: datetime) -> Self:
        """Return the same model, restored with its former release. A pin is part of a release and stays a pin."""
        if self.is_pinned:
            return replace(self, promoted_at=at)
        return replace(self, kind="rollback", source=f"release {release}", promoted_at=at)

    def renumbered(self, version: int) -> Self:
        """Return the same model under another version number, for instance after it was registered anew."""
        source = f"version {version}" if self.kind in ("pin", "unpin") else self.source
        return replace(self, model_version=version, source=source)


def _values(model: ModelRecord) -> dict[str, Any]:
    """Fields of the record by name, without those of a champion. `asdict` would copy every value deeply."""
    return {field.name: getattr(model, field.name) for field in fields(ModelRecord)}
