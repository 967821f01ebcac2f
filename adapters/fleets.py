"""Fleet files on disk."""

from pathlib import Path

import yaml

from models.errors import FleetError
from models.fleet import Fleet, parse_fleet

__all__ = ["load_fleet"]


def load_fleet(reference: str, home: Path) -> Fleet:
    """The fleet of a YAML file, or of `fleets/NAME.yaml` where only a name is given.

    Raises FleetError that names the file and what is wrong with it.
    """
    path = home / reference
    if not path.suffix:
        path = home / "fleets" / f"{reference}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise FleetError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise FleetError(f"{path}: not valid YAML: {exc}") from exc
    return parse_fleet(content, str(path.relative_to(home) if path.is_relative_to(home) else path))
