"""A regression fleet whose target follows from the distance and the weather, and its rows."""

import numpy as np
import pandas as pd

from domain.config.fleet import parse_fleet


def rides_fleet(**changes):
    content = {
        "name": "rides",
        "task": "regression",
        "source": {"path": "history/*.csv"},
        "segment_by": ["city", "route"],
        "target": {"column": "minutes", "minimum": 0},
        "row_key": ["ride"],
        "features": {"known": ["distance"], "categorical": ["weather"]},
        "candidates": ["mean", "ridge"],
        "backtest": {"metric": "mae"},
        "partition": {"buckets": 2, "min_rows": 20},
        "fallback": [{"parent": "city"}, "global"],
        "score": {"source": {"path": "today/*.csv"}},
    }
    return parse_fleet(content | changes, "tests/rides.yaml")


def rides(count, seed, pairs):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "ride": [f"r{seed}-{number}" for number in range(count)],
            "city": [pairs[number % len(pairs)][0] for number in range(count)],
            "route": [pairs[number % len(pairs)][1] for number in range(count)],
            "distance": random.uniform(1, 20, count).round(2),
            "weather": random.choice(["dry", "rain"], count),
        }
    )
    frame["minutes"] = 5 + 3 * frame.distance + 10 * (frame.weather == "rain") + random.normal(0, 0.5, count)
    return frame


PAIRS = [("ulm", "a"), ("ulm", "b/c"), ("köln", "a")]
