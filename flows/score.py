"""Flows `score` and `backfill`: predictions of the next horizon or for new inputs, committed once; also of the past."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from prefect import flow

from adapters.lake.job_results import heartbeat
from flows.artifacts import progress_artifacts, summarise
from flows.bodies import steps
from flows.parameters import (
    BucketsAtOnce,
    DeliverToSink,
    FirstDate,
    FleetFile,
    InputFiles,
    LakeRoot,
    LastDate,
    OutputFile,
    PastDate,
    RejectedShare,
    RunId,
    ScoredRelease,
    WithinFolders,
    WorkerCount,
)
from flows.session import Session, open_session, run_name
from flows.tasks import as_task
from tasks.context import Run
from tasks.job_result import deliver_output, job_result_of
from tasks.score import ScoreSummary

__all__ = ["backfill", "score"]

_record_result = as_task(job_result_of, "account for inputs")
_deliver = as_task(deliver_output)


@flow(name="score", flow_run_name=run_name)
def score(
    fleet: FleetFile,
    lake: LakeRoot = None,
    run_id: RunId = None,
    release: ScoredRelease = None,
    as_of: PastDate = None,
    inputs: InputFiles = None,
    max_rejected_share: RejectedShare = 1.0,
    workers: WorkerCount = None,
    concurrency: BucketsAtOnce = None,
    output: OutputFile = None,
    within: WithinFolders = None,
    deliver: DeliverToSink = True,
) -> ScoreSummary:
    """Load new scoring input and score it with `release`, by default the one in force; or forecast from a past date.

    With a run id, the run writes heartbeats while it works and then its result to the lake, below `_jobs/`. The sink
    comes last: if it fails, the run fails, but its predictions and its result stay.
    """
    with (
        open_session(fleet, lake, run_id, workers=workers) as whole,
        progress_artifacts(whole.run.fleet.name),
    ):
        session = _limited(whole, [limit for limit in (workers, concurrency) if limit is not None])
        context = replace(session.run.context, roots=tuple(within or ()))
        session = replace(session, run=Run(context, session.run.workers))
        heartbeats = heartbeat(context.lake, context.fleet.name, run_id) if run_id else nullcontext()
        with heartbeats:
            summary = steps.score_job(session, release, as_of, inputs, max_rejected_share)
            if run_id or output:
                result = _record_result(session.run, summary, inputs or ())
                if output:
                    _deliver(session.run, result, output)
            if deliver:
                summary = steps.deliver(session, summary)
        summarise(session.run.fleet.name, "score", _figures([summary]))
    return summary


@flow(name="backfill", flow_run_name=run_name)
def backfill(
    fleet: FleetFile,
    start: FirstDate,
    end: LastDate,
    lake: LakeRoot = None,
    run_id: RunId = None,
    release: ScoredRelease = None,
    deliver: DeliverToSink = True,
) -> list[ScoreSummary]:
    """Forecast as of the end of every period from `start` to `end`, with one release: one job per period."""
    with open_session(fleet, lake, run_id) as session, progress_artifacts(session.run.fleet.name):
        summaries = steps.backfill(session, start, end, release)
        if deliver:
            summaries[-1] = steps.deliver(session, summaries[-1])
        summarise(session.run.fleet.name, "backfill", {"jobs": len(summaries), **_figures(summaries)})
    return summaries


def _limited(session: Session, limits: Sequence[int]) -> Session:
    """Limit the number of buckets at work at the same time."""
    run = session.run
    return replace(session, run=Run(run.context, run.workers.limited(min(limits)))) if limits else session


def _figures(summaries: Sequence[ScoreSummary]) -> dict[str, object]:
    """Return the figures of one job, or of several jobs together."""
    statuses = sorted({status for summary in summaries for status in summary.statuses})
    levels = sorted({level for summary in summaries for level in summary.levels})
    figures: dict[str, object] = {"job": summaries[-1].job_id, "release": summaries[-1].release}
    figures |= {"rows": sum(summary.rows for summary in summaries)}
    if any(summary.as_of for summary in summaries):
        span = dict.fromkeys([str(summaries[0].as_of), str(summaries[-1].as_of)])
        figures |= {"as of": " to ".join(span), "in sample": sum(summary.in_sample for summary in summaries)}
    figures |= {
        f"status {status}": sum(summary.statuses.get(status, 0) for summary in summaries) for status in statuses
    }
    figures |= _delivery_figures(summaries[-1])
    of_levels = {level: sum(summary.levels.get(level, 0) for summary in summaries) for level in levels}
    return figures | {f"by {level or 'own champion'}": rows for level, rows in of_levels.items()}


def _delivery_figures(summary: ScoreSummary) -> dict[str, object]:
    return {"delivered": summary.delivery.rows} if summary.delivery else {}
