"""View of one segment as values, with the reason why its model was selected."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from domain.config.candidates import ENSEMBLE
from domain.config.fleet import Fleet
from domain.data.verdict import Verdict
from domain.reporting.formatting import format_number, format_percent

__all__ = [
    "CandidateView",
    "ChampionView",
    "DataView",
    "InputView",
    "ModelView",
    "OutcomeView",
    "PredictionLineage",
    "PredictionView",
    "RejectedView",
    "SegmentView",
    "VerdictView",
    "describe_level",
    "explain_choice",
    "sparkline",
]

_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class DataView:
    """Training rows of a segment: their profile, and the series in time order."""

    rows: int
    excluded: int
    first_time: datetime | None
    last_time: datetime | None
    gaps: int
    mean: float
    std: float
    zero_share: float
    demand: str
    times: tuple[datetime | None, ...]
    targets: tuple[float, ...]


@dataclass(frozen=True)
class RejectedView:
    """One quarantined row."""

    stage: str
    reason: str
    detail: str
    path: str
    row: int


@dataclass(frozen=True)
class CandidateView:
    """Result of one candidate in the newest backtest. weight : its share in the selected model."""

    candidate: str
    error: float
    rank: int
    weight: float
    selected: bool


@dataclass(frozen=True)
class OutcomeView:
    """Outcome of the segment in one training run."""

    run_id: str
    outcome: str
    reason: str
    candidate: str
    at: datetime


@dataclass(frozen=True)
class VerdictView(Verdict):
    """Verdict of one gate in one promotion run."""

    run_id: str


@dataclass(frozen=True)
class ModelView:
    """A stored model without its graph: the columns of `ModelRecord` that are shown, with its version and size.

    segment : key of its segment or fallback group. model_version : None if it is not registered.
    """

    segment: str
    level: str
    model_name: str
    model_version: int | None
    candidate: str
    metric: str
    error: float
    baseline_error: float
    rows: int
    cutoff: datetime | None
    size_bytes: int
    sha256: str
    fingerprint: str
    parity_error: float
    run_id: str


@dataclass(frozen=True)
class ChampionView:
    """A model of a release. since_release : first kept release with it. source : run, `release N` or `version N`."""

    model: ModelView
    release: int
    since_release: int
    promoted_at: datetime
    kind: str
    source: str


@dataclass(frozen=True)
class InputView:
    """A raw file. rows : those of the segment. trained : those of them up to the cutoff of the model."""

    path: str
    input_id: str
    role: str
    rows: int
    trained: int
    ingested_at: datetime | None


@dataclass(frozen=True)
class PredictionView:
    """One row of the predictions table."""

    segment: str
    origin: datetime | None
    time: datetime | None
    step: int | None
    prediction: float | None
    lower: float | None
    upper: float | None
    status: str
    reason: str | None
    candidate: str | None
    model_name: str | None
    model_version: int | None
    release: int
    fallback_level: str | None
    job_id: str
    input_id: str
    row: int | None
    row_key: str | None
    cutoff: datetime | None
    as_of: datetime | None
    scored_at: datetime


@dataclass(frozen=True)
class PredictionLineage:
    """Lineage of one prediction, down to the files.

    made_by : model in its release; None if that release is no longer kept. inputs : files with the rows that the model
    was trained on and that the forecast starts from; for a fallback model, those of all segments of its group.
    covariates : file with the features of the period or row. others : predictions for the same time or row from other
    origins, releases or inputs.
    """

    prediction: PredictionView
    made_by: ChampionView | None
    inputs: tuple[InputView, ...]
    covariates: InputView | None
    others: tuple[PredictionView, ...]


@dataclass(frozen=True)
class SegmentView:
    """View of one segment or fallback group. predictions : the current forecast, or the newest rows."""

    fleet: str
    segment: str
    values: Mapping[str, str]
    level: str
    bucket: int
    release: int
    data: DataView | None
    rejected: tuple[RejectedView, ...]
    leaderboard: tuple[CandidateView, ...]
    choice: str
    outcomes: tuple[OutcomeView, ...]
    verdicts: tuple[VerdictView, ...]
    challenger: ModelView | None
    champion: ChampionView | None
    inputs: tuple[InputView, ...]
    predicted_rows: int
    predictions: tuple[PredictionView, ...]


def explain_choice(ranks: Sequence[CandidateView], baseline_error: float, fleet: Fleet | None) -> str:
    """Explain why the selected candidate won; empty without a backtest.

    Parameters
    ----------
    ranks : results of the candidates.
    baseline_error : backtest error of the naive baseline.
    fleet : source of the margins, whose file may have changed since; None names the settings instead.
    """
    selected = next((rank for rank in ranks if rank.selected), None)
    if selected is None:
        return "no candidate produced a model" if ranks else ""
    result = f"{selected.candidate} with error {format_number(selected.error)}"
    margin = format_percent(fleet.backtest.combination_margin) if fleet else "backtest.combination_margin"
    singles = [rank for rank in ranks if rank.candidate != ENSEMBLE and math.isfinite(rank.error)]
    best = min(singles, key=lambda rank: rank.error, default=selected)
    if selected.candidate == ENSEMBLE:
        runner_up = f"the best single candidate, {best.candidate}, has {format_number(best.error)}"
        return f"{result}: {runner_up}, and would have to be better by more than {margin}"
    tolerance = format_percent(fleet.backtest.tolerance) if fleet else "backtest.tolerance"
    simplest = f"the simplest of the single candidates within {tolerance} of the best"
    ensemble = next((rank for rank in ranks if rank.candidate == ENSEMBLE), None)
    if ensemble is None:
        return f"{result}: {simplest} ({best.candidate}, {format_number(best.error)})"
    combined = f"{result}: the combination has {format_number(ensemble.error)}"
    share = fleet.backtest.combination_margin if fleet else 0.0
    if selected.error < (1 - share) * ensemble.error:
        return f"{combined}, worse by more than {margin}; {simplest}"
    if ensemble.error > baseline_error >= selected.error:
        return f"{combined}, worse than the naive baseline ({format_number(baseline_error)})"
    return f"{combined}, but its graph did not pass the parity check or could not be exported"


def describe_level(level: str | None) -> str:
    """Describe the model that made a prediction. level : fallback level; empty for the segment's own champion."""
    if level is None:
        return "no model"
    return {"": "own champion", "naive": "last value"}.get(level, f"fallback {level}")


def sparkline(values: Sequence[float | None], width: int = 60) -> str:
    """Draw values as blocks of eight heights; neighbours are averaged to fit `width`, and NaN is a blank."""
    numbers = [math.nan if value is None else value for value in values]
    parts = min(width, len(numbers))
    edges = [len(numbers) * part // parts for part in range(parts + 1)] if parts else [0]
    means = [_mean(numbers[low:high]) for low, high in pairwise(edges)]
    known = [mean for mean in means if math.isfinite(mean)]
    if not known:
        return ""
    low, spread = min(known), max(known) - min(known)
    return "".join(_block((mean - low) / spread if spread else 0.5) if math.isfinite(mean) else " " for mean in means)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _block(share: float) -> str:
    return _BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1)]
