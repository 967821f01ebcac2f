"""Fleet events in the lake, one small file per event, for the relay to subscribers."""

from collections.abc import Iterator
from datetime import UTC, datetime

from adapters.lake.errors import unusable
from adapters.lake.files import RawFile, files_below, open_file, put_file
from adapters.lake.table import Lake
from domain.gateway.fleet_events import FleetEvent, event_json, parse_event

__all__ = ["events_since", "has_events", "put_event"]

_FOLDER = "_news"


def put_event(lake: Lake, event: FleetEvent) -> None:
    """Write an event, in place of an earlier copy of the same event. Raises an OSError if the storage refuses."""
    put_file(_folder(lake, event.fleet), f"{event.id}.json", event_json(event).encode())


def has_events(lake: Lake, fleet: str, identity: str) -> bool:
    """Return True if an event of this id is stored. Raises LakeError if the lake cannot be read."""
    return any(file.uri.endswith(f"/{identity}.json") for file in _files(lake, fleet))


def events_since(lake: Lake, fleet: str, since: datetime, known: set[str]) -> Iterator[tuple[str, FleetEvent]]:
    """Yield address and content of the events stored since a moment, oldest first, except those of known addresses.

    Raises LakeError if the lake cannot be read.
    """
    with unusable(lake.folder(fleet), "read"):
        files = [file for file in _files(lake, fleet) if file.uri not in known]
        for file in sorted(files, key=lambda file: file.modified):
            if datetime.fromtimestamp(file.modified, UTC) < since:
                continue
            with open_file(file.uri) as stream:
                event = parse_event(stream.read())
            if event is not None:
                yield file.uri, event


def _files(lake: Lake, fleet: str) -> list[RawFile]:
    with unusable(lake.folder(fleet), "read"):
        return files_below(_folder(lake, fleet))


def _folder(lake: Lake, fleet: str) -> str:
    return f"{lake.folder(fleet)}/{_FOLDER}"
