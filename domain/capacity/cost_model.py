"""What tasks of a fleet cost, learnt from a few that were measured: so much a task, a segment and a row."""

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
"""A further term must make the error this much smaller, or it would only follow the noise."""


@dataclass(frozen=True)
class Work:
    """What one task is given: models of segments or of levels, and rows."""

    segments: int
    rows: int


@dataclass(frozen=True)
class Measurement:
    """A task that was done. peak_bytes : resident memory of its worker at the most."""

    work: Work
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class StageCost:
    """Seconds or bytes: of a task whatever it is given, of each of its segments, and of each of its rows."""

    fixed: float
    per_segment: float
    per_row: float

    def of(self, work: Work) -> float:
        """What a task of this size takes."""
        return self.fixed + self.per_segment * work.segments + self.per_row * work.rows


@dataclass(frozen=True)
class CostModel:
    """Measured figures of a fleet on one machine.

    settings : fingerprint of the settings that they hold for. score, score_bytes : None where nothing was scored.
    idle_bytes : a worker that has loaded all code and holds no task. first_seconds : what a worker's first task takes
    on top. commit_seconds : of a training's tables.
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
        """Memory of a worker at each task, largest first; that of an idle one where there is nothing to do."""
        growth = [self.train_bytes.of(work) for work in train]
        growth += [self.score_bytes.of(work) for work in score] if self.score_bytes else []
        return [self.idle_bytes + round(size) for size in sorted(growth or [0.0], reverse=True)]


def fit_stage_cost(works: Sequence[Work], amounts: Sequence[float]) -> StageCost:
    """The rate of measured tasks: least squares of the relative errors, no term below 0, their sum as measured."""
    known = [(work, amount) for work, amount in zip(works, amounts, strict=True) if amount > 0]
    if not known:
        return StageCost(0.0, 0.0, 0.0)
    measured = np.array([amount for _, amount in known])
    terms = np.array([[1.0, work.segments, work.rows] for work, _ in known])
    chosen = _non_negative(terms / measured[:, None])
    chosen *= measured.sum() / (terms @ chosen).sum()
    return StageCost(*chosen.tolist())


def _non_negative(terms: np.ndarray) -> np.ndarray:
    """Factors that bring every row's sum closest to 1; the fewest terms that do."""
    scale = np.where(terms.max(axis=0) > 0, terms.max(axis=0), 1.0)
    best, least = np.zeros(3), np.inf
    # Segments before rows before a task: a small sample that says nothing else grows with the fleet.
    for columns in (chosen for size in (1, 2, 3) for chosen in combinations((1, 2, 0), size)):
        part = terms[:, columns] / scale[list(columns)]
        factors, *_ = np.linalg.lstsq(part, np.ones(len(terms)))
        error = float(np.linalg.norm(part @ factors - 1))
        if factors.min() >= 0 and factors.max() > 0 and error < least * _WORTH - 1e-9:
            least, best = error, np.zeros(3)
            best[list(columns)] = factors / scale[list(columns)]
    return best


def fit_memory(pieces: Sequence[Measurement], idle_bytes: int) -> StageCost:
    """The rate of what tasks hold beyond an idle worker; no measured one holds more than it says."""
    growth = [max(piece.peak_bytes - idle_bytes, 0) for piece in pieces]
    rate = fit_stage_cost([piece.work for piece in pieces], growth)
    short = [size / rate.of(piece.work) for piece, size in zip(pieces, growth, strict=True) if size]
    raised = max(short, default=1.0)
    return StageCost(rate.fixed * raised, rate.per_segment * raised, rate.per_row * raised)


def cost_model_json(rates: CostModel) -> str:
    """The rates as JSON; `parse_cost_model` gives them back."""
    return json_text(rates) + "\n"


def parse_cost_model(text: str) -> CostModel | None:
    """The rates of a JSON text; None if it is none, or one of a version that measured other figures."""
    try:
        return TypeAdapter(CostModel).validate_json(text)
    except ValidationError:
        return None
