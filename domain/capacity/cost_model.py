"""The cost of a fleet's tasks per task, segment and row, fitted to a few measurements."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from pydantic import TypeAdapter, ValidationError

from domain.data.jsonable import json_text

__all__ = [
    "CostModel",
    "Measurement",
    "StageCost",
    "Work",
    "cost_model_json",
    "fit_memory",
    "fit_stage_cost",
    "parse_cost_model",
]

_WORTH = 0.98
"""A further term must reduce the error to this share, or it would only follow the noise."""


@dataclass(frozen=True)
class Work:
    """The size of one task: segments (or fallback levels) to model, and rows."""

    segments: int
    rows: int


@dataclass(frozen=True)
class Measurement:
    """A measured task; peak_bytes : peak resident memory of its worker."""

    work: Work
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class StageCost:
    """Seconds or bytes: fixed per task, per segment, and per row."""

    fixed: float
    per_segment: float
    per_row: float

    def of(self, work: Work) -> float:
        """The cost of a task of this size."""
        return self.fixed + self.per_segment * work.segments + self.per_row * work.rows


@dataclass(frozen=True)
class CostModel:
    """Measured costs of a fleet on one machine.

    Parameters
    ----------
    settings : fingerprint of the settings that the costs hold for.
    score, score_bytes : None if nothing was scored.
    idle_bytes : memory of a worker that has loaded all code and holds no task.
    first_seconds : additional time of a worker's first task.
    commit_seconds : time to commit the tables of a training.
    """

    settings: str
    measured_at: str
    train: StageCost
    score: StageCost | None
    train_bytes: StageCost
    score_bytes: StageCost | None
    idle_bytes: int
    first_seconds: float
    commit_seconds: float

    def peak_bytes(self, train: Sequence[Work], score: Sequence[Work]) -> list[int]:
        """Memory of a worker at each task, largest first; that of an idle worker if there are no tasks."""
        growth = [self.train_bytes.of(work) for work in train]
        growth += [self.score_bytes.of(work) for work in score] if self.score_bytes else []
        return [self.idle_bytes + round(size) for size in sorted(growth or [0.0], reverse=True)]


def fit_stage_cost(works: Sequence[Work], amounts: Sequence[float]) -> StageCost:
    """Fit costs to measured tasks: least squares of relative errors, no negative term, and the measured sum."""
    known = [(work, amount) for work, amount in zip(works, amounts, strict=True) if amount > 0]
    if not known:
        return StageCost(0.0, 0.0, 0.0)
    measured = np.array([amount for _, amount in known])
    terms = np.array([[1.0, work.segments, work.rows] for work, _ in known])
    chosen = _non_negative(terms / measured[:, None])
    chosen *= measured.sum() / (terms @ chosen).sum()
    return StageCost(*chosen.tolist())


def _non_negative(terms: np.ndarray) -> np.ndarray:
    """Factors that bring the sum of each row closest to 1, with as few terms as possible."""
    scale = np.where(terms.max(axis=0) > 0, terms.max(axis=0), 1.0)
    best, least = np.zeros(3), np.inf
    # Segments before rows before tasks: where a small sample cannot tell, costs grow with the fleet.
    for columns in (chosen for size in (1, 2, 3) for chosen in combinations((1, 2, 0), size)):
        part = terms[:, columns] / scale[list(columns)]
        factors, *_ = np.linalg.lstsq(part, np.ones(len(terms)))
        error = float(np.linalg.norm(part @ factors - 1))
        if factors.min() >= 0 and factors.max() > 0 and error < least * _WORTH - 1e-9:
            least, best = error, np.zeros(3)
            best[list(columns)] = factors / scale[list(columns)]
    return best


def fit_memory(measurements: Sequence[Measurement], idle_bytes: int) -> StageCost:
    """Fit the memory of tasks beyond that of an idle worker; no measured task exceeds the fit."""
    growth = [max(measured.peak_bytes - idle_bytes, 0) for measured in measurements]
    cost = fit_stage_cost([measured.work for measured in measurements], growth)
    pairs = zip(measurements, growth, strict=True)
    exceeded = [size / cost.of(measured.work) for measured, size in pairs if size]
    factor = max(exceeded, default=1.0)
    return StageCost(cost.fixed * factor, cost.per_segment * factor, cost.per_row * factor)


def cost_model_json(costs: CostModel) -> str:
    """The cost model as JSON, which `parse_cost_model` reads."""
    return json_text(costs) + "\n"


def parse_cost_model(text: str) -> CostModel | None:
    """The cost model of a JSON text; None if the text is invalid or from a version with other figures."""
    try:
        return TypeAdapter(CostModel).validate_json(text)
    except ValidationError:
        return None
