"""Report of a run as values: the summary, which is also stored as JSON, and the other contents of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from domain.checks.findings import Estimate
from domain.data.jsonable import LATER, json_text

__all__ = [
    "BacktestMetric",
    "EstimatedFigure",
    "FileCounts",
    "GateCount",
    "HeldSegment",
    "Outcome",
    "OutcomeCounts",
    "OutcomeReason",
    "QuarantineReason",
    "RowCounts",
    "SegmentError",
    "StageTime",
    "Summary",
    "TestMetric",
    "parse_summary",
    "summary_json",
    "telling_figures",
]

_LEAST_TELLING_S = 5.0
"""Estimated seconds below which the start of processes decides how long a stage takes."""

Outcome = Literal["trained", "reused", "fallback", "skipped", "failed"]


@dataclass(frozen=True)
class OutcomeCounts:
    """Number of segments by outcome; each segment has exactly one."""

    trained: int = 0
    reused: int = 0
    fallback: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """Sum of all outcomes."""
        return self.trained + self.reused + self.fallback + self.skipped + self.failed


@dataclass(frozen=True)
class TestMetric:
    """Figures on published actual values that no model has seen. coverage : share of them inside the interval."""

    __test__ = False  # pytest must not collect it

    name: str
    champion: float | None
    baseline: float | None
    coverage: float | None
    rows: int
    segments: int
    source: str


@dataclass(frozen=True)
class BacktestMetric:
    """Backtest metric over all segments: champions against the naive baseline."""

    name: str
    champion: float | None
    baseline: float | None
    test: TestMetric | None = None


@dataclass(frozen=True)
class StageTime:
    """Wall time of one stage and the number of rows it processed; 0 where that does not apply."""

    name: str
    seconds: float
    rows: int = 0


@dataclass(frozen=True)
class EstimatedFigure:
    """A figure estimated before the run, and its actual value. ratio : actual over estimated."""

    estimated: float
    actual: float
    ratio: float | None


@dataclass(frozen=True)
class RowCounts:
    """Balance of the raw rows: accepted, merged and quarantined rows add up to those read.

    merged : rows that `aggregate` added to another of their period.
    """

    read: int
    accepted: int
    quarantined: int
    merged: int = field(default=0, metadata=LATER)


@dataclass(frozen=True)
class FileCounts:
    """Files of the training input. refused : reasons why files could not be read in this run."""

    found: int = 0
    unchanged: int = 0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """Figures of a run.

    registered, promoted, held, unchanged : segments with a challenger; unchanged ones were champions before.
    predictions : rows. statuses : rows by status. fallbacks : predicted rows by fallback level, '' for the segment's
    own champion. tables : uri by name. started_at, finished_at : ISO 8601.
    champions : segments with a champion in the release. level_models : trained models of fallback levels.
    former_run : previous run with a report. estimate : made before the run. against_estimate : estimated and actual
    values of `train_seconds`, `score_seconds` and `peak_memory_bytes`.
    """

    # A summary with unknown keys was written by a later version.
    __pydantic_config__ = ConfigDict(extra="forbid", defer_build=True)

    fleet: str
    run_id: str
    release: int | None
    segments: int
    outcomes: OutcomeCounts
    registered: int
    promoted: int
    held: int
    predictions: int
    metric: BacktestMetric
    stages: tuple[StageTime, ...]
    peak_rss_bytes: int
    rows: RowCounts
    tables: Mapping[str, str]
    started_at: str
    finished_at: str
    config: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: FileCounts = FileCounts()
    description: str = ""
    champions: int = 0
    unchanged: int = 0
    level_models: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    former_run: str | None = None
    estimate: Estimate | None = None
    against_estimate: Mapping[str, EstimatedFigure] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall time of all stages."""
        return math.fsum(stage.seconds for stage in self.stages)


@dataclass(frozen=True)
class SegmentError:
    """Backtest errors of one champion and its baseline; None or NaN where unknown."""

    segment: str
    candidate: str
    champion: float | None
    baseline: float | None
    rows: int

    @property
    def ratio(self) -> float | None:
        """Champion error over baseline error; None where it is undefined."""
        if self.champion is None or not self.baseline:
            return None
        return self.champion / self.baseline


@dataclass(frozen=True)
class OutcomeReason:
    """Number of segments with one outcome for one reason."""

    outcome: Outcome
    reason: str
    segments: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuarantineReason:
    """Number of rows, or files, that one stage rejected for one reason. examples : their places and contents."""

    stage: str
    reason: str
    rows: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateCount:
    """Verdicts of one gate over the fleet. decisive : failures hold the challenger; otherwise they are only noted."""

    gate: str
    passed: int
    failed: int
    decisive: bool = True


@dataclass(frozen=True)
class HeldSegment:
    """A segment whose challenger was held, with the reason."""

    segment: str
    reason: str


def summary_json(summary: Summary) -> str:
    """Format the summary as strict JSON with keys in field order; NaN and infinity become null."""
    return json_text(summary) + "\n"


def parse_summary(text: str) -> Summary | None:
    """Parse the summary of an earlier run; None if the text is not a summary, or one of a later version."""
    try:
        return _SUMMARY.validate_json(text)
    except ValidationError:
        return None


_SUMMARY = TypeAdapter(Summary)


def telling_figures(figures: Mapping[str, Any], trained: int) -> dict[str, Any]:
    """Return the estimated figures that can be compared with the actual ones.

    Not those of a training that did not take place, nor times so short that they are those of starting workers.
    trained : number of segments trained.
    """
    names = ("train_seconds", "peak_memory_bytes") if trained else ()
    return {
        name: figure
        for name, figure in figures.items()
        if (name in names or name == "score_seconds")
        and (name == "peak_memory_bytes" or _estimated(figure) >= _LEAST_TELLING_S)
    }


def _estimated(figure: Any) -> float:
    return float(figure["estimated"] if isinstance(figure, Mapping) else figure.estimated)
