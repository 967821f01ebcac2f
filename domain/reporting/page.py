"""Report of a run as one self-contained HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from domain.config.task_types import task_type
from domain.reporting.accuracy import PastAccuracy, step_chart
from domain.reporting.balance import balance_checks
from domain.reporting.changes import Changes
from domain.reporting.comparison_charts import Comparison, compare_errors, ecdf_chart, ratio_chart
from domain.reporting.formatting import (
    format_bytes,
    format_change,
    format_count,
    format_difference,
    format_duration,
    format_metric,
    format_number,
    format_percent,
    format_timestamp,
)
from domain.reporting.narrative import alerts, headline
from domain.reporting.printable import printable
from domain.reporting.reasons import REMEDIES
from domain.reporting.row_charts import (
    RowsExample,
    TestRows,
    calibration_bins,
    calibration_chart,
    residual_chart,
    rows_chart,
)
from domain.reporting.series_charts import SeriesExample, forecast_chart
from domain.reporting.summary import (
    GateCount,
    HeldSegment,
    OutcomeCounts,
    OutcomeReason,
    QuarantineReason,
    SegmentError,
    Summary,
)

__all__ = ["RunReport", "render_html"]

# Limits of the lists on the page; the tables have the rest.
_MAX_EXAMPLES = 12
_MAX_WORST_CHARTS = 3
_MAX_WORST = 15
_MAX_REASONS = 25
_MAX_HELD = 10
_MAX_REFUSED = 20
_MAX_CHANGES = 20


@dataclass(frozen=True)
class RunReport:
    """Contents of the page.

    errors : one per champion. candidates : number of segments won, by name. members : share of each candidate in the
    models of all segments, where a combination counts by its weights. examples : a dozen instructive segments.
    worst_examples : segments with the largest errors. test_rows : only of a regression fleet. past : predictions of
    earlier runs against later observations. changes : since the previous run; `no_changes` is the reason if there are
    none to show. target : predicted column. interval : nominal coverage of the prediction interval.
    """

    summary: Summary
    errors: Sequence[SegmentError] = ()
    candidates: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, float] = field(default_factory=dict)
    reasons: Sequence[OutcomeReason] = ()
    gates: Sequence[GateCount] = ()
    held: Sequence[HeldSegment] = ()
    examples: Sequence[SeriesExample | RowsExample] = ()
    worst_examples: Sequence[SeriesExample | RowsExample] = ()
    quarantine: Sequence[QuarantineReason] = ()
    test_rows: TestRows | None = None
    past: PastAccuracy = field(default_factory=PastAccuracy)
    changes: Changes | None = None
    no_changes: str = ""
    target: str = "value"
    interval: float = 0.9


def render_html(report: RunReport) -> str:
    """Render the report as one HTML page with inline styles and charts, without scripts or external resources.

    The size of the page does not depend on that of the fleet: distributions are aggregated, long lists are cut and
    labelled as such.
    """
    s = report.summary
    comparison = compare_errors([e.champion for e in report.errors], [e.baseline for e in report.errors])
    checks = balance_checks(s)
    page = _template().render(
        r=report,
        s=s,
        changes=report.changes,
        headline=headline(s, comparison),
        alerts=alerts(s, comparison, checks, report.changes, report.interval),
        checks=checks,
        remedies=REMEDIES,
        candidates=_by_share(report.candidates),
        members=_by_share(report.members),
        outcomes=[(item.name, getattr(s.outcomes, item.name)) for item in fields(OutcomeCounts)],
        gates=report.gates,
        test_part=_test_part(report),
        step_accuracy=step_chart(report.past),
        most=_MAX_CHANGES,
        example=s.tables.get("predictions") or next(iter(s.tables.values()), ""),
        **_comparison_part(comparison, format_metric(s.metric.name, report.target)),
        **_lists(report),
    )
    return printable(page)


def _comparison_part(comparison: Comparison, label: str) -> dict[str, Any]:
    comparable = bool(len(comparison.ratio))
    shares = (0.1, 0.25, 0.5, 0.75, 0.9) if comparable else ()
    return {
        "metric_label": label,
        "comparison": comparison,
        "quantiles": [(share, *comparison.quantiles(share)) for share in shares],
        "ecdf": ecdf_chart(comparison, label) if comparable else "",
        "ratios": ratio_chart(comparison) if comparable else "",
    }


def _lists(report: RunReport) -> dict[str, Any]:
    """Cut the lists that grow with the fleet."""
    return {
        "reasons": report.reasons[:_MAX_REASONS],
        "reasons_omitted": max(len(report.reasons) - _MAX_REASONS, 0),
        "worst": sorted(filter(_has_error, report.errors), key=_sort_error, reverse=True)[:_MAX_WORST],
        "refused": report.summary.files.refused[:_MAX_REFUSED],
        "held": report.held[:_MAX_HELD],
        "quarantine": report.quarantine[:_MAX_REASONS],
        "examples": [(example, _chart(example)) for example in report.examples[:_MAX_EXAMPLES]],
        "worst_examples": [(example, _chart(example)) for example in report.worst_examples[:_MAX_WORST_CHARTS]],
    }


def _by_share(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    """Sort by share, largest first, then by name."""
    return sorted(shares.items(), key=lambda item: (-item[1], item[0]))


def _chart(example: SeriesExample | RowsExample) -> Markup:
    return forecast_chart(example) if isinstance(example, SeriesExample) else rows_chart(example)


def _test_part(report: RunReport) -> dict[str, Any] | None:
    rows = report.test_rows
    if rows is None or not len(rows.actual):
        return None
    bins = calibration_bins(rows)
    return {
        "calibration_bins": bins,
        "every": rows.every,
        "rows": len(rows.actual),
        "calibration": calibration_chart(bins, report.target),
        "residuals": residual_chart(rows, report.target),
    }


def _has_error(error: SegmentError) -> bool:
    return error.champion is not None and math.isfinite(error.champion)


def _sort_error(error: SegmentError) -> float:
    return error.champion or 0.0


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("domain.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "task_type": task_type,
        "count": lambda value: f"{value:,}",
        "format_count": format_count,
        "number": format_number,
        "percent": format_percent,
        "duration": format_duration,
        "bytes": format_bytes,
        "timestamp": format_timestamp,
        "metric": format_metric,
        "share": lambda part, whole: part / whole if whole else math.nan,
        "quote": lambda text: json.dumps(text, ensure_ascii=False),
    }
    environment.globals |= {
        "change": format_change,
        "difference": format_difference,
        "whole": "{:,}".format,
        "number": format_number,
        "duration": format_duration,
        "bytes": format_bytes,
    }
    return environment.get_template("report.html.j2")
