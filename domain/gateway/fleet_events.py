"""News of a fleet: what its runs tell the world, as JSON beside the tables, until everybody has heard of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from domain.data.jsonable import json_text

__all__ = ["NEWS", "FleetEvent", "FleetEventType", "event_json", "parse_event"]

FleetEventType = Literal["release.promoted", "release.held", "alert.raised"]
NEWS: tuple[FleetEventType, ...] = get_args(FleetEventType)
_LONGEST_ID = 120


@dataclass(frozen=True)
class FleetEvent:
    """id : names it wherever it is told, and stays. run_id : of the run that tells it. data : figures of the event."""

    id: str
    event: FleetEventType
    fleet: str
    run_id: str
    at: datetime
    data: Mapping[str, Any]

    @classmethod
    def of(
        cls, event: FleetEventType, fleet: str, run_id: str, at: datetime, data: Mapping[str, Any], about: str
    ) -> "FleetEvent":
        """about : what there is one such event of, such as a release: told twice, it is the same news."""
        name = f"{fleet}.{about}.{event}"
        if len(name) > _LONGEST_ID:
            name = f"{event}.{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"
        return cls(name, event, fleet, run_id, at, dict(data))


def event_json(news: FleetEvent) -> str:
    """As JSON; `parse_event` gives it back."""
    return json_text(news) + "\n"


def parse_event(text: str | bytes) -> FleetEvent | None:
    """The news of a JSON text; None if it is none."""
    try:
        return TypeAdapter(FleetEvent).validate_json(text)
    except ValidationError:
        return None
