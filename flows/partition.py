"""Flow `partition`: landed rows into sorted buckets, with a profile of every segment."""

from prefect import flow

from flows.artifacts import progress_artifacts, summarise
from flows.bodies import steps
from flows.parameters import FleetFile, LakeRoot, RunId
from flows.session import open_session, run_name
from tasks.partition import PartitionSummary

__all__ = ["partition"]


@flow(name="partition", flow_run_name=run_name)
def partition(fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None) -> PartitionSummary:
    """Partition the fleet's landed rows."""
    with open_session(fleet, lake, run_id) as session, progress_artifacts(session.run.fleet.name):
        summary = steps.partition(session)
        figures = {"segments": summary.segments, "buckets": summary.buckets, "rows landed": summary.landed}
        figures |= {"rows accepted": summary.accepted, "rows quarantined": summary.rejected}
        figures |= {"rows merged into periods": summary.merged} if summary.merged else {}
        warnings = "<br>".join(summary.warnings) or "none"
        summarise(session.run.fleet.name, "partition", {**figures, "warnings": warnings})
    return summary
