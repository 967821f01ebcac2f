"""Flow `sync-registry`: repair the registry from the lake."""

from prefect import flow

from flows.artifacts import progress_artifacts, summarise
from flows.parameters import DryRun, FleetFile, LakeRoot, RunId
from flows.session import open_session, run_name
from flows.tasks import as_task
from models.promotion.releases import SyncSummary
from tasks.sync_registry import sync_registry as repair

__all__ = ["sync_registry"]

_repair = as_task(repair)


@flow(name="sync-registry", flow_run_name=run_name)
def sync_registry(
    fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None, dry_run: DryRun = False
) -> SyncSummary:
    """Register what MLflow has lost, set the champion aliases, and report differences; `dry_run` only reports."""
    with open_session(fleet, lake, run_id, exclusive=True) as session, progress_artifacts(session.run.fleet.name):
        summary = _repair(session.run, session.registry, dry_run)
        differences = {difference.kind.replace("_", " "): difference.count for difference in summary.differences}
        figures: dict[str, object] = {"models": summary.models, "release": summary.release, "dry run": summary.dry_run}
        summarise(session.run.fleet.name, "sync-registry", figures | differences)
    return summary
