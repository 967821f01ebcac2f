"""What flows tell the world: news in the lake, which the gateway takes to subscribers, and events for automations."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prefect.events import emit_event

from adapters.lake.fleet_events import has_events, put_event
from adapters.lake.table import Lake
from domain.gateway.fleet_events import FleetEvent, FleetEventType
from flows.session import Session
from models.promotion.releases import PinSummary
from tasks.promote import PromoteSummary

__all__ = ["publish", "publish_pin", "publish_release"]


def publish_release(session: Session, summary: PromoteSummary) -> None:
    """Of the release in force, unless that was told, and of challengers that were held.

    A run that died between its release and the news is made up for by the next one.
    """
    figures: dict[str, object] = {"release": summary.release, "promoted": summary.promoted, "held": summary.held}
    figures |= {"unchanged": summary.unchanged, "reason": summary.reason}
    if summary.release is not None:
        _tell_release(session, figures)
    if summary.held:
        held = [{"segment": segment, "reason": reason} for segment, reason in summary.held_segments]
        _tell(session, "release.held", figures | {"segments": held}, session.run.context.run_id)


def publish_pin(session: Session, summary: PinSummary) -> None:
    """Of the release that a pin, or its end, has made."""
    told = "pinned" if summary.pinned else "no longer pinned"
    figures: dict[str, object] = {
        "release": summary.release,
        "promoted": int(summary.changed),
        "held": 0,
        "unchanged": 0,
    }
    _tell_release(session, figures | {"reason": f"{summary.segment}: {told}"})


def publish(lake: Lake, news: FleetEvent, root: str) -> None:
    """root : the flow that began it all. Raises an OSError if the storage refuses."""
    put_event(lake, news)
    emit_event(
        event=f"myriad.{news.event}",
        resource={
            "prefect.resource.id": f"myriad.fleet.{news.fleet}",
            "prefect.resource.name": news.fleet,
            "myriad.started-by": root,
        },
        payload={"fleet": news.fleet, "run_id": news.run_id, **news.data},
    )


def _tell_release(session: Session, data: Mapping[str, Any]) -> None:
    _tell(session, "release.promoted", data, f"release-{data['release']}", once=True)


def _tell(session: Session, event: FleetEventType, data: Mapping[str, Any], about: str, *, once: bool = False) -> None:
    context = session.run.context
    news = FleetEvent.of(event, context.fleet.name, context.run_id, datetime.now(UTC), data, about)
    if not (once and has_events(context.lake, context.fleet.name, news.id)):
        publish(context.lake, news, session.root)
