"""Flow `maintain`: the upkeep of a fleet's tables."""

from prefect import flow

from adapters.compute.progress import subscribed
from adapters.lake.table import Lake
from adapters.settings import Settings
from flows.artifacts import log_progress
from flows.parameters import DryRun, FleetName, LakeRoot, RetentionHours
from flows.session import run_name
from flows.tasks import as_task
from tasks.maintain import MaintenanceSummary, maintain_fleet

__all__ = ["maintain"]

_maintain = as_task(maintain_fleet)


@flow(name="maintain", flow_run_name=run_name)
def maintain(
    fleet: FleetName, lake: LakeRoot = None, retention_hours: RetentionHours = None, dry_run: DryRun = False
) -> MaintenanceSummary:
    """Merge small files, delete what nobody reads, shorten logs, abort unfinished uploads."""
    settings = Settings(lake=lake) if lake else Settings()
    with subscribed(log_progress):
        hours = settings.retention_hours if retention_hours is None else retention_hours
        return _maintain(Lake(settings.lake_uri), fleet, hours, dry_run=dry_run)
