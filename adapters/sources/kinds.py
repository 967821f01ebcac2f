"""The kinds of sources, and which of them a place is."""

from collections.abc import Mapping
from pathlib import Path

from adapters.sources.folder import FolderSource
from adapters.sources.protocol import Listing, SourceInput, SourceKind
from adapters.sources.sql_query import SqlQuerySource
from domain.config.fleet import Source

__all__ = ["kind_of", "list_inputs"]

_KINDS: Mapping[str, SourceKind] = {"files": FolderSource(), "sql": SqlQuerySource()}


def kind_of(item: SourceInput) -> SourceKind:
    """Return the kind that reads an input."""
    return _KINDS[item.kind]


def list_inputs(
    source: Source, home: Path, place: str | None = None, known: Mapping[str, str] | None = None
) -> Listing:
    """List the inputs of a source; its kind is found from the settings and from what is at the place.

    Parameters
    ----------
    place : path, folder or glob in place of the source's path.
    known : stamps by URI of the inputs whose rows are in the lake; see `SourceKind.listing`.

    Raises
    ------
    SourceError : the place cannot be listed, or has nothing to read.
    """
    if source.query is not None and place in (None, source.path):
        # Only what the fleet file says is ever an address or a query: other places are files.
        return _KINDS["sql"].listing(source, source.path, home, known or {})
    return _KINDS["files"].listing(source, place or source.path, home, known or {})
