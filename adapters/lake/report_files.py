"""Reports on disk: one HTML page and one JSON summary per run, and the newest under the name `latest`."""

import json
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from domain.data.segment_search import suggest_closest
from domain.errors import RequestError, UnknownNameError
from domain.reporting.summary import telling_figures

__all__ = ["ReportFile", "find_report", "list_reports", "open_report", "read_times"]

_LATEST = "latest"


@dataclass(frozen=True)
class ReportFile:
    """The report of one run."""

    run_id: str
    path: Path
    written_at: datetime


def list_reports(folder: Path) -> list[ReportFile]:
    """Return the reports of a fleet, newest first."""
    pages = [path for path in folder.glob("*.html") if path.stem != _LATEST]
    reports = [ReportFile(path.stem, path, datetime.fromtimestamp(path.stat().st_mtime, UTC)) for path in pages]
    return sorted(reports, key=lambda report: (report.written_at, report.run_id), reverse=True)


def find_report(folder: Path, reference: str, run_id: str | None) -> ReportFile:
    """Return the newest report, or that of a run. reference : the fleet as given to commands.

    Raises UnknownNameError if there is none.
    """
    reports = list_reports(folder)
    if not reports:
        raise UnknownNameError(f"{folder}: there is no report yet; make one: myriad run {reference}")
    for report in reports:
        if run_id in (None, _LATEST, report.run_id):
            return report
    near = suggest_closest(run_id or "", [report.run_id for report in reports])
    raise UnknownNameError(f"{folder}: no report of run {run_id!r}{near}; list them: myriad report {reference} --list")


def read_times(summary: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds per stage and actual ÷ estimate per figure from the JSON summary of a run; empty without one.

    Figures that cannot be compared, such as those of a training that did not take place, are left out.
    """
    try:
        content: Mapping[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
        trained = int(content.get("outcomes", {}).get("trained", 0))
        compared = telling_figures(content.get("against_estimate", {}), trained)
        seconds = {str(stage["name"]): float(stage["seconds"]) for stage in content["stages"]}
        return seconds, {name: float(figure["ratio"]) for name, figure in compared.items() if figure["ratio"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, {}


def open_report(report: ReportFile) -> None:
    """Open a report in the browser of this machine. Raises RequestError if there is none."""
    if not webbrowser.open(report.path.resolve().as_uri()):
        raise RequestError(f"{report.path}: this machine has no browser to open it with; copy it to one that has")
