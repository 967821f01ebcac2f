"""New files of a fleet's scoring source: those that its ledger does not list."""

from pathlib import Path

from adapters.lake.table import Lake
from adapters.sources.kinds import list_inputs
from adapters.sources.protocol import SourceInput, ledger_stamp, listed_stamp
from domain.config.fleet import Fleet
from domain.data.tables import INPUTS
from domain.errors import SourceError

__all__ = ["new_files"]


def new_files(lake: Lake, fleet: Fleet, home: Path) -> list[SourceInput]:
    """Files of the fleet's scoring source that were never ingested, or have changed since; none without such a source.

    Files that were refused in their present state are not new: the ledger has the reason.
    """
    if fleet.score is None or fleet.score.source.query is not None:
        return []
    table = lake.table(fleet.name, INPUTS)
    rows = table.read(["path", "stamp", "error"], lambda partition: partition["role"] == "requests").to_pylist()
    stamps = {row["path"]: row["stamp"] for row in rows}
    known = {row["path"]: listed_stamp(row["stamp"]) for row in rows if not row["error"]}
    try:
        files = list_inputs(fleet.score.source, home, known=known).inputs
    except SourceError:
        return []  # The source has no files.
    return [file for file in files if not stamps.get(file.uri, "").startswith(ledger_stamp(file.stamp, ""))]
