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
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from adapters.samples import write_sample
from benchmarks.machine import describe
from benchmarks.timing import by_turns, peer, peer_seconds, ratio, timed
from benchmarks.workload import Workload, peer_rows, workload
from models.panel import FloatArray, Panel
from models.smoothing import MEMBERS, forecast
from models.train_forecast import train_forecast

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

            def joblib() -> float:
                found = peer_seconds("", "run_joblib.py", path, 1)
                assert found is not None
                return found[0]

            found = by_turns(ROUNDS, ours=ours, joblib=joblib)
            others = {name: peer_seconds(name, f"run_{name}.py", path, ROUNDS) for name in ("ray", "spark")}
            ours_again = [ours() for _ in range(ROUNDS)]
    lines = [
        f"Ridge, {SEGMENTS:,} segments of 122 weeks, {done:,} models:",
        "",
        "| | ms a model, two processes | Myriad is faster by |",
        "|---|---|---|",
    ]
    per_model = 1000 / SEGMENTS
    lines.append(f"| Myriad, with ONNX and parity check | {np.median(found['ours']) * per_model:.2f} | |")
    faster = ratio(found["joblib"], found["ours"])
    lines.append(f"| joblib and scikit-learn | {np.median(found['joblib']) * per_model:.1f} | {faster:.0f} x |")
    for name, told in others.items():
        if told is None:
            lines.append(f"| {name} | not installed: `make peers` | |")
        else:
            seconds, version = told
            against = float(np.median(ours_again))
            lines.append(f"| {name} {version} | {seconds * per_model:.1f} | {seconds / against:.0f} x |")
    return lines


# --- smoothing


def _smoothing() -> list[str]:
    values, actual = _m3()
    lengths = (~np.isnan(values)).sum(axis=1)
    ends = np.full(len(values), values.shape[1] - 1)
    panel = Panel(values, lengths, ends, 12)
    ours: dict[str, tuple[float, FloatArray]] = {name: _fit(name, panel) for name in PAIRS}
    lines = [
        f"Smoothing, {len(values):,} series, {HORIZON} months:",
        "",
        "| candidate | ms a series | sMAPE | statsforecast | ms a series | sMAPE | Myriad is faster by |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "series.npz", Path(folder) / "found.npz"
        np.savez(source, values=values)
        version = peer("statsforecast", "run_statsforecast.py", source, target, HORIZON, ROUNDS)
        theirs = dict(np.load(target)) if version else {}
    # Again, after the peer: the machine may have changed meanwhile.
    for name, other in PAIRS.items():
        seconds = float(np.median([ours[name][0], *(_fit(name, panel)[0] for _ in range(ROUNDS))]))
        mine = f"| {name} | {seconds / len(values) * 1000:.2f} | {_smape(actual, ours[name][1]):.2f} | {other} |"
        if not theirs:
            lines.append(f"{mine} not installed: `make peers` | | |")
            continue
        their_seconds = float(np.median(theirs[f"{name} seconds"]))
        error = _smape(actual, theirs[f"{name} forecasts"])
        lines.append(
            f"{mine} {their_seconds / len(values) * 1000:.2f} | {error:.2f} | {their_seconds / seconds:.1f} x |"
        )
    if theirs:
        plain = float(np.median(theirs["plain seconds"])) / len(values) * 1000
        lines += [
            "",
            f"statsforecast's simple exponential smoothing, without a season, takes {plain:.3f} ms a series; "
            f"its sMAPE is {_smape(actual, theirs['plain forecasts']):.2f}.",
        ]
    return lines


def _fit(name: str, panel: Panel) -> tuple[float, FloatArray]:
    """Seconds and forecasts [n, H] of one candidate."""
    began, found = time.perf_counter(), []
    for start in range(0, len(panel.lengths), BATCH):
        part = panel.take(np.arange(start, min(start + BATCH, len(panel.lengths))))
        found.append(forecast(MEMBERS[name], part, MEMBERS[name].fit(part, HORIZON), HORIZON))
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
