"""Summary of a run in sentences: the headline and the alerts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.config.task_types import ForecastTask, task_type
from domain.reporting.balance import BalanceCheck
from domain.reporting.changes import Changes
from domain.reporting.comparison_charts import Comparison
from domain.reporting.formatting import format_count, format_metric, format_number, format_percent
from domain.reporting.summary import BacktestMetric, Summary, TestMetric

__all__ = ["Alert", "alerts", "headline"]

_COVERAGE_SLACK = 0.05
_WORSE_SHARE = 0.25
_ERROR_SLACK = 0.02


@dataclass(frozen=True)
class Alert:
    """A problem to look at. anchor : section of the page with the details."""

    tone: Literal["bad", "warn"]
    text: str
    anchor: str


def headline(summary: Summary, comparison: Comparison) -> tuple[str, str]:
    """Describe the accuracy of the fleet, and what this run did, in one or two sentences each."""
    return " ".join(_accuracy(summary, comparison)), " ".join(_actions(summary))


def _accuracy(s: Summary, comparison: Comparison) -> Iterator[str]:
    models = f"{s.champions:,} of {format_count(s.segments, 'segment')} {_have(s.champions)} a model in production"
    paired = len(comparison.ratio)
    if not paired:
        yield models + "."
        return
    better, worse = (format_percent(count / paired) for count in (comparison.better, comparison.worse))
    yield f"{models}; {_predictions(s)} beat the naive baseline in {better} of them and are worse in {worse}."
    if test := s.metric.test:
        if sentence := _total_error("On unseen data", test):
            yield sentence
    elif sentence := _total_error("In the backtest", s.metric):
        yield sentence


def _predictions(s: Summary) -> str:
    return task_type(s.config.get("task", ForecastTask.name)).outcome


def _total_error(where: str, metric: BacktestMetric | TestMetric) -> str:
    ours, naive = metric.champion, metric.baseline
    if ours is None or not math.isfinite(ours):
        return ""
    label = format_metric(metric.name).removesuffix(" (%)")
    unit = " %" if metric.name == "smape" else ""
    sentence = f"{where}, the total error ({label}) is {format_number(ours)}{unit}"
    if not naive or not math.isfinite(naive):
        return sentence + "."
    difference = f"{format_percent(abs(ours / naive - 1))} {'lower' if ours < naive else 'higher'}"
    return f"{sentence} against {format_number(naive)}{unit} for the baseline: {difference}."


def _actions(s: Summary) -> Iterator[str]:
    trained, reused = s.outcomes.trained, s.outcomes.reused
    if trained and reused:
        models = format_count(reused, "unchanged model")
        yield f"This run trained {format_count(trained, 'segment')} and reused {models};"
    elif reused:
        yield f"This run trained nothing: no segment has changed, and all {format_count(reused, 'model')} were reused;"
    else:
        yield f"This run trained {format_count(trained, 'segment')};"
    promoted = f"{format_count(s.promoted, 'model')} went into production" if s.promoted else "no model was replaced"
    yield f"{promoted}, and {format_count(s.predictions, 'prediction')} {_are(s.predictions)} in the table."


def alerts(
    summary: Summary, comparison: Comparison, checks: Sequence[BalanceCheck], changes: Changes | None, interval: float
) -> tuple[Alert, ...]:
    """List what needs attention, most serious first. interval : nominal coverage of the prediction interval."""
    items = [*_faults(summary, checks), *_promotion(summary), *_quality(summary, comparison, interval)]
    if changes is not None:
        items += _regressions(summary, changes)
    return tuple(sorted(items, key=lambda alert: alert.tone != "bad"))


def _faults(s: Summary, checks: Sequence[BalanceCheck]) -> Iterator[Alert]:
    for check in checks:
        if not check.ok:
            text = f"The counts do not balance: {check.whole:,} {check.name}, but {check.total:,} accounted for."
            yield Alert("bad", text, "balance")
    if s.outcomes.failed:
        yield Alert("bad", f"{format_count(s.outcomes.failed, 'segment')} failed.", "problems")
    if refused := len(s.files.refused):
        were = "was" if refused == 1 else "were"
        yield Alert("bad", f"{refused:,} of {format_count(s.files.found, 'file')} {were} refused.", "files")
    missing = s.predictions - s.statuses.get("ok", s.predictions)
    if missing:
        yield Alert("warn", f"{format_count(missing, 'prediction')} {_have(missing)} no value.", "predictions")
    if s.rows.quarantined:
        text = f"{format_count(s.rows.quarantined, 'row')} of {s.rows.read:,} {_are(s.rows.quarantined)} in quarantine."
        yield Alert("warn", text, "quarantine")


def _promotion(s: Summary) -> Iterator[Alert]:
    if s.release is None:
        yield Alert("bad", "No release is in force: predictions repeat the last value or are missing.", "promotion")
    if reason := s.config.get("promotion"):
        yield Alert("warn", f"Promotion: {reason}.", "promotion")
    elif s.held:
        yield Alert("warn", f"Gates held {format_count(s.held, 'challenger')}.", "promotion")


def _quality(s: Summary, comparison: Comparison, interval: float) -> Iterator[Alert]:
    paired, test = len(comparison.ratio), s.metric.test
    if paired and comparison.worse > _WORSE_SHARE * paired:
        share = format_percent(comparison.worse / paired)
        yield Alert("warn", f"The naive baseline is better in {share} of the segments.", "comparison")
    if test is None:
        return
    if test.champion is not None and test.baseline and test.champion > test.baseline:
        yield Alert("bad", "On unseen data, the naive baseline has the lower total error.", "comparison")
    if test.coverage is not None and abs(test.coverage - interval) > _COVERAGE_SLACK:
        text = f"The {format_percent(interval)} interval covers {format_percent(test.coverage, 1)} of the unseen rows."
        yield Alert("warn", text, "comparison")


def _regressions(s: Summary, changes: Changes) -> Iterator[Alert]:
    for name, now, before in (
        ("backtest", s.metric, changes.former.metric),
        ("test", s.metric.test, changes.former.metric.test),
    ):
        if now is None or before is None or now.name != before.name or not now.champion or not before.champion:
            continue
        if now.champion > before.champion * (1 + _ERROR_SLACK):
            share = format_percent(now.champion / before.champion - 1, 1)
            yield Alert("warn", f"The {name} error is {share} higher than in the previous run.", "changes")
    gone = sum(transition.segments for transition in changes.transitions if transition.after == "gone")
    if gone:
        yield Alert("warn", f"{format_count(gone, 'segment')} of the previous run {_are(gone)} gone.", "changes")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
