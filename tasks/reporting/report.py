"""Report on a run: gather its results from the tables, compare with published actuals, write HTML and JSON."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from adapters.lake.files import replacing
from domain.arrays import FloatArray
from domain.capacity.calibrated_estimate import compare_with_actual
from domain.checks.findings import Estimate
from domain.config.training import Metric as FleetMetric
from domain.data.tables import (
    CHALLENGERS,
    CHAMPIONS,
    INPUTS,
    LEADERBOARD,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    REGISTRATIONS,
    SEGMENTS,
    VERDICTS,
    observations,
)
from domain.errors import EmptyWindowError
from domain.reporting.page import RunReport, render_html
from domain.reporting.summary import (
    BacktestMetric,
    FileCounts,
    GateCount,
    HeldSegment,
    OutcomeCounts,
    SegmentError,
    StageTime,
    Summary,
    TestMetric,
    summary_json,
)
from models.training.metrics import fleet_error
from tasks.context import Run
from tasks.ingest import IngestReceipt, ingest_files
from tasks.partition import recorded_buckets
from tasks.promote import PromoteSummary
from tasks.register import RegisterSummary
from tasks.reporting.examples import EXAMPLES, segment_profiles
from tasks.reporting.facts import (
    changes_since,
    former_summary,
    member_weights,
    outcomes_of,
    past_accuracy,
    quarantine_reasons,
    replaced_candidates,
    row_balance,
    segment_champions,
    settings_of,
)
from tasks.score import ScoreSummary
from tasks.train import TrainSummary
from tasks.workers.evaluate import evaluate_bucket
from tasks.workers.run_context import RunContext

__all__ = ["Stages", "evaluate_predictions", "write_report"]

_CHAMPION = ["segment", "level", "candidate", "error", "baseline_error", "weight", "rows", "fingerprint"]
_UNREADABLE = "The summary of the last run is gone or cannot be read: there is nothing to compare with."
_PACKAGES = ("deltalake", "distributed", "lightgbm", "mlflow", "numpy", "onnxruntime", "pandas", "prefect", "pyarrow")


@dataclass(frozen=True)
class Stages:
    """Results and times of the stages of one pipeline run."""

    train: TrainSummary
    register: RegisterSummary
    promote: PromoteSummary
    score: ScoreSummary
    timings: tuple[StageTime, ...]
    started_at: datetime
    peak_rss_bytes: int
    ingest: IngestReceipt | None = None
    estimate: Estimate | None = None


def evaluate_predictions(run: Run, job_id: str) -> TestMetric | None:
    """Compare a job's predictions with the fleet's published actuals; return None if the fleet names none."""
    fleet = run.fleet
    if fleet.test is None:
        return None
    context = RunContext(fleet.actuals_fleet, run.context.lake, run.context.run_id, run.context.home)
    ingest_files(Run(context, run.workers), "actuals", fleet.test.source)
    profiles = run.table(SEGMENTS).read(["rows", "mean"])
    constant = float(np.average(profiles["mean"].to_numpy(), weights=profiles["rows"].to_numpy()))
    buckets = recorded_buckets(run)
    metric = fleet.test.metric or fleet.backtest.metric
    work = partial(evaluate_bucket, run.context, context, job_id, metric, buckets, constant)
    receipts = run.workers.map("evaluate", work, range(buckets))
    weights = np.array([weight for receipt in receipts for weight in receipt.weights])
    champion = np.array([error for receipt in receipts for error in receipt.champion])
    baseline = np.array([error for receipt in receipts for error in receipt.baseline])
    rows = sum(receipt.rows for receipt in receipts)
    return TestMetric(
        name=metric,
        champion=_overall(champion, weights, metric),
        baseline=_overall(baseline, weights, metric),
        coverage=sum(receipt.covered for receipt in receipts) / rows if rows else None,
        rows=rows,
        segments=len(weights),
        source=fleet.test.source.path,
    )


def _overall(errors: FloatArray, weights: FloatArray, metric: FleetMetric) -> float | None:
    try:
        return fleet_error(errors, weights, metric)
    except EmptyWindowError:
        return None


def write_report(run: Run, stages: Stages, test: TestMetric | None, folder: Path) -> Path:
    """Write `<run id>.html` and `.json` below folder/fleet, and the same as `latest`; return the path of the HTML."""
    target = folder / run.fleet.name
    report = _report(run, stages, test, target)
    target.mkdir(parents=True, exist_ok=True)
    for name in (run.context.run_id, "latest"):
        for suffix, text in (("html", render_html(report)), ("json", summary_json(report.summary))):
            with replacing(target / f"{name}.{suffix}") as temporary:
                temporary.write_text(text, encoding="utf-8")
    return target / "latest.html"


def _report(run: Run, stages: Stages, test: TestMetric | None, folder: Path) -> RunReport:
    """Collect everything that the report shows. folder : the fleet's reports."""
    champions = segment_champions(run, stages.promote.release, _CHAMPION)
    former = former_summary(folder, run.context.run_id)
    summary = _summary(run, stages, test, champions, former)
    outcomes, reasons = outcomes_of(run, run.context.run_id)
    profiles = segment_profiles(run, outcomes, champions, replaced_candidates(run, former, champions))
    rows, (examples, worst) = EXAMPLES[run.fleet.task](run, stages.score.job_id, profiles)
    changes = changes_since(run, former, summary, outcomes, champions, stages.started_at) if former else None
    counts = stages.promote.gates
    return RunReport(
        summary=summary,
        errors=tuple(
            SegmentError(row["segment"], row["candidate"], row["error"], row["baseline_error"], row["rows"])
            for row in champions
        ),
        candidates=Counter(row["candidate"] for row in champions),
        members=member_weights(run),
        reasons=reasons,
        gates=tuple(
            GateCount(gate, counts.get((gate, True, decisive), 0), counts.get((gate, False, decisive), 0), decisive)
            for gate, decisive in dict.fromkeys((gate, decisive) for gate, _, decisive in counts)
        ),
        held=tuple(HeldSegment(segment, reason) for segment, reason in stages.promote.held_segments),
        examples=examples,
        worst_examples=worst,
        quarantine=quarantine_reasons(run),
        test_rows=rows,
        past=past_accuracy(run),
        changes=changes,
        no_changes="" if former or not (folder / "latest.json").exists() else _UNREADABLE,
        target=run.fleet.target.column,
        interval=run.fleet.interval.level,
    )


def _summary(
    run: Run,
    stages: Stages,
    test: TestMetric | None,
    champions: Sequence[Mapping[str, Any]],
    former: Summary | None,
) -> Summary:
    def column(name: str) -> FloatArray:
        return np.array([row[name] for row in champions], dtype=float)

    fleet, weights = run.fleet, column("weight")
    metric = BacktestMetric(
        fleet.backtest.metric,
        _overall(column("error"), weights, fleet.backtest.metric),
        _overall(column("baseline_error"), weights, fleet.backtest.metric),
        test,
    )
    specs = [INPUTS, QUARANTINE, observations(fleet), SEGMENTS, CHALLENGERS, LEADERBOARD, OUTCOMES, REGISTRATIONS]
    return Summary(
        fleet=fleet.name,
        run_id=run.context.run_id,
        release=stages.promote.release,
        segments=stages.train.segments,
        outcomes=OutcomeCounts(**stages.train.outcomes),
        registered=stages.register.registered,
        promoted=stages.promote.promoted,
        held=stages.promote.held,
        predictions=stages.score.rows,
        metric=metric,
        stages=stages.timings,
        peak_rss_bytes=stages.peak_rss_bytes,
        rows=row_balance(run),
        tables={spec.name: run.table(spec).uri for spec in [*specs, VERDICTS, CHAMPIONS, PREDICTIONS]},
        started_at=stages.started_at.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        config=_config(run, stages),
        versions={name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        files=_files(stages.ingest),
        description=fleet.description,
        champions=len(champions),
        unchanged=stages.promote.unchanged,
        level_models=stages.train.levels,
        statuses=dict(stages.score.statuses),
        fallbacks=dict(sorted(stages.score.levels.items())),
        former_run=former.run_id if former else None,
        estimate=stages.estimate,
        against_estimate=compare_with_actual(stages.estimate, stages.timings, stages.peak_rss_bytes),
    )


def _files(receipt: IngestReceipt | None) -> FileCounts:
    return FileCounts(receipt.files, receipt.unchanged, receipt.refused) if receipt else FileCounts()


def _config(run: Run, stages: Stages) -> dict[str, str]:
    """Return the fleet's settings, the number of buckets, and the reason if nothing was promoted."""
    candidates = ", ".join(" ".join([c.name, *(f"{k}={v}" for k, v in c.params.items())]) for c in run.fleet.candidates)
    config = {"task": run.fleet.task, "candidates": candidates}
    config |= settings_of(run) | {"buckets": str(recorded_buckets(run))}
    config |= {"part": run.context.part} if run.context.part else {}
    return config | ({"promotion": stages.promote.reason} if stages.promote.reason else {})
