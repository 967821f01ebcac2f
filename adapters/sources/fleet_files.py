"""Fleet files on disk."""

from pathlib import Path

import yaml

from adapters.lake.local_files import open_regular
from adapters.lake.table import Lake
from domain.config.fleet import Fleet, parse_fleet
from domain.config.yaml_text import MOST_BYTES, parse_yaml
from domain.data.segment_search import suggest_closest
from domain.errors import FleetError, SourceError, UnknownNameError

__all__ = ["file_of", "known_fleet", "load_fleet"]


def load_fleet(reference: str, home: Path) -> Fleet:
    """Load the fleet of a YAML file, or of `fleets/NAME.yaml` if the reference is a name.

    Raises
    ------
    FleetError : the file cannot be read, or is not a valid fleet file; the message names the file and each problem.
    """
    path = home / reference
    if not path.suffix:
        path = home / "fleets" / f"{reference}.yaml"
    try:
        with open_regular(str(path)) as stream:
            start = stream.read(MOST_BYTES + 1)
        # What is cut off may be half a character, and is refused for its size below.
        text = start.decode("utf-8", errors="strict" if len(start) <= MOST_BYTES else "replace")
    except OSError as exc:
        near = "" if path.exists() else suggest_closest(Path(reference).stem, _fleet_names(home))
        raise FleetError(f"{path}: cannot be read: {exc.strerror or exc}{near}") from exc
    except SourceError as exc:
        raise FleetError(str(exc)) from exc
    except UnicodeDecodeError as exc:
        raise FleetError(f"{path}: cannot be read: it is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    try:
        content = parse_yaml(text)
    except yaml.YAMLError as exc:
        raise FleetError(f"{path}: not valid YAML: {exc}") from exc
    return parse_fleet(content, str(path.relative_to(home) if path.is_relative_to(home) else path))


def known_fleet(reference: str, home: Path, lake: Lake) -> tuple[str, Fleet | None]:
    """Name of a fleet and the content of its file, which is None for a fleet that only the lake has.

    Raises
    ------
    UnknownNameError : there is neither a file nor a fleet in the lake.
    FleetError : the file is not a valid fleet file.
    """
    if (home / reference).suffix or (home / "fleets" / f"{reference}.yaml").exists():
        fleet = load_fleet(reference, home)
        return fleet.name, fleet
    names = lake.fleets()
    if reference in names:
        return reference, None
    near = suggest_closest(reference, [*_fleet_names(home), *names])
    raise UnknownNameError(
        f"fleet {reference!r}: there is no fleets/{reference}.yaml, and no fleet of that name in {lake.uri}{near}"
    )


def file_of(fleet: str, home: Path) -> str:
    """The argument that names a fleet of the lake in commands: its name if fleets/ has its file, else a placeholder."""
    return fleet if (home / "fleets" / f"{fleet}.yaml").exists() else "FLEET_FILE"


def _fleet_names(home: Path) -> list[str]:
    return sorted(path.stem for path in home.glob("fleets/*.yaml"))
