"""News of fleets in the lake, one small file each, for whoever tells them further."""

from collections.abc import Iterator
from datetime import UTC, datetime

from adapters.lake.files import RawFile, files_below, open_file, put_file
from adapters.lake.table import Lake, unusable
from domain.gateway.fleet_events import FleetEvent, event_json, parse_event

__all__ = ["events_since", "has_events", "put_event"]

_FOLDER = "_news"


def put_event(lake: Lake, news: FleetEvent) -> None:
    """Keep it, in place of the same news told before. Raises an OSError if the storage refuses."""
    put_file(_folder(lake, news.fleet), f"{news.id}.json", event_json(news).encode())


def has_events(lake: Lake, fleet: str, identity: str) -> bool:
    """Whether news of this id are kept. Raises LakeError if the lake cannot be read."""
    return any(file.uri.endswith(f"/{identity}.json") for file in _files(lake, fleet))


def events_since(lake: Lake, fleet: str, since: datetime, but: set[str]) -> Iterator[tuple[str, FleetEvent]]:
    """Address and content of what was kept since a moment, the oldest first, but for these addresses.

    Raises LakeError if the lake cannot be read.
    """
    with unusable(lake.folder(fleet), "read"):
        found = [file for file in _files(lake, fleet) if file.uri not in but]
        for file in sorted(found, key=lambda file: file.modified):
            if datetime.fromtimestamp(file.modified, UTC) < since:
                continue
            with open_file(file.uri) as stream:
                news = parse_event(stream.read())
            if news is not None:
                yield file.uri, news


def _files(lake: Lake, fleet: str) -> list[RawFile]:
    with unusable(lake.folder(fleet), "read"):
        return files_below(_folder(lake, fleet))


def _folder(lake: Lake, fleet: str) -> str:
    return f"{lake.folder(fleet)}/{_FOLDER}"
