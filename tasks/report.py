"""Report: gather what a run did from the tables, compare with published truth, write HTML and JSON."""

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
import pyarrow as pa
import pyarrow.compute as pc
from prefect import task
from prefect.cache_policies import NO_CACHE

from adapters.files import replacing
from models.errors import EmptyWindowError
from models.fleet import Metric as FleetMetric
from models.metrics import fleet_error
from models.panel import FloatArray
from models.report import (
    Files,
    GateCount,
    HeldSegment,
    Metric,
    OutcomeReason,
    Outcomes,
    Rows,
    RunReport,
    SegmentError,
    SeriesSample,
    Stage,
    Summary,
    TestMetric,
    render_html,
    summary_json,
)
from models.tables import (
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
    landed,
    observations,
)
from tasks.context import Run
from tasks.ingest import IngestReceipt, ingest_files
from tasks.partition import recorded_buckets
from tasks.promote import PromoteSummary
from tasks.register import RegisterSummary
from tasks.score import ScoreSummary
from tasks.train import TrainSummary
from tasks.work.evaluate import evaluate_bucket
from tasks.work.job import Job

__all__ = ["Stages", "evaluate_predictions", "write_report"]

_SAMPLES = 12
_PACKAGES = ("deltalake", "distributed", "lightgbm", "mlflow", "numpy", "onnxruntime", "pandas", "prefect", "pyarrow")


@dataclass(frozen=True)
class Stages:
    """What the stages of one pipeline returned, and how long they took."""

    train: TrainSummary
    register: RegisterSummary
    promote: PromoteSummary
    score: ScoreSummary
    timings: tuple[Stage, ...]
    started_at: datetime
    peak_rss_bytes: int
    ingest: IngestReceipt | None = None


@task(name="evaluate predictions", cache_policy=NO_CACHE)
def evaluate_predictions(run: Run, job_id: str) -> TestMetric | None:
    """Compare a job's predictions with the fleet's published actuals; None where the fleet names none."""
    fleet = run.fleet
    if fleet.test is None:
        return None
    truth = Run(Job(fleet.truth, run.job.lake, run.job.run_id, run.job.home), run.workers)
    ingest_files.fn(truth, "actuals", fleet.test.source)
    profiles = run.table(SEGMENTS).read(["rows", "mean"])
    constant = float(np.average(profiles["mean"].to_numpy(), weights=profiles["rows"].to_numpy()))
    buckets = recorded_buckets(run)
    metric = fleet.test.metric or fleet.backtest.metric
    work = partial(evaluate_bucket, run.job, truth.job, job_id, metric, buckets, constant)
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


@task(name="write report", cache_policy=NO_CACHE)
def write_report(run: Run, stages: Stages, test: TestMetric | None, folder: Path) -> Path:
    """Write `<run id>.html` and `.json` below folder/fleet, and the same as `latest`; returns the HTML's path."""
    report = _report(run, stages, test)
    target = folder / run.fleet.name
    target.mkdir(parents=True, exist_ok=True)
    for name in (run.job.run_id, "latest"):
        for suffix, text in (("html", render_html(report)), ("json", summary_json(report.summary))):
            with replacing(target / f"{name}.{suffix}") as temporary:
                temporary.write_text(text, encoding="utf-8")
    return target / "latest.html"


def _report(run: Run, stages: Stages, test: TestMetric | None) -> RunReport:
    champions = _champions(run, stages.promote.release)
    summary = _summary(run, stages, test, champions)
    of_run = run.table(OUTCOMES).read(where=lambda partition: partition["run_id"] == run.job.run_id)
    counts = stages.promote.gates
    reasons = Counter((row["outcome"], row["reason"]) for row in of_run.to_pylist() if row["outcome"] != "trained")
    return RunReport(
        summary=summary,
        errors=tuple(
            SegmentError(row["segment"], row["candidate"], row["error"], row["baseline_error"], row["rows"])
            for row in champions
        ),
        candidates=Counter(row["candidate"] for row in champions),
        reasons=tuple(OutcomeReason(outcome, reason, count) for (outcome, reason), count in reasons.most_common()),
        gates=tuple(
            GateCount(gate, counts.get((gate, True, decisive), 0), counts.get((gate, False, decisive), 0), decisive)
            for gate, decisive in dict.fromkeys((gate, decisive) for gate, _, decisive in counts)
        ),
        held=tuple(HeldSegment(segment, reason) for segment, reason in stages.promote.held_segments),
        samples=_samples(run, stages.score.job_id, champions) if run.fleet.task == "forecast" else (),
    )


def _champions(run: Run, release: int | None) -> list[dict[str, Any]]:
    columns = [
        "segment",
        "candidate",
        "error",
        "baseline_error",
        "weight",
        "rows",
        "level",
        "bucket",
        "model_name",
        "model_version",
    ]
    rows = run.table(CHAMPIONS).read(columns, lambda partition: partition["release"] == str(release))
    return [row for row in rows.to_pylist() if row["level"] == "segment"]


def _summary(run: Run, stages: Stages, test: TestMetric | None, champions: Sequence[Mapping[str, Any]]) -> Summary:
    def column(name: str) -> FloatArray:
        return np.array([row[name] for row in champions], dtype=float)

    fleet, weights = run.fleet, column("weight")
    metric = Metric(
        fleet.backtest.metric,
        _overall(column("error"), weights, fleet.backtest.metric),
        _overall(column("baseline_error"), weights, fleet.backtest.metric),
        test,
    )
    specs = [INPUTS, QUARANTINE, observations(fleet), SEGMENTS, CHALLENGERS, LEADERBOARD, OUTCOMES, REGISTRATIONS]
    return Summary(
        fleet=fleet.name,
        run_id=run.job.run_id,
        release=stages.promote.release,
        segments=stages.train.segments,
        outcomes=Outcomes(**stages.train.outcomes),
        registered=stages.register.registered,
        promoted=stages.promote.promoted,
        held=stages.promote.held,
        predictions=stages.score.rows,
        metric=metric,
        stages=stages.timings,
        peak_rss_bytes=stages.peak_rss_bytes,
        rows=_rows(run),
        tables={spec.name: run.table(spec).uri for spec in [*specs, VERDICTS, CHAMPIONS, PREDICTIONS]},
        started_at=stages.started_at.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        config=_config(run, stages),
        versions={name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        files=_files(stages.ingest),
    )


def _files(receipt: IngestReceipt | None) -> Files:
    return Files(receipt.files, receipt.unchanged, receipt.refused) if receipt else Files()


def _config(run: Run, stages: Stages) -> dict[str, str]:
    """What the figures depend on besides the data, and why nothing was promoted if so."""
    fleet = run.fleet
    config = {
        "task": fleet.task,
        "horizon": str(fleet.horizon or "-"),
        "candidates": ", ".join(candidate.name for candidate in fleet.candidates),
        "backtest folds": str(fleet.backtest.folds),
        "buckets": str(recorded_buckets(run)),
    }
    return config | ({"promotion": stages.promote.reason} if stages.promote.reason else {})


def _rows(run: Run) -> Rows:
    """Rows of all inputs in the lake: what was read is either an observation or in quarantine."""
    inputs = run.table(INPUTS).read(where=lambda partition: partition["role"] == "observations")
    read = pc.sum(inputs["rows_read"]).as_py() or 0
    accepted = sum(file.rows for file in run.table(observations(run.fleet)).files())
    rejected = run.table(QUARANTINE).files(lambda partition: partition["stage"] in ("observations", "partition"))
    refused = [row for row in inputs.to_pylist() if row["error"]]
    return Rows(read, accepted, sum(file.rows for file in rejected) - len(refused))


def _samples(run: Run, job_id: str, champions: Sequence[Mapping[str, Any]]) -> tuple[SeriesSample, ...]:
    """A dozen segments from the best to the worst backtest, with history, forecast and truth where known."""
    ordered = sorted(champions, key=lambda row: (row["error"], row["segment"]))
    picks = np.unique(np.linspace(0, len(ordered) - 1, min(_SAMPLES, len(ordered))).astype(int))
    return tuple(_sample(run, job_id, ordered[pick]) for pick in picks) if ordered else ()


def _sample(run: Run, job_id: str, champion: Mapping[str, Any]) -> SeriesSample:
    segment, bucket = str(champion["segment"]), str(champion["bucket"])
    wanted = pc.field("segment") == segment
    history = run.table(observations(run.fleet)).read(
        ["time", "target"], lambda partition: partition["bucket"] == bucket, wanted
    )
    columns = ["time", "prediction", "lower", "upper"]
    forecast = run.table(PREDICTIONS).read(
        columns, lambda partition: partition["part"] == f"bucket-{bucket}", wanted & (pc.field("job_id") == job_id)
    )
    actual: dict[object, float] = {}
    if run.fleet.test is not None:
        truth = run.table(landed(run.fleet.truth, "actuals")).read(["time", "target"], rows=wanted)
        actual = dict(zip(truth["time"].to_pylist(), truth["target"].to_pylist(), strict=True))
    times = forecast["time"].to_pylist()
    return SeriesSample(
        segment=segment,
        title=segment,
        times=history["time"].to_pylist(),
        history=history["target"].to_pylist(),
        forecast_times=times,
        prediction=_floats(forecast, "prediction"),
        lower=_floats(forecast, "lower"),
        upper=_floats(forecast, "upper"),
        actual=[actual.get(time, float("nan")) for time in times] if actual else (),
        model=f"{champion['candidate']} · {champion['model_name']} v{champion['model_version']}",
    )


def _floats(rows: pa.Table, name: str) -> list[float]:
    values: list[float] = rows[name].fill_null(float("nan")).to_pylist()
    return values
