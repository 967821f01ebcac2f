"""The sources of a fleet against its ledger: whether there is anything to read, and which files are new."""

from pathlib import Path

from adapters.lake.table import Lake
from adapters.sources.kinds import list_inputs
from adapters.sources.protocol import SourceInput, ledger_stamp, listed_stamp
from domain.config.fleet import Fleet
from domain.data.tables import INPUTS
from domain.errors import NoFilesError, SourceError

__all__ = ["awaited_input", "check_inputs", "new_files"]


def check_inputs(lake: Lake, fleet: Fleet, home: Path) -> None:
    """Raise SourceError if a source of a fleet has nothing to read, and never had.

    Rows to score may come later: their source may have no file yet.

    A table whose rows are all deleted has nothing to read either, and those in the lake are to go. One with rows to
    score may be empty at any time.
    """
    for part in (fleet, fleet.score, fleet.test):
        if part is None:
            continue
        try:
            listing = list_inputs(part.source, home, known={})
        except NoFilesError:
            if part is fleet.score:
                continue
            raise
        if listing.inputs or (part is fleet.score and listing.owned):
            continue
        known = dict.fromkeys(lake.table(fleet.name, INPUTS).read(["path"])["path"].to_pylist(), "")
        if unusable := list_inputs(part.source, home, known=known).unusable:
            raise SourceError("\n".join(unusable))


def awaited_input(fleet: Fleet, home: Path) -> str:
    """Say that the scoring source of a fleet has no file yet, and the way out; empty for any other fleet."""
    if fleet.score is None or fleet.score.source.query is not None:
        return ""
    try:
        list_inputs(fleet.score.source, home, known={})
    except NoFilesError as exc:
        return f"score.source: {exc}; put files with rows to score there, then: myriad score {fleet.name}"
    except SourceError:
        return ""
    return ""


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
