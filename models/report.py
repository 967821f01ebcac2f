"""The report of a training: one self-contained HTML page for people, one JSON summary for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from jinja2 import Environment, StrictUndefined, Template

from models.charts import SeriesSample, compare, ecdf_chart, forecast_chart, ratio_chart
from models.formats import format_bytes, format_duration, format_moment, format_number, format_percent

__all__ = [
    "Files",
    "GateCount",
    "HeldSegment",
    "Metric",
    "Outcome",
    "OutcomeReason",
    "Outcomes",
    "Rows",
    "RunReport",
    "SegmentError",
    "SeriesSample",
    "Stage",
    "Summary",
    "TestMetric",
    "render_html",
    "summary_json",
]

Outcome = Literal["trained", "reused", "fallback", "skipped", "failed"]

# What the page shows at most; the tables have the rest.
_SAMPLES, _WORST, _REASONS, _HELD, _REFUSED = 12, 15, 25, 10, 20


@dataclass(frozen=True)
class Outcomes:
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
class Metric:
    """The fleet's backtest metric over all segments, champions against the naive baseline."""

    name: str
    champion: float | None
    baseline: float | None
    test: TestMetric | None = None


@dataclass(frozen=True)
class Stage:
    """Wall time of one stage and the rows it went through; 0 where rows mean nothing."""

    name: str
    seconds: float
    rows: int = 0


@dataclass(frozen=True)
class Rows:
    """Balance of the raw rows; accepted and quarantined together are those read."""

    read: int
    accepted: int
    quarantined: int


@dataclass(frozen=True)
class Files:
    """Files of the training input that were found; refused : why some of them gave no rows in this run."""

    found: int = 0
    unchanged: int = 0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """What a run did, in figures.

    registered, promoted, held : segments. predictions : rows. tables : name -> uri.
    started_at, finished_at : ISO 8601.
    """

    fleet: str
    run_id: str
    release: int | None
    segments: int
    outcomes: Outcomes
    registered: int
    promoted: int
    held: int
    predictions: int
    metric: Metric
    stages: tuple[Stage, ...]
    peak_rss_bytes: int
    rows: Rows
    tables: Mapping[str, str]
    started_at: str
    finished_at: str
    config: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Files = Files()

    @property
    def seconds(self) -> float:
        """Wall time of all stages."""
        return math.fsum(stage.seconds for stage in self.stages)


@dataclass(frozen=True)
class SegmentError:
    """Errors of one segment in the backtest; None or NaN where there is none."""

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


@dataclass(frozen=True)
class RunReport:
    """Everything the page shows. errors : one a segment, any number; candidates : name -> segments won."""

    summary: Summary
    errors: Sequence[SegmentError] = ()
    candidates: Mapping[str, int] = field(default_factory=dict)
    reasons: Sequence[OutcomeReason] = ()
    gates: Sequence[GateCount] = ()
    held: Sequence[HeldSegment] = ()
    samples: Sequence[SeriesSample] = ()


def summary_json(summary: Summary) -> str:
    """The summary as strict JSON, keys in the order of the dataclass; NaN and infinity become null."""
    return json.dumps(_plain(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def render_html(report: RunReport) -> str:
    """The report as one HTML page that needs nothing else: styles and charts are inside, scripts there are none.

    Its size does not grow with the fleet: distributions are aggregated, lists are cut and say so.
    """
    errors = report.errors
    comparison = compare([error.champion for error in errors], [error.baseline for error in errors])
    known = bool(len(comparison.ratio))
    name, tables = report.summary.metric.name, report.summary.tables
    return _template().render(
        s=report.summary,
        comparison=comparison,
        quantiles=[(share, *comparison.quantiles(share)) for share in (0.1, 0.25, 0.5, 0.75, 0.9)] if known else [],
        ecdf=ecdf_chart(comparison, name) if known else "",
        ratios=ratio_chart(comparison) if known else "",
        candidates=sorted(report.candidates.items(), key=lambda item: (-item[1], item[0])),
        outcomes=[(item.name, getattr(report.summary.outcomes, item.name)) for item in fields(Outcomes)],
        reasons=sorted(report.reasons, key=lambda reason: -reason.segments)[:_REASONS],
        reasons_left=max(len(report.reasons) - _REASONS, 0),
        worst=sorted(filter(_measured, errors), key=_badness, reverse=True)[:_WORST],
        gates=report.gates,
        refused=report.summary.files.refused[:_REFUSED],
        held=report.held[:_HELD],
        held_left=max(len(report.held) - _HELD, 0),
        samples=[(sample, forecast_chart(sample)) for sample in report.samples[:_SAMPLES]],
        example=tables.get("predictions") or next(iter(tables.values()), ""),
    )


def _measured(error: SegmentError) -> bool:
    return error.champion is not None and math.isfinite(error.champion)


def _badness(error: SegmentError) -> float:
    return error.champion or 0.0


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": lambda value: f"{value:,}",
        "number": format_number,
        "percent": format_percent,
        "duration": format_duration,
        "bytes": format_bytes,
        "moment": format_moment,
        "share": lambda part, whole: part / whole if whole else math.nan,
        "quoted": lambda text: json.dumps(text, ensure_ascii=False),
    }
    source = files("models").joinpath("templates", "report.html.j2").read_text("utf-8")
    return environment.from_string(source)
