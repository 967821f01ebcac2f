"""Everything that is known of one segment, as values, and in words why its model won."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from domain.config.candidates import ENSEMBLE
from domain.config.fleet import Fleet
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
    """Rows to train on: their profile, and the series itself in order of time."""

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
    """One candidate's standing in the newest backtest. weight : share in the chosen model."""

    candidate: str
    error: float
    rank: int
    weight: float
    selected: bool


@dataclass(frozen=True)
class OutcomeView:
    """What became of the segment in one training."""

    run_id: str
    outcome: str
    reason: str
    candidate: str
    at: datetime


@dataclass(frozen=True)
class VerdictView:
    """One gate's verdict in one promotion."""

    gate: str
    passed: bool
    decisive: bool
    value: float
    limit: float
    reason: str
    run_id: str


@dataclass(frozen=True)
class ModelView:
    """A stored model without its bytes. version : None where it is not registered. segment : its own, or a level's."""

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
    """A model of a release. since_release : the first kept release that has it; source : run, or `release N`."""

    model: ModelView
    release: int
    since_release: int
    promoted_at: datetime
    kind: str
    source: str


@dataclass(frozen=True)
class InputView:
    """A raw file. rows : of the segment; trained : of them before the model's cut-off."""

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
    """One prediction back to the files. made_by : the model's place in the release, None where that is not kept.

    others : the same time or row, predicted from other origins, releases or inputs.
    inputs : files of the rows that the model was trained on and that the forecast starts from; those of all segments
    of the level where a fallback made it. covariates : file of the period's or row's features.
    """

    prediction: PredictionView
    made_by: ChampionView | None
    inputs: tuple[InputView, ...]
    covariates: InputView | None
    others: tuple[PredictionView, ...]


@dataclass(frozen=True)
class SegmentView:
    """Everything of one segment, or of one fallback level. predictions : the current forecast, or the newest rows."""

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
    """Why the selected candidate won. fleet : for the margins in figures; its file may have changed since."""
    chosen = next((rank for rank in ranks if rank.selected), None)
    if chosen is None:
        return "no candidate gave a model" if ranks else ""
    together = next((rank for rank in ranks if rank.candidate == ENSEMBLE), None)
    singles = [rank for rank in ranks if rank.candidate != ENSEMBLE and math.isfinite(rank.error)]
    best = min(singles, key=lambda rank: rank.error, default=chosen)
    lead = format_percent(fleet.backtest.combination_margin) if fleet else "backtest.combination_margin"
    told = f"{chosen.candidate} with error {format_number(chosen.error)}"
    if chosen is together:
        against = f"the best single candidate, {best.candidate}, has {format_number(best.error)}"
        return f"{told}: {against}, and would have to be better by more than {lead}"
    near = format_percent(fleet.backtest.tolerance) if fleet else "backtest.tolerance"
    simplest = f"the simplest of the single candidates within {near} of the best"
    if together is None:
        return f"{told}: {simplest} ({best.candidate}, {format_number(best.error)})"
    theirs = f"the combination has {format_number(together.error)}"
    margin = fleet.backtest.combination_margin if fleet else 0.0
    if chosen.error < (1 - margin) * together.error:
        return f"{told}: {theirs}, worse by more than {lead}; {simplest}"
    if together.error > baseline_error >= chosen.error:
        return f"{told}: {theirs}, worse than the naive baseline ({format_number(baseline_error)})"
    return f"{told}: {theirs}, but its graph did not pass the parity check or could not be exported"


def describe_level(level: str | None) -> str:
    """A fallback level of a prediction in words."""
    if level is None:
        return "no model"
    return {"": "own champion", "naive": "last value"}.get(level, f"fallback {level}")


def sparkline(values: Sequence[float | None], width: int = 60) -> str:
    """Values as blocks of eight heights, means of neighbours where there are more than `width`; NaN is a blank."""
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
