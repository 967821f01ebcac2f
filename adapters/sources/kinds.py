"""The kinds of sources, and which of them a place is."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from adapters.lake.files import TABLE_LOG, is_table
from adapters.sources.delta_table import DeltaSource
from adapters.sources.folder import FolderSource
from adapters.sources.formats import format_by_name
from adapters.sources.protocol import Listing, SourceInput, SourceKind
from domain.config.source import Source
from domain.errors import SourceError

__all__ = ["kind_of", "list_inputs"]


def _sql_query() -> SourceKind:
    # Imported here: its drivers take longer than all other kinds, and few fleets read a database.
    from adapters.sources.sql_query import SqlQuerySource

    return SqlQuerySource()


_KINDS: Mapping[str, Callable[[], SourceKind]] = {"files": FolderSource, "delta": DeltaSource, "sql": _sql_query}


@cache
def _kind(name: str) -> SourceKind:
    return _KINDS[name]()


def kind_of(item: SourceInput) -> SourceKind:
    """Return the kind that reads an input."""
    return _kind(item.kind)


def list_inputs(
    source: Source, home: Path, place: str | None = None, known: Mapping[str, str] | None = None
) -> Listing:
    """List the inputs of a source; its kind is found from the settings and from what is at the place.

    Parameters
    ----------
    place : path, folder or glob in place of the source's path.
    known : stamps by URI of the inputs whose rows are in the lake; see `SourceKind.listing`. By default the ledger does
        not matter, and a source without an input that can be read is an error.

    Raises
    ------
    SourceError : the place cannot be listed, or has nothing to read.
    """
    place = place or source.path
    # Only what the fleet file says is ever an address or a query: other places are files.
    name = "sql" if source.query is not None and place == source.path else _kind_at(source, home, place)
    listing = _kind(name).listing(source, place, home, known or {})
    if known is None and listing.unusable and not listing.inputs:
        raise SourceError("\n".join(listing.unusable))
    return listing


def _kind_at(source: Source, home: Path, place: str) -> str:
    """Return the kind of what is at a place, which the settings tell or the place itself."""
    # A request for each of a thousand files in an object store would take longer than to list them.
    surely_file = "://" in place and source.format != "delta" and format_by_name(place) is not None
    delta = not surely_file and is_table(place, home)
    if source.format == "delta" and not delta:
        raise SourceError(f"{place}: no Delta table: it has no folder {TABLE_LOG}; give the folder of the table")
    if source.version is not None and place == source.path and not delta:
        raise SourceError(f"{place}: source.version is for Delta tables, and this has no folder {TABLE_LOG}; remove it")
    return "delta" if delta else "files"
