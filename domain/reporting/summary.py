"""The report of a run as values: the summary, which is also kept as JSON, and what else the page shows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from domain.checks.findings import Estimate
from domain.data.jsonable import json_text

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
]

Outcome = Literal["trained", "reused", "fallback", "skipped", "failed"]


@dataclass(frozen=True)
class OutcomeCounts:
    """Segments by outcome; together they are all segments."""

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
    """Figures on published actuals that no model has seen; coverage of the interval as a share."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    name: str
    champion: float | None
    baseline: float | None
    coverage: float | None
    rows: int
    segments: int
    source: str


@dataclass(frozen=True)
class BacktestMetric:
    """The fleet's backtest metric over all segments, champions against the naive baseline."""

    name: str
    champion: float | None
    baseline: float | None
    test: TestMetric | None = None


@dataclass(frozen=True)
class StageTime:
    """Wall time of one stage and the rows it went through; 0 where rows mean nothing."""

    name: str
    seconds: float
    rows: int = 0


@dataclass(frozen=True)
class EstimatedFigure:
    """A figure as it was estimated before the run and as it came out. ratio : actual over estimated."""

    estimated: float
    actual: float
    ratio: float | None


@dataclass(frozen=True)
class RowCounts:
    """Balance of the raw rows; accepted and quarantined together are those read."""

    read: int
    accepted: int
    quarantined: int


@dataclass(frozen=True)
class FileCounts:
    """Files of the training input that were found; refused : why some of them gave no rows in this run."""

    found: int = 0
    unchanged: int = 0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """What a run did, in figures.

    registered, promoted, held, unchanged : segments with a challenger; unchanged ones were champions before.
    predictions : rows; statuses : rows by status; fallbacks : predicted rows by fallback level, '' for the segment's
    own champion. tables : name -> uri. started_at, finished_at : ISO 8601.
    champions : segments with a champion in the release. level_models : models of fallback levels that were trained.
    former_run : the run before that left a report. estimate : made before the run; against_estimate : what became of
    it, by figure: `train_seconds`, `score_seconds`, `peak_memory_bytes`.
    """

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
    """Errors of one champion in the backtest; None or NaN where there is none."""

    segment: str
    candidate: str
    champion: float | None
    baseline: float | None
    rows: int

    @property
    def ratio(self) -> float | None:
        """Champion over baseline; None where that means nothing."""
        if self.champion is None or not self.baseline:
            return None
        return self.champion / self.baseline


@dataclass(frozen=True)
class OutcomeReason:
    """How many segments had this outcome for this reason."""

    outcome: Outcome
    reason: str
    segments: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuarantineReason:
    """Rows, or files, that one stage rejected for this reason. examples : where, and what the row was."""

    stage: str
    reason: str
    rows: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateCount:
    """Verdicts of one gate over the fleet; one that is not decisive only advises."""

    gate: str
    passed: int
    failed: int
    decisive: bool = True


@dataclass(frozen=True)
class HeldSegment:
    """A segment that kept its champion, and why."""

    segment: str
    reason: str


def summary_json(summary: Summary) -> str:
    """The summary as strict JSON, keys in the order of the dataclass; NaN and infinity become null."""
    return json_text(summary) + "\n"


def parse_summary(text: str) -> Summary | None:
    """The summary of a former run; None if the text is none, or one of a version that kept other figures."""
    try:
        content: dict[str, Any] = json.loads(text)
        metric = dict(content["metric"])
        test = metric.pop("test")
        files, estimate = dict(content.get("files", {})), content.get("estimate")
        nested = {
            "outcomes": OutcomeCounts(**content["outcomes"]),
            "metric": BacktestMetric(**metric, test=TestMetric(**test) if test else None),
            "stages": tuple(StageTime(**stage) for stage in content["stages"]),
            "rows": RowCounts(**content["rows"]),
            "files": FileCounts(**files | {"refused": tuple(files.get("refused", ()))}),
            "estimate": Estimate(**estimate) if estimate else None,
            "against_estimate": {
                name: EstimatedFigure(**figure) for name, figure in content.get("against_estimate", {}).items()
            },
        }
        return Summary(**content | nested)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
