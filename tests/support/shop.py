"""A small shop with every kind of segment: its fleet, its raw rows, its first stages."""

import numpy as np
import pandas as pd

from adapters.lake.table import Lake
from domain.config.fleet import parse_fleet
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.register import register_challengers
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext

WEEKS = 60
SHORT, DEAD, UNSEEN, STRANGE = "store=9/brand=amber", "store=8/brand=amber", "store=7/brand=citra", "store=7/brand=new"


def shop(**changes):
    content = {
        "name": "shop",
        "task": "forecast",
        "source": {"path": "sales/*.csv"},
        "segment_by": ["store", "brand"],
        "time": {"column": "week", "frequency": "W", "season": 4},
        "target": {"column": "units", "minimum": 0},
        "features": {"known": ["price"]},
        "horizon": 4,
        "candidates": ["seasonal_naive", "ses", "ridge"],
        "fallback": [{"parent": "brand"}, "global"],
        "partition": {"buckets": 3, "min_rows": 20},
        "gates": {"baseline_tolerance": 10.0},
        "score": {"source": {"path": "future/*.csv"}},
    }
    return parse_fleet(content | changes, "tests/shop.yaml")


def sales(weeks=WEEKS, seed=0):
    """Seasonal, price-driven sales of 3 stores x 2 brands, a short segment and one that ended long ago."""
    random = np.random.default_rng(seed)
    rows = []
    pairs = [(store, brand) for store in (1, 2, 3) for brand in ("amber", "citra")]
    for number, (store, brand) in enumerate([*pairs, (9, "amber"), (8, "amber")]):
        first = weeks - 6 if store == 9 else 0
        last = weeks - 30 if store == 8 else weeks
        price = 2 + random.random(weeks)
        level = 50 * (1 + number) * (1 + 0.3 * np.sin(np.arange(weeks) * np.pi / 2))
        units = level * price**-1.5 * random.lognormal(0, 0.05, weeks)
        for week in range(first, last):
            date = pd.Timestamp("2024-01-01") + pd.Timedelta(weeks=week)
            rows.append((date.date(), store, brand, round(float(units[week]), 3), round(float(price[week]), 2)))
    return pd.DataFrame(rows, columns=["week", "store", "brand", "units", "price"])


def future(weeks=WEEKS, horizon=4):
    rows = []
    pairs = [(store, brand) for store in (1, 2, 3) for brand in ("amber", "citra")]
    for store, brand in [*pairs, (9, "amber"), (7, "citra"), (7, "new")]:
        for step in range(horizon):
            date = pd.Timestamp("2024-01-01") + pd.Timedelta(weeks=weeks + step)
            rows.append((date.date(), store, brand, 2.5))
    return pd.DataFrame(rows, columns=["week", "store", "brand", "price"])


def land_more_weeks(folder, weeks=1):
    """More weeks for every segment of stores 1 to 3: their models are trained again."""
    start = pd.Timestamp("2024-01-01") + pd.Timedelta(weeks=WEEKS)
    rows = [
        ((start + pd.Timedelta(weeks=week)).date(), store, brand, 50.0 * store + week, 2.0)
        for week in range(weeks)
        for store in (1, 2, 3)
        for brand in ("amber", "citra")
    ]
    frame = pd.DataFrame(rows, columns=["week", "store", "brand", "units", "price"])
    frame.to_csv(folder / "sales" / "more.csv", index=False)


def open_run(folder, workers, run_id="run-1", fleet=None):
    return Run(RunContext(fleet or shop(), Lake(str(folder / "lake")), run_id, folder), workers)


def train_all(run, registry):
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    train_challengers(run)
    return register_challengers(run, registry)


class Broken:
    """An estimator that fails on every segment."""

    def fit(self, X, y):
        raise RuntimeError("broken on purpose")

    def predict(self, X):
        raise RuntimeError("broken on purpose")
