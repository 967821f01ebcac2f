"""Check the files of a scoring request before the gateway accepts it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.lake.files import list_files
from adapters.sources.reader import column_names
from domain.config.fleet import Fleet, Source
from domain.errors import SourceError

__all__ = ["refusals"]

_AT_ONCE = 16


def refusals(places: Sequence[str], fleet: Fleet, source: Source, home: Path) -> dict[int, str]:
    """Reasons to refuse files, by their position: missing, unreadable, or without a column that the fleet needs.

    A store that does not answer is not the fault of a file: its files pass, and the run reports the error.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reasons = pool.map(lambda place: _refusal(place, fleet, source, home), places)
        return {position: reason for position, reason in enumerate(reasons) if reason}


def _refusal(place: str, fleet: Fleet, source: Source, home: Path) -> str:
    try:
        first = list_files(place, home)[0]
        present = column_names(first.uri, source)
    except SourceError as exc:
        cause = exc.__cause__
        unreachable = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
        return "" if unreachable else str(exc)
    missing = [name for name in fleet.columns if name not in present and name != fleet.target.column]
    if not missing:
        return ""
    return f"{first.uri}: no column {', '.join(missing)}; the file has {', '.join(present)}"
