"""Looks at files that somebody wants scored, before anything is promised."""

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
    """What is wrong with files, by their number: not there, not readable, or without a column that the fleet needs.

    A store that does not answer is no fault of a file: its files pass here, and the run tells.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda place: _refusal(place, fleet, source, home), places)
        return {number: wrong for number, wrong in enumerate(found) if wrong}


def _refusal(place: str, fleet: Fleet, source: Source, home: Path) -> str:
    try:
        first = list_files(place, home)[0]
        present = column_names(first.uri, source)
    except SourceError as exc:
        cause = exc.__cause__
        away = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
        return "" if away else str(exc)
    missing = [name for name in fleet.columns if name not in present and name != fleet.target.column]
    if not missing:
        return ""
    return f"{first.uri}: no column {', '.join(missing)}; the file has {', '.join(present)}"
