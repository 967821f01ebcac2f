"""Events that flows publish: in the lake, from where the gateway relays them to subscribers, and in Prefect."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.lake.fleet_events import has_events, put_event
from adapters.lake.table import Lake
from domain.gateway.fleet_events import FleetEvent, FleetEventType
from flows.session import Session
from flows.tasks import flow_name
from models.promotion.releases import PinSummary
from tasks.promote import PromoteSummary

__all__ = ["publish", "publish_pin", "publish_release"]


def publish_release(session: Session, summary: PromoteSummary) -> None:
    """Publish the release in force, unless it was published already, and the challengers that were held.

    If a run dies between its release and the event, the next run publishes it.
    """
    figures: dict[str, object] = {"release": summary.release, "promoted": summary.promoted, "held": summary.held}
    figures |= {"unchanged": summary.unchanged, "reason": summary.reason}
    if summary.release is not None:
        _publish_release_event(session, figures)
    if summary.held:
        held = [{"segment": segment, "reason": reason} for segment, reason in summary.held_segments]
        _publish_event(session, "release.held", figures | {"segments": held}, session.run.context.run_id)


def publish_pin(session: Session, summary: PinSummary) -> None:
    """Publish the release that a pin, or its end, has made."""
    change = "pinned" if summary.pinned else "no longer pinned"
    figures: dict[str, object] = {
        "release": summary.release,
        "promoted": int(summary.changed),
        "held": 0,
        "unchanged": 0,
    }
    _publish_release_event(session, figures | {"reason": f"{summary.segment}: {change}"})


def publish(lake: Lake, fleet_event: FleetEvent, root: str) -> None:
    """Write an event to the lake, for the gateway's subscribers, and send it to Prefect, for automations.

    Parameters
    ----------
    root : the outermost flow, such as `pipeline`.

    Raises
    ------
    OSError
        If the storage refuses.
    """
    put_event(lake, fleet_event)
    if flow_name() is None:
        return  # Automations live on servers, and with a server the run is a flow.
    from prefect.events import emit_event

    emit_event(
        event=f"myriad.{fleet_event.event}",
        resource={
            "prefect.resource.id": f"myriad.fleet.{fleet_event.fleet}",
            "prefect.resource.name": fleet_event.fleet,
            "myriad.started-by": root,
        },
        payload={"fleet": fleet_event.fleet, "run_id": fleet_event.run_id, **fleet_event.data},
    )


def _publish_release_event(session: Session, data: Mapping[str, Any]) -> None:
    _publish_event(session, "release.promoted", data, f"release-{data['release']}", once=True)


def _publish_event(
    session: Session, kind: FleetEventType, data: Mapping[str, Any], about: str, *, once: bool = False
) -> None:
    context = session.run.context
    fleet_event = FleetEvent.of(kind, context.fleet.name, context.run_id, datetime.now(UTC), data, about)
    if not (once and has_events(context.lake, context.fleet.name, fleet_event.id)):
        publish(context.lake, fleet_event, session.root)
