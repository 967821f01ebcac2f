"""Training of one model per segment: ridge compared with joblib, Ray and Spark, smoothing with statsforecast.

Ridge: three rolling folds and a refit. Myriad runs all of `train_forecast` (features, choice of a penalty in every
fold, direct forecasts of 8 steps, conformal interval, ONNX graph, parity check), bucket by bucket in two processes. The
peers fit scikit-learn's pipeline of a scaler and a ridge to rows with precomputed features, four times per segment in
two processes, without ONNX. Start-up of processes and clusters is excluded on all sides.

Smoothing: fit and forecast of 18 months for the 1,428 monthly series of the M3 competition, with one process and one
thread on each side; the error is that on the published test part.
"""

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from adapters.sources.samples import write_sample
from benchmarks.machine import describe
from benchmarks.timing import by_turns, installed, peer, peer_seconds, ratio, timed, versions
from benchmarks.workload import Workload, peer_rows, workload
from domain.arrays import FloatArray
from models.features.panel import Panel
from models.smoothing.base import forecast
from models.smoothing.methods import smoothing_method
from models.training.forecast import train_forecast

SEGMENTS = 1_024
ROUNDS = 3
HORIZON = 18
ROOT = Path(__file__).parents[1]
PAIRS = {
    "theta": "DynamicOptimizedTheta",
    "ses": "AutoETS(A, N, A)",
    "holt_damped": "AutoETS(A, Ad, N)",
    "ets": "AutoETS(A, Ad, A)",
}
"""Candidate -> the closest model of the peer. Myriad's ses and holt_damped also model the season."""
BATCH = 512
"""Series per call: a bucket of 128 at four cutoffs, as in a training."""

_work: Workload | None = None


def main() -> list[str]:
    """Return the lines of the benchmark."""
    # Before any process starts, so that every process has one thread.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return [*describe("python -m benchmarks.train"), "", *_ridge(), "", *_smoothing()]


# --- ridge


def _begin(segments: int) -> None:
    global _work
    _work = workload(segments, ["ridge"])


def _bucket(number: int) -> int:
    assert _work is not None
    trained = train_forecast(_work.buckets[number], _work.fleet, _work.contract)
    return sum(not model.failed for model in trained)


def _ridge() -> list[str]:
    buckets = range(-(-SEGMENTS // 128))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        peer_rows(SEGMENTS).to_parquet(path)
        with ProcessPoolExecutor(2, get_context("spawn"), _begin, (SEGMENTS,)) as pool:
            done = sum(pool.map(_bucket, buckets))

            def ours() -> float:
                return timed(lambda: list(pool.map(_bucket, buckets)))

            peers = _peers(path)
            seconds = by_turns(ROUNDS, ours=ours, **{label: run for label, run in peers.items() if run})
    lines = [
        f"Ridge, {SEGMENTS:,} segments of 122 weeks, {done:,} models:",
        "",
        "| | ms per model, two processes | Myriad is faster by |",
        "|---|---|---|",
    ]
    per_model = 1000 / SEGMENTS
    lines.append(f"| Myriad, with ONNX and parity check | {np.median(seconds['ours']) * per_model:.2f} | |")
    for label in peers:
        if label in seconds:
            cells = f"{np.median(seconds[label]) * per_model:.1f} | {ratio(seconds[label], seconds['ours']):.0f} x"
        else:
            cells = "not installed: `make peers` |"
        lines.append(f"| {label} | {cells} |")
    return lines


def _peers(path: Path) -> dict[str, Callable[[], float] | None]:
    """Return runs of the peers on the rows at `path`, by name and versions; None for a peer that is not installed."""
    runs: dict[str, Callable[[], float] | None] = {}
    for name, packages in {"": ("joblib", "scikit-learn"), "ray": ("ray",), "spark": ("pyspark",)}.items():
        if installed(name):
            runs[versions(name, *packages)] = partial(peer_seconds, name, f"run_{name or 'joblib'}.py", path, 1)
        else:
            runs[name] = None
    return runs


# --- smoothing


def _smoothing() -> list[str]:
    values, actual = _m3()
    lengths = (~np.isnan(values)).sum(axis=1)
    ends = np.full(len(values), values.shape[1] - 1)
    panel = Panel(values, lengths, ends, 12)
    ours: list[dict[str, tuple[float, FloatArray]]] = []
    theirs: list[dict[str, FloatArray]] = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "series.npz", Path(folder) / "results.npz"
        np.savez(source, values=values)
        for _ in range(ROUNDS):
            ours.append({name: _fit(name, panel) for name in PAIRS})
            if installed("statsforecast"):
                peer("statsforecast", "run_statsforecast.py", source, target, HORIZON, 1)
                theirs.append(dict(np.load(target)))
    lines = [
        f"Smoothing, {len(values):,} series, {HORIZON} months{_against()}:",
        "",
        "| candidate | ms per series | sMAPE | statsforecast | ms per series | sMAPE | Myriad is faster by |",
        "|---|---|---|---|---|---|---|",
    ]
    per_series = 1000 / len(values)
    for name, other in PAIRS.items():
        seconds = [fits[name][0] for fits in ours]
        error = _smape(actual, ours[0][name][1])
        cells = f"| {name} | {np.median(seconds) * per_series:.2f} | {error:.2f} | {other} |"
        if not theirs:
            lines.append(f"{cells} not installed: `make peers` | | |")
            continue
        peer_s = [float(results[f"{name} seconds"][0]) for results in theirs]
        error = _smape(actual, theirs[0][f"{name} forecasts"])
        lines.append(f"{cells} {np.median(peer_s) * per_series:.2f} | {error:.2f} | {ratio(peer_s, seconds):.1f} x |")
    if theirs:
        plain = float(np.median([results["plain seconds"][0] for results in theirs])) * per_series
        lines += [
            "",
            f"statsforecast's simple exponential smoothing, without a season, takes {plain:.3f} ms per series; "
            f"its sMAPE is {_smape(actual, theirs[0]['plain forecasts']):.2f}.",
        ]
    return lines


def _against() -> str:
    return f", against {versions('statsforecast', 'statsforecast')}" if installed("statsforecast") else ""


def _fit(name: str, panel: Panel) -> tuple[float, FloatArray]:
    """Fit one candidate. Returns seconds and forecasts [n, H]."""
    began, forecasts = time.perf_counter(), []
    for start in range(0, len(panel.lengths), BATCH):
        part = panel.take(np.arange(start, min(start + BATCH, len(panel.lengths))))
        method = smoothing_method(name)
        forecasts.append(forecast(method, part, method.fit(part, HORIZON), HORIZON))
    return time.perf_counter() - began, np.maximum(np.concatenate(forecasts), 0.0)


def _smape(actual: FloatArray, predicted: FloatArray) -> float:
    return float(np.mean(200 * np.abs(actual - predicted) / (np.abs(actual) + np.abs(predicted))))


def _m3() -> tuple[FloatArray, FloatArray]:
    """Read the training values [n, T], right-aligned, and the 18 months after them [n, 18]."""
    folder = ROOT / "var" / "raw"
    write_sample("m3", folder)
    parts = {}
    for name in ("train", "test"):
        frame = pd.concat([pd.read_csv(path) for path in sorted((folder / "m3" / name).glob("*.csv"))])
        parts[name] = frame.sort_values(["series", "month"]).groupby("series").value.apply(lambda v: v.to_numpy(float))
    width = max(map(len, parts["train"]))
    values = np.full((len(parts["train"]), width), np.nan)
    for row, series in enumerate(parts["train"]):
        values[row, width - len(series) :] = series
    return values, np.stack(list(parts["test"]))


if __name__ == "__main__":
    print("\n".join(main()))
