"""Training a model a segment: ridge against joblib, Ray and Spark, and smoothing against statsforecast.

Ridge: three rolling folds and a refit. Myriad's side is the whole of `train_forecast` (features, choice of a penalty in
every fold, direct forecasts of 8 steps, conformal interval, ONNX graph, parity check), bucket by bucket in two
processes. The peers fit scikit-learn's pipeline of a scaler and a ridge to rows whose features were made beforehand,
four times a segment in two processes, without ONNX. Start-up of processes and clusters is left out on all sides.

Smoothing: the 1,428 monthly series of the M3 competition, fit and forecast of 18 months, one process and one thread
each; the error is that of the published test part.
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
"""Candidate -> the peer's model that is closest to it. Myriad's ses and holt_damped see the season too."""
BATCH = 512
"""Series at a time: a bucket of 128 in four windows, as a training has them."""

_work: Workload | None = None


def main() -> list[str]:
    """Lines of the benchmark."""
    # Before any process is started: each is to have one thread.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return [*describe("python -m benchmarks.train"), "", *_ridge(), "", *_smoothing()]


# --- ridge


def _begin(segments: int) -> None:
    global _work
    _work = workload(segments, ["ridge"])


def _bucket(number: int) -> int:
    assert _work is not None
    trained = train_forecast(_work.buckets[number], _work.fleet, _work.contract)
    return sum(not one.failed for one in trained)


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
            found = by_turns(ROUNDS, ours=ours, **{label: run for label, run in peers.items() if run})
    lines = [
        f"Ridge, {SEGMENTS:,} segments of 122 weeks, {done:,} models:",
        "",
        "| | ms a model, two processes | Myriad is faster by |",
        "|---|---|---|",
    ]
    per_model = 1000 / SEGMENTS
    lines.append(f"| Myriad, with ONNX and parity check | {np.median(found['ours']) * per_model:.2f} | |")
    for label in peers:
        if label in found:
            told = f"{np.median(found[label]) * per_model:.1f} | {ratio(found[label], found['ours']):.0f} x"
        else:
            told = "not installed: `make peers` |"
        lines.append(f"| {label} | {told} |")
    return lines


def _peers(path: Path) -> dict[str, Callable[[], float] | None]:
    """Seconds of each peer for the rows at `path`, by what it is; None of one that is not installed."""
    found: dict[str, Callable[[], float] | None] = {}
    for name, packages in {"": ("joblib", "scikit-learn"), "ray": ("ray",), "spark": ("pyspark",)}.items():
        if installed(name):
            found[versions(name, *packages)] = partial(peer_seconds, name, f"run_{name or 'joblib'}.py", path, 1)
        else:
            found[name] = None
    return found


# --- smoothing


def _smoothing() -> list[str]:
    values, actual = _m3()
    lengths = (~np.isnan(values)).sum(axis=1)
    ends = np.full(len(values), values.shape[1] - 1)
    panel = Panel(values, lengths, ends, 12)
    ours: list[dict[str, tuple[float, FloatArray]]] = []
    theirs: list[dict[str, FloatArray]] = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "series.npz", Path(folder) / "found.npz"
        np.savez(source, values=values)
        for _ in range(ROUNDS):
            ours.append({name: _fit(name, panel) for name in PAIRS})
            if installed("statsforecast"):
                peer("statsforecast", "run_statsforecast.py", source, target, HORIZON, 1)
                theirs.append(dict(np.load(target)))
    lines = [
        f"Smoothing, {len(values):,} series, {HORIZON} months{_against()}:",
        "",
        "| candidate | ms a series | sMAPE | statsforecast | ms a series | sMAPE | Myriad is faster by |",
        "|---|---|---|---|---|---|---|",
    ]
    per_series = 1000 / len(values)
    for name, other in PAIRS.items():
        seconds = [found[name][0] for found in ours]
        error = _smape(actual, ours[0][name][1])
        mine = f"| {name} | {np.median(seconds) * per_series:.2f} | {error:.2f} | {other} |"
        if not theirs:
            lines.append(f"{mine} not installed: `make peers` | | |")
            continue
        slower = [float(found[f"{name} seconds"][0]) for found in theirs]
        error = _smape(actual, theirs[0][f"{name} forecasts"])
        lines.append(f"{mine} {np.median(slower) * per_series:.2f} | {error:.2f} | {ratio(slower, seconds):.1f} x |")
    if theirs:
        plain = float(np.median([found["plain seconds"][0] for found in theirs])) * per_series
        lines += [
            "",
            f"statsforecast's simple exponential smoothing, without a season, takes {plain:.3f} ms a series; "
            f"its sMAPE is {_smape(actual, theirs[0]['plain forecasts']):.2f}.",
        ]
    return lines


def _against() -> str:
    return f", against {versions('statsforecast', 'statsforecast')}" if installed("statsforecast") else ""


def _fit(name: str, panel: Panel) -> tuple[float, FloatArray]:
    """Seconds and forecasts [n, H] of one candidate."""
    began, found = time.perf_counter(), []
    for start in range(0, len(panel.lengths), BATCH):
        part = panel.take(np.arange(start, min(start + BATCH, len(panel.lengths))))
        method = smoothing_method(name)
        found.append(forecast(method, part, method.fit(part, HORIZON), HORIZON))
    return time.perf_counter() - began, np.maximum(np.concatenate(found), 0.0)


def _smape(actual: FloatArray, predicted: FloatArray) -> float:
    return float(np.mean(200 * np.abs(actual - predicted) / (np.abs(actual) + np.abs(predicted))))


def _m3() -> tuple[FloatArray, FloatArray]:
    """Training values [n, T], right-aligned, and the 18 months after them [n, 18]."""
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
