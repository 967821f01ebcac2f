"""Measure statsforecast's models, series by series in one process: seconds and forecasts.

python run_statsforecast.py SERIES.npz OUT.npz HORIZON REPETITIONS: `values` [n, T], NaN before a series' start. OUT
gets seconds [repetitions] and forecasts [n, H] of every model; the script prints the version.
"""

import sys
import time
import warnings

import numpy as np
import statsforecast
from statsforecast.models import AutoETS, DynamicOptimizedTheta, SimpleExponentialSmoothingOptimized

SEASON = 12
MODELS = {
    "theta": DynamicOptimizedTheta(season_length=SEASON),
    "plain": SimpleExponentialSmoothingOptimized(),
    "ses": AutoETS(season_length=SEASON, model="ANA"),
    "holt_damped": AutoETS(season_length=1, model="AAN", damped=True),
    "ets": AutoETS(season_length=SEASON, model="AAA", damped=True),
}


def main(source: str, target: str, horizon: int, repetitions: int) -> None:
    warnings.simplefilter("ignore")
    values = np.load(source)["values"]
    series = [row[~np.isnan(row)] for row in values]
    results: dict[str, np.ndarray] = {}
    for name, model in MODELS.items():
        for values_of_one in series[:3]:  # Numba compiles at the first use.
            model.forecast(values_of_one, h=horizon)
        seconds = []
        for _ in range(repetitions):
            began = time.perf_counter()
            forecasts = [model.forecast(observed, h=horizon)["mean"] for observed in series]
            seconds.append(time.perf_counter() - began)
        results[f"{name} seconds"], results[f"{name} forecasts"] = np.array(seconds), np.stack(forecasts)
    np.savez(target, **results)
    print(statsforecast.__version__)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
