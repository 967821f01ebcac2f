"""Check that jobs of the gateway read and write only where data is meant to be."""

import stat
from collections.abc import Iterator
from pathlib import Path

from adapters.settings import Settings
from domain.checks.health import Check

_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/root")


def roots(settings: Settings) -> Iterator[Check]:
    """Check MYRIAD_GATEWAY_ROOTS and MYRIAD_GATEWAY_OUTPUTS against the places of secrets, tables and settings."""
    yield from _checks("MYRIAD_GATEWAY_ROOTS", settings.gateway_roots, settings, "jobs read their fleets' sources only")
    yield from _checks("MYRIAD_GATEWAY_OUTPUTS", settings.gateway_outputs, settings, "jobs write no files")


def _checks(variable: str, value: str, settings: Settings, unset: str) -> Iterator[Check]:
    places = [place.strip() for place in value.split(",") if place.strip()]
    if not places:
        yield Check("inputs", variable, "ok", f"not set: {unset}")
    for place in places:
        problem = _remote_problem(place, settings) if place.startswith("s3://") else _local_problem(place, settings)
        if problem:
            way_out = "name a folder that holds nothing but data for jobs"
            yield Check("inputs", variable, "failed", f"{place} {problem}", way_out)
        elif not place.startswith("s3://") and _is_writable_by_others(settings.path(place.removeprefix("file://"))):
            way_out = f"chmod o-w {place}"
            yield Check("inputs", variable, "warning", f"{place} can be written by every account", way_out)
        else:
            yield Check("inputs", variable, "ok", place)


def _local_problem(place: str, settings: Settings) -> str:
    folder = settings.path(place.removeprefix("file://"))
    private = {"the settings": settings.home, "state and secrets": settings.path("var")}
    private |= {"tables": Path(settings.lake_uri)} if "://" not in settings.lake else {}
    private |= {"certificates": settings.tls_folder} if settings.tls_folder else {}
    for content, location in private.items():
        if location.is_relative_to(folder):
            return f"holds {content} ({location})"
        if folder.is_relative_to(location) and location != settings.home:
            return f"lies among {content} ({location})"
    system = next((name for name in _SYSTEM if folder.is_relative_to(name) or Path(name).is_relative_to(folder)), None)
    return f"holds files of the system ({system})" if system else ""


def _remote_problem(place: str, settings: Settings) -> str:
    root, lake = f"{place.rstrip('/')}/", f"{settings.lake.rstrip('/')}/"
    return f"holds tables ({settings.lake})" if lake.startswith(root) or root.startswith(lake) else ""


def _is_writable_by_others(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False
