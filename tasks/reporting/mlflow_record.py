"""The figures of a run in MLflow, where people compare runs: what its report says, as parameters, metrics and files."""

import logging
from pathlib import Path

import yaml

from adapters.registry import Registry, RunRecord, TrainingData
from domain.data.tables import observations
from domain.errors import RegistryError
from domain.reporting.summary import Summary, parse_summary
from tasks.context import Run

__all__ = ["record_run", "run_record"]

log = logging.getLogger(__name__)


def record_run(run: Run, registry: Registry, report: Path) -> None:
    """Log a run to MLflow. report : path of its page; the summary lies beside it.

    Everything else of the run is committed by now: a registry that is away costs this record alone.
    """
    summary = parse_summary(report.with_suffix(".json").read_text(encoding="utf-8"))
    if summary is None or summary.run_id != run.context.run_id:
        log.warning("run %s is not recorded in MLflow: its summary is gone", run.context.run_id)
        return
    try:
        registry.record_run(run.fleet.name, run.context.run_id, run_record(run, summary, report))
    except RegistryError as exc:
        log.warning("run %s is not recorded in MLflow: %s", run.context.run_id, exc)


def run_record(run: Run, summary: Summary, report: Path) -> RunRecord:
    """Return what MLflow shows of a run."""
    spec = observations(run.fleet)
    table = run.table(spec)
    content = run.fleet.model_dump(mode="json", exclude_defaults=True)
    return RunRecord(
        description=_description(summary),
        params={"fleet": summary.fleet, "run_id": summary.run_id, "metric": summary.metric.name, **summary.config},
        metrics=_metrics(summary),
        texts={
            "report.html": report.read_text(encoding="utf-8"),
            "fleet.yaml": yaml.safe_dump(content, sort_keys=False, allow_unicode=True),
        },
        data=TrainingData(
            f"{summary.fleet}/{spec.name}", f"version {table.version()}", table.uri, summary.rows.accepted
        ),
    )


def _description(summary: Summary) -> str:
    outcomes = summary.outcomes
    release = "no release" if summary.release is None else f"release {summary.release}"
    return (
        f"{summary.description}\n\nRun {summary.run_id} of fleet {summary.fleet}: {summary.segments:,} segments, "
        f"{outcomes.trained:,} trained, {outcomes.reused:,} reused; {release} with {summary.champions:,} champions. "
        "The artifact report.html has the rest."
    ).strip()


def _metrics(summary: Summary) -> dict[str, float | None]:
    metric, test, outcomes = summary.metric, summary.metric.test, summary.outcomes
    figures = {"error": metric.champion, "baseline_error": metric.baseline}
    if test is not None:
        figures |= {"test_error": test.champion, "test_baseline_error": test.baseline, "test_coverage": test.coverage}
    counts = {
        "segments": summary.segments,
        "champions": summary.champions,
        "promoted": summary.promoted,
        "held": summary.held,
        "predictions": summary.predictions,
        "rows": summary.rows.accepted,
        "rows_quarantined": summary.rows.quarantined,
        **{
            f"outcomes.{name}": getattr(outcomes, name)
            for name in ("trained", "reused", "fallback", "skipped", "failed")
        },
    }
    seconds = {f"seconds.{stage.name}": stage.seconds for stage in summary.stages}
    return figures | {name: float(count) for name, count in counts.items()} | seconds | {"seconds": summary.seconds}
