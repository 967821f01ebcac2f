"""Flow `accuracy`: predictions against what was observed since."""

from prefect import flow

from flows.artifacts import progress_artifacts, summarise
from flows.bodies import steps
from flows.parameters import FleetFile, LakeRoot, RunId
from flows.session import open_session, run_name
from tasks.accuracy import AccuracySummary

__all__ = ["accuracy"]


@flow(name="accuracy", flow_run_name=run_name)
def accuracy(fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None) -> AccuracySummary:
    """Join predictions with observations; only buckets where either changed are computed anew."""
    with open_session(fleet, lake, run_id) as session, progress_artifacts(session.run.fleet.name):
        summary = steps.accuracy(session)
        figures = {"rows": summary.rows, "in sample": summary.in_sample, "excluded": summary.excluded}
        more = {"buckets": summary.buckets, "computed anew": summary.measured, "why nothing": summary.reason or "-"}
        summarise(session.run.fleet.name, "accuracy", figures | more)
    return summary
