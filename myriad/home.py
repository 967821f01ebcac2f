"""Where a fleet of the Python API lives: settings, tables, and its fleet file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from adapters.lake.files import replacing
from adapters.lake.table import Lake
from adapters.queries.fleet_tables import FleetTables
from adapters.settings import Settings, load_environment, quiet_telemetry
from adapters.sources.fleet_files import known_fleet, load_fleet
from domain.config.fleet import Fleet, parse_fleet
from domain.data.jsonable import to_jsonable
from domain.errors import SettingsError

__all__ = ["FleetHome", "of_content", "of_reference", "open_settings"]

_DRAFTS = "var/fleets"
"""Fleets that are given as a dict are written here, since runs read files."""


@dataclass(frozen=True)
class FleetHome:
    """A fleet and where it is.

    Parameters
    ----------
    reference : what the flows take: a name in fleets/, or a path.
    content : of a fleet that is given as a dict, whose file is written before a run.
    """

    name: str
    reference: str
    settings: Settings
    definition: Fleet | None
    content: Mapping[str, Any] | None = None

    @property
    def tables(self) -> FleetTables:
        """The tables of the fleet."""
        return FleetTables(Lake(self.settings.lake_uri), self.name)

    @property
    def reports(self) -> Path:
        """The folder of its reports."""
        return self.settings.path(self.settings.reports) / self.name

    def fleet(self) -> Fleet:
        """The fleet file as it is now. Raises FleetError if there is none, or if it is not valid."""
        if self.content is not None and self.definition is not None:
            return self.definition
        return load_fleet(self.reference, self.settings.home)

    def write(self) -> str:
        """Write the fleet file of a dict, and return the reference for a run."""
        if self.content is None:
            return self.reference
        text = yaml.safe_dump(to_jsonable(self.content), sort_keys=False, allow_unicode=True)
        with replacing(self.settings.home / self.reference) as temporary:
            temporary.write_text(f"# Written by myriad.Fleet for a dict; change it there.\n{text}", encoding="utf-8")
        return self.reference


def open_settings(home: str | Path | None, lake: str | Path | None) -> Settings:
    """Load the settings as the commands do: arguments, the environment, `.env`, then the defaults.

    Raises SettingsError if the home is not a folder, or settings contradict each other.
    """
    quiet_telemetry()
    if Path(".env").is_file():
        load_environment(Path())
    places = {"home": home, "lake": lake}
    given = {name: os.fspath(value) for name, value in places.items() if value is not None}
    settings = Settings(**given)
    if not settings.home.is_dir():
        raise SettingsError(f"home {settings.home}: not a folder; make it, or give another home")
    return settings.model_copy(update={"home": settings.home.resolve()})


def of_reference(reference: str | Path, settings: Settings) -> FleetHome:
    """Open the fleet of a file, or of a name in fleets/ or in the lake."""
    text = os.fspath(reference)
    name, definition = known_fleet(text, settings.home, Lake(settings.lake_uri))
    return FleetHome(name, text, settings, definition)


def of_content(content: Mapping[str, Any], settings: Settings) -> FleetHome:
    """Open the fleet of a dict with the keys of a fleet file."""
    definition = parse_fleet(dict(content), "the dict for myriad.Fleet")
    return FleetHome(definition.name, f"{_DRAFTS}/{definition.name}.yaml", settings, definition, dict(content))
