"""Files that have landed where a fleet's scoring input comes from, and that its ledger does not know."""

from pathlib import Path

from adapters.lake.files import RawFile, list_files
from adapters.lake.table import Lake
from domain.config.fleet import Fleet
from domain.data.tables import INPUTS
from domain.errors import SourceError

__all__ = ["new_files"]


def new_files(lake: Lake, fleet: Fleet, home: Path) -> list[RawFile]:
    """Files of the fleet's scoring source that were never taken in, or have changed since; none without such a source.

    Those that were refused as they are now are known too: the ledger has the reason.
    """
    if fleet.score is None:
        return []
    try:
        found = list_files(fleet.score.source.path, home)
    except SourceError:
        return []  # There is none.
    table = lake.table(fleet.name, INPUTS)
    rows = table.read(["path", "stamp"], lambda partition: partition["role"] == "requests").to_pylist()
    stamps = {row["path"]: row["stamp"] for row in rows}
    # The ledger's stamps go on with how the fleet reads the file.
    return [file for file in found if not stamps.get(file.uri, "").startswith(f"{file.stamp}-")]
