"""Measured figures of a fleet, beside its reports: they tell of this machine, which the lake does not know."""

from itertools import islice
from pathlib import Path

from adapters.lake.files import replacing
from domain.capacity.calibrated_estimate import trained_most
from domain.capacity.cost_model import CostModel, cost_model_json, parse_cost_model
from domain.reporting.summary import Summary, parse_summary

__all__ = ["full_run", "read_cost_model", "write_cost_model"]

_FILE = "sizing.json"
_RUNS = 20
"""Reports that are looked through, newest first."""


def read_cost_model(folder: Path, settings: str) -> CostModel | None:
    """What `myriad size` measured last; None where there is nothing, or only for other settings.

    folder : of the fleet's reports. settings : their fingerprint.
    """
    path = folder / _FILE
    rates = parse_cost_model(path.read_text("utf-8")) if path.exists() else None
    return rates if rates and rates.settings == settings else None


def write_cost_model(folder: Path, rates: CostModel) -> Path:
    """Keep measured figures in place of former ones."""
    with replacing(folder / _FILE) as temporary:
        temporary.write_text(cost_model_json(rates), encoding="utf-8")
    return folder / _FILE


def full_run(folder: Path, settings: str) -> Summary | None:
    """The newest run that trained most of the fleet with these settings and left a report; None where there is none."""
    paths = sorted(folder.glob("*.json"), key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
    known = (path for path in paths if path.name not in (_FILE, "latest.json"))
    for path in islice(known, _RUNS):
        found = parse_summary(path.read_text("utf-8"))
        if found and found.estimate and found.estimate.settings == settings and trained_most(found):
            return found
    return None
