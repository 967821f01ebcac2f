"""The run in words: its headline, and what deserves attention first."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

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
    """Something to look at; anchor : the section of the page that tells more."""

    tone: Literal["bad", "warn"]
    text: str
    anchor: str


def headline(summary: Summary, comparison: Comparison) -> tuple[str, str]:
    """What the fleet is worth, and what this run did about it; one or two sentences each."""
    return " ".join(_worth(summary, comparison)), " ".join(_doings(summary))


def _worth(s: Summary, comparison: Comparison) -> Iterator[str]:
    have = "has" if s.champions == 1 else "have"
    first = f"{s.champions:,} of {format_count(s.segments, 'segment')} {have} a model in production"
    paired = len(comparison.ratio)
    if not paired:
        yield first + "."
        return
    better, worse = (format_percent(count / paired) for count in (comparison.better, comparison.worse))
    yield f"{first}; {_kind(s)} beat the naive baseline in {better} of them and are worse in {worse}."
    if test := s.metric.test:
        if sentence := _against("On data that no model has seen", test):
            yield sentence
    elif sentence := _against("In the backtest", s.metric):
        yield sentence


def _kind(s: Summary) -> str:
    return "predictions" if s.config.get("task") == "regression" else "forecasts"


def _against(where: str, metric: BacktestMetric | TestMetric) -> str:
    ours, naive = metric.champion, metric.baseline
    if ours is None or not math.isfinite(ours):
        return ""
    label = format_metric(metric.name).removesuffix(" (%)")
    unit = " %" if metric.name == "smape" else ""
    told = f"{where}, the total error ({label}) is {format_number(ours)}{unit}"
    if not naive or not math.isfinite(naive):
        return told + "."
    side = "lower" if ours < naive else "higher"
    return f"{told} against {format_number(naive)}{unit}: {format_percent(abs(ours / naive - 1))} {side}."


def _doings(s: Summary) -> Iterator[str]:
    done, kept = s.outcomes.trained, s.outcomes.reused
    if done and kept:
        yield f"This run trained {format_count(done, 'segment')} and reused {format_count(kept, 'unchanged model')};"
    elif kept:
        yield f"This run trained nothing: no segment has changed, all {format_count(kept, 'model')} were reused;"
    else:
        yield f"This run trained {format_count(done, 'segment')};"
    promoted = f"{format_count(s.promoted, 'model')} went into production" if s.promoted else "no model was replaced"
    yield f"{promoted}, {format_count(s.predictions, 'prediction')} {_are(s.predictions)} in the table."


def alerts(
    summary: Summary, comparison: Comparison, checks: Sequence[BalanceCheck], changes: Changes | None, interval: float
) -> tuple[Alert, ...]:
    """The most serious first. interval : nominal coverage."""
    found = [*_faults(summary, checks), *_promotion(summary), *_quality(summary, comparison, interval)]
    if changes is not None:
        found += _worse_than_before(summary, changes)
    return tuple(sorted(found, key=lambda alert: alert.tone != "bad"))


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
    without = s.predictions - s.statuses.get("ok", s.predictions)
    if without:
        yield Alert("warn", f"{format_count(without, 'prediction')} {_have(without)} no value.", "predictions")
    if s.rows.quarantined:
        text = f"{format_count(s.rows.quarantined, 'row')} of {s.rows.read:,} {_are(s.rows.quarantined)} in quarantine."
        yield Alert("warn", text, "quarantine")


def _promotion(s: Summary) -> Iterator[Alert]:
    if s.release is None:
        yield Alert("bad", "No release is in force: predictions come from the last value, or are missing.", "promotion")
    if reason := s.config.get("promotion"):
        yield Alert("warn", f"Promotion: {reason}.", "promotion")
    elif s.held:
        yield Alert("warn", f"Gates held {format_count(s.held, 'challenger')}.", "promotion")


def _quality(s: Summary, comparison: Comparison, interval: float) -> Iterator[Alert]:
    paired, test = len(comparison.ratio), s.metric.test
    if paired and comparison.worse > _WORSE_SHARE * paired:
        share = format_percent(comparison.worse / paired)
        yield Alert("warn", f"The baseline is better in {share} of the segments.", "comparison")
    if test is None:
        return
    if test.champion is not None and test.baseline and test.champion > test.baseline:
        yield Alert("bad", "On unseen data the naive baseline is better in total.", "comparison")
    if test.coverage is not None and abs(test.coverage - interval) > _COVERAGE_SLACK:
        text = f"The {format_percent(interval)} interval covers {format_percent(test.coverage, 1)} of the unseen rows."
        yield Alert("warn", text, "comparison")


def _worse_than_before(s: Summary, changes: Changes) -> Iterator[Alert]:
    for name, now, before in (
        ("backtest", s.metric, changes.former.metric),
        ("test", s.metric.test, changes.former.metric.test),
    ):
        if now is None or before is None or now.name != before.name or not now.champion or not before.champion:
            continue
        if now.champion > before.champion * (1 + _ERROR_SLACK):
            share = format_percent(now.champion / before.champion - 1, 1)
            yield Alert("warn", f"The {name} error is {share} higher than in the last run.", "changes")
    gone = sum(transition.segments for transition in changes.transitions if transition.after == "gone")
    if gone:
        yield Alert("warn", f"{format_count(gone, 'segment')} of the last run {_are(gone)} gone.", "changes")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
