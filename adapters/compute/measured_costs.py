"""Store a fleet's measured costs beside its reports: they describe this machine, so they do not belong in the lake."""

from itertools import islice
from pathlib import Path

from adapters.lake.files import replacing
from domain.capacity.calibrated_estimate import trained_most
from domain.capacity.cost_model import CostModel, cost_model_json, parse_cost_model
from domain.reporting.summary import Summary, parse_summary

__all__ = ["full_run", "read_cost_model", "write_cost_model"]

_FILE = "sizing.json"
_RUNS = 20
"""Number of newest reports to search."""


def read_cost_model(folder: Path, settings: str) -> CostModel | None:
    """Return the last cost model of `myriad size`; None if missing or measured with other settings.

    folder : folder of the fleet's reports. settings : fingerprint of the current settings.
    """
    path = folder / _FILE
    rates = parse_cost_model(path.read_text("utf-8")) if path.exists() else None
    return rates if rates and rates.settings == settings else None


def write_cost_model(folder: Path, rates: CostModel) -> Path:
    """Write the cost model, replacing the previous one; return its path."""
    with replacing(folder / _FILE) as temporary:
        temporary.write_text(cost_model_json(rates), encoding="utf-8")
    return folder / _FILE


def full_run(folder: Path, settings: str) -> Summary | None:
    """Return the newest reported run that trained most of the fleet with these settings, or None."""
    paths = sorted(folder.glob("*.json"), key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
    known = (path for path in paths if path.name not in (_FILE, "latest.json"))
    for path in islice(known, _RUNS):
        summary = parse_summary(path.read_text("utf-8"))
        if summary and summary.estimate and summary.estimate.settings == settings and trained_most(summary):
            return summary
    return None
