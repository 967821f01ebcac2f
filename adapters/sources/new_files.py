"""New files of a fleet's scoring source: those that its ledger does not list."""

from pathlib import Path

from adapters.lake.files import RawFile, list_files
from adapters.lake.table import Lake
from domain.config.fleet import Fleet
from domain.data.tables import INPUTS
from domain.errors import SourceError

__all__ = ["new_files"]


def new_files(lake: Lake, fleet: Fleet, home: Path) -> list[RawFile]:
    """Files of the fleet's scoring source that were never ingested, or have changed since; none without such a source.

    Files that were refused in their present state are not new: the ledger has the reason.
    """
    if fleet.score is None:
        return []
    try:
        files = list_files(fleet.score.source.path, home)
    except SourceError:
        return []  # The source has no files.
    table = lake.table(fleet.name, INPUTS)
    rows = table.read(["path", "stamp"], lambda partition: partition["role"] == "requests").to_pylist()
    stamps = {row["path"]: row["stamp"] for row in rows}
    # In the ledger a file's stamp is followed by a digest of how the fleet reads the file.
    return [file for file in files if not stamps.get(file.uri, "").startswith(f"{file.stamp}-")]
