"""Flow `alert`: record that something needs attention, and publish it to subscribers."""

from datetime import UTC, datetime

from prefect import flow, get_run_logger

from adapters.lake.table import Lake
from adapters.settings import Settings
from adapters.sources.fleet_files import load_fleet
from domain.gateway.fleet_events import FleetEvent
from flows.artifacts import summarise
from flows.events import publish
from flows.parameters import AlertSubject, AlertText, FleetFile, LakeRoot, RunId
from flows.session import new_run_id, run_name

__all__ = ["alert"]


@flow(name="alert", flow_run_name=run_name)
def alert(
    fleet: FleetFile, what: AlertText, about: AlertSubject = "", lake: LakeRoot = None, run_id: RunId = None
) -> None:
    """Raise an alert about a fleet, such as a run that is overdue."""
    settings = Settings(lake=lake) if lake else Settings()
    name, run = load_fleet(fleet, settings.home).name, run_id or new_run_id()
    get_run_logger().error("%s: %s %s", name, what, about)
    fleet_event = FleetEvent.of("alert.raised", name, run, datetime.now(UTC), {"what": what, "about": about}, run)
    publish(Lake(settings.lake_uri), fleet_event, "alert")
    summarise(name, "alert", {"what": what, "about": about or "-"})
