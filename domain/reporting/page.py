"""The report as one self-contained HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from domain.reporting.accuracy import PastAccuracy, step_chart
from domain.reporting.balance import balance_checks
from domain.reporting.changes import Changes
from domain.reporting.comparison_charts import compare_errors, ecdf_chart, ratio_chart
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

# What the page shows at most; the tables have the rest.
_SAMPLES, _SHOWN_WORST, _WORST, _REASONS, _HELD, _REFUSED, _CHANGES = 12, 3, 15, 25, 10, 20, 20


@dataclass(frozen=True)
class RunReport:
    """Everything the page shows. errors : one a champion, any number; candidates : name -> segments won.
    members : name -> its share of all segments' models, where a combination counts by its weights.

    changes : since the former run; else `no_changes` says why there is nothing to compare with.
    samples : a dozen telling segments, worst : those with the largest errors. test_rows : of a regression fleet.
    past : predictions of former runs against what was observed since.
    target : column that is predicted. interval : nominal coverage of the prediction interval.
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
    """The report as one HTML page that needs nothing else: styles and charts are inside, scripts there are none.

    Its size does not grow with the fleet: distributions are aggregated, lists are cut and say so.
    """
    s, errors = report.summary, report.errors
    comparison = compare_errors([error.champion for error in errors], [error.baseline for error in errors])
    known = bool(len(comparison.ratio))
    checks = balance_checks(s)
    label = format_metric(s.metric.name, report.target)
    return _template().render(
        r=report,
        s=s,
        changes=report.changes,
        headline=headline(s, comparison),
        alerts=alerts(s, comparison, checks, report.changes, report.interval),
        checks=checks,
        advice=REMEDIES,
        metric_label=label,
        comparison=comparison,
        quantiles=[(share, *comparison.quantiles(share)) for share in (0.1, 0.25, 0.5, 0.75, 0.9)] if known else [],
        ecdf=ecdf_chart(comparison, label) if known else "",
        ratios=ratio_chart(comparison) if known else "",
        candidates=sorted(report.candidates.items(), key=lambda item: (-item[1], item[0])),
        members=sorted(report.members.items(), key=lambda item: (-item[1], item[0])),
        outcomes=[(item.name, getattr(s.outcomes, item.name)) for item in fields(OutcomeCounts)],
        reasons=report.reasons[:_REASONS],
        reasons_left=max(len(report.reasons) - _REASONS, 0),
        worst=sorted(filter(_measured, errors), key=_badness, reverse=True)[:_WORST],
        refused=s.files.refused[:_REFUSED],
        gates=report.gates,
        held=report.held[:_HELD],
        quarantine=report.quarantine[:_REASONS],
        examples=[(example, _chart(example)) for example in report.examples[:_SAMPLES]],
        worst_examples=[(example, _chart(example)) for example in report.worst_examples[:_SHOWN_WORST]],
        test_part=_test_part(report),
        step_accuracy=step_chart(report.past),
        most=_CHANGES,
        example=s.tables.get("predictions") or next(iter(s.tables.values()), ""),
    )


def _chart(example: SeriesExample | RowsExample) -> Markup:
    return forecast_chart(example) if isinstance(example, SeriesExample) else rows_chart(example)


def _test_part(report: RunReport) -> dict[str, Any] | None:
    rows = report.test_rows
    if rows is None or not len(rows.actual):
        return None
    groups = calibration_bins(rows)
    return {
        "calibration_bins": groups,
        "every": rows.every,
        "rows": len(rows.actual),
        "calibration": calibration_chart(groups, report.target),
        "residuals": residual_chart(rows, report.target),
    }


def _measured(error: SegmentError) -> bool:
    return error.champion is not None and math.isfinite(error.champion)


def _badness(error: SegmentError) -> float:
    return error.champion or 0.0


_WHOLE = "{:,}".format


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
        "count": lambda value: f"{value:,}",
        "format_count": format_count,
        "number": format_number,
        "percent": format_percent,
        "duration": format_duration,
        "bytes": format_bytes,
        "moment": format_timestamp,
        "metric": format_metric,
        "share": lambda part, whole: part / whole if whole else math.nan,
        "quoted": lambda text: json.dumps(text, ensure_ascii=False),
    }
    environment.globals |= {
        "change": format_change,
        "difference": format_difference,
        "whole": _WHOLE,
        "number": format_number,
        "duration": format_duration,
        "bytes": format_bytes,
    }
    return environment.get_template("report.html.j2")
