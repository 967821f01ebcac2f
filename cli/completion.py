"""Shell completion of fleets, fleet files and segments. Errors complete to nothing."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

__all__ = ["complete_fleets", "complete_segments"]

_MAX_SEGMENTS = 200
_PLAIN = re.compile(r"[\w./+-]+")
"""Values without characters that are special to a shell, such as `=` and `:`."""


def complete_fleets(incomplete: str) -> list[str]:
    """Complete names of fleets/*.yaml and paths of fleet files, from folder listings only."""
    home = Path(os.environ.get("MYRIAD_HOME") or ".")
    names = sorted(path.stem for path in home.glob("fleets/*.yaml") if path.stem.startswith(incomplete))
    folder = home / (incomplete if incomplete.endswith("/") else os.path.dirname(incomplete))  # noqa: PTH120
    paths = sorted(folder.glob("*")) if "/" in incomplete else []
    return names + [text for text in _paths(paths, home) if text.startswith(incomplete)]


def _paths(paths: list[Path], home: Path) -> Iterator[str]:
    for path in paths:
        text = str(path.relative_to(home) if path.is_relative_to(home) else path)
        if path.is_dir():
            yield f"{text}/"
        elif path.suffix in (".yaml", ".yml"):
            yield text


def complete_segments(fleet: str, lake: str | None, incomplete: str) -> list[str]:
    """Complete segments by their values, `2/5`, except those that a shell would split."""
    from adapters.lake.table import Lake
    from adapters.queries.fleet_tables import FleetTables
    from adapters.settings import Settings
    from adapters.sources.fleet_files import known_fleet
    from domain.data.segments import parse_segment
    from domain.errors import MyriadError

    try:
        settings = Settings(lake=lake) if lake else Settings()
        store = Lake(settings.lake_uri)
        keys = FleetTables(store, known_fleet(fleet, settings.home, store)[0]).segments()
    except MyriadError:
        return []
    names = ("/".join(parse_segment(key).values()) for key in keys)
    return list(
        islice((text for text in names if text.startswith(incomplete) and _PLAIN.fullmatch(text)), _MAX_SEGMENTS)
    )
