"""Check the files of a scoring request before the gateway accepts it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.lake.local_files import confined_to
from adapters.lake.object_stores import is_remote
from adapters.sources.kinds import list_inputs
from adapters.sources.reader import column_names
from domain.config.database import scheme_of
from domain.config.fleet import Fleet
from domain.config.source import Source
from domain.data.shown import shown_names
from domain.errors import SourceError
from domain.gateway.jobs import source_root

__all__ = ["input_roots", "refusals"]

_AT_ONCE = 16


def input_roots(roots: Sequence[str], source: str | None, home: Path, *, local: bool) -> list[str]:
    """Return the absolute folders that a job may use: those of the gateway, and that of its fleet's source.

    local : whether they may be on this machine.
    """
    is_folder = source is not None and scheme_of(source) is None
    literal = [*roots, *([source_root(source)] if source and is_folder else [])]
    every = [_absolute(root, home) for root in literal if root]
    return [root for root in every if local or is_remote(root)]


def _absolute(root: str, home: Path) -> str:
    return root.removeprefix("file://") if "://" in root else str((home / root).resolve())


def refusals(
    places: Sequence[str], fleet: Fleet, source: Source, home: Path, roots: Sequence[str] = ()
) -> dict[int, str]:
    """Reasons to refuse files, by their position: missing, unreadable, or without a column that the fleet needs.

    roots : folders that local files must lie in after links are resolved.
    A store that does not answer is not the fault of a file: its files pass, and the run reports the error.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reasons = pool.map(lambda place: _refusal(place, fleet, source, home, roots), places)
        return {position: reason for position, reason in enumerate(reasons) if reason}


def _refusal(place: str, fleet: Fleet, source: Source, home: Path, roots: Sequence[str]) -> str:
    try:
        with confined_to(roots):
            first = list_inputs(source, home, place).inputs[0]
            present = column_names(first, source)
    except SourceError as exc:
        cause = exc.__cause__
        unreachable = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
        return "" if unreachable else str(exc)
    missing = [name for name in fleet.columns if name not in present and name != fleet.target.column]
    if not missing:
        return ""
    return f"{first.uri}: no column {', '.join(missing)}; the file has {shown_names(present)}"
