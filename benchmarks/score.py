"""Scoring of 11,973 models, 8 steps each, compared with one session per model.

Warm, in one process with one thread; models and features are in memory on all sides. The bare loop opens an ONNX
Runtime session per model and runs it once. Myriad processes the same bytes bucket by bucket: it reads the weights,
combines them into one batched graph, and runs it; with prepared graphs it only runs them. Models with trees cannot be
batched, and run one by one on both sides.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
import pyarrow as pa

from adapters.lake.table import Lake
from adapters.registry import Batch, ModelEntry, Registry
from benchmarks.machine import describe
from benchmarks.timing import by_turns, ratio, timed
from benchmarks.workload import BUCKET, Workload, workload
from domain.arrays import Float32Array
from domain.data.tables import CHAMPIONS
from models.features.feature_spec import FeatureSpec
from models.features.forecast_features import features_at_end
from models.onnx_graphs.batched import batch_graphs
from models.onnx_graphs.runtime import run_each
from models.training.forecast import train_forecast

MODELS = 11_973
TREES = 500
"""Models with trees that are trained; they are repeated up to the number of the others."""
LOADED = 200
ROUNDS = 3
_FAMILIES = {
    "classical and linear": ["seasonal_naive", "theta", "ridge"],
    "lightgbm": ["lightgbm"],
}


@dataclass(frozen=True)
class _Models:
    """Graphs with their features [8, k], and their common contract."""

    contract: FeatureSpec
    graphs: list[bytes]
    features: list[Float32Array]

    @property
    def buckets(self) -> list[tuple[list[bytes], list[Float32Array]]]:
        starts = range(0, len(self.graphs), BUCKET)
        return [(self.graphs[s : s + BUCKET], self.features[s : s + BUCKET]) for s in starts]


def main() -> list[str]:
    """Return the lines of the benchmark."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    classical = _trained(workload(MODELS, _FAMILIES["classical and linear"]))
    trees = _trained(workload(TREES, _FAMILIES["lightgbm"]))
    lines = [
        *describe("python -m benchmarks.score"),
        "",
        f"{MODELS:,} models; ms per model (ratio to the bare loop, in pairs):",
        "",
        "| models | session per model | Myriad, graphs batched on the way | Myriad, graphs batched before |",
        "|---|---|---|---|",
    ]
    loop, line = _against_loop("classical and linear", classical, prepared=True)
    lines += [line, _against_loop("lightgbm", _repeated(trees), prepared=False)[1], ""]
    lines += _with_lake(classical)
    lines += ["", *_against_mlflow(classical, loop)]
    return lines


def _trained(work: Workload) -> _Models:
    """Train all segments, and compute the features of the 8 weeks after their last."""
    graphs: list[bytes] = []
    features: list[Float32Array] = []
    for series in work.buckets:
        trained = [model for model in train_forecast(series, work.fleet, work.contract) if not model.failed]
        own = series.take([series.segments.index(model.segment) for model in trained])
        future = np.repeat(own.covariates[:, -1:], work.contract.horizon, axis=1)
        graphs += [model.graph for model in trained]
        features += list(features_at_end(own, [model.parameters for model in trained], future, work.contract))
    return _Models(work.contract, graphs, features)


def _repeated(models: _Models) -> _Models:
    times = -(-MODELS // len(models.graphs))
    return _Models(models.contract, (models.graphs * times)[:MODELS], (models.features * times)[:MODELS])


def _session(graph: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _loop(graphs: Sequence[bytes], features: Sequence[Float32Array]) -> int:
    return len([_session(g).run(None, {"features": rows}) for g, rows in zip(graphs, features, strict=True)])


def _ours(models: _Models) -> int:
    return sum(len(run_each(graphs, features, models.contract)) for graphs, features in models.buckets)


def _prepared(models: _Models) -> Callable[[], int]:
    """Batch the graphs and open their sessions; return a function that only runs them."""
    buckets = []
    for graphs, features in models.buckets:
        batched = batch_graphs(graphs, models.contract)
        assert batched is not None
        assert len(batched.places) == len(graphs)
        buckets.append((_session(batched.graph), features))

    def run() -> int:
        done = 0
        for session, features in buckets:
            rows = [len(values) for values in features]
            inputs = {"features": np.concatenate(features), "segment": np.repeat(np.arange(len(features)), rows)}
            done += len(session.run(None, inputs)[0])
        return done

    return run


def _against_loop(name: str, models: _Models, *, prepared: bool) -> tuple[float, str]:
    """Compare with the bare loop. Returns the loop's median seconds and the line of the table."""
    runs: dict[str, Callable[[], float]] = {
        "loop": lambda: timed(lambda: _loop(models.graphs, models.features)),
        "ours": lambda: timed(lambda: _ours(models)),
    }
    if prepared:
        run = _prepared(models)
        runs["prepared"] = lambda: timed(run)
    _ours(_Models(models.contract, models.graphs[:BUCKET], models.features[:BUCKET]))
    seconds = by_turns(ROUNDS, **runs)
    cells = [f"{np.median(seconds['loop']) / len(models.graphs) * 1000:.3f}"]
    for side in ("ours", "prepared"):
        if side in seconds:
            times = ratio(seconds["loop"], seconds[side])
            comparison = f"{times:.0f} x faster" if times > 3 else f"{1 / times:.2f} of the time"
            cells.append(f"{np.median(seconds[side]) / len(models.graphs) * 1000:.4f} ({comparison})")
        else:
            cells.append("none: trees")
    return float(np.median(seconds["loop"])), f"| {name} | {' | '.join(cells)} |"


def _with_lake(models: _Models) -> list[str]:
    """Compare both sides where each bucket's models are read from a Delta table in a local folder first."""
    with tempfile.TemporaryDirectory() as folder:
        table = Lake(folder).table("bench", CHAMPIONS)
        schema = table.spec.file_schema
        staged = []
        for number, (graphs, _) in enumerate(models.buckets):
            columns = {field.name: pa.nulls(len(graphs), field.type) for field in schema}
            columns["onnx"] = pa.array(graphs, pa.binary())
            staged.append(table.stage(pa.table(columns, schema), release=1, bucket=number))
        table.replace(staged, lambda file: False)

        def read(number: int) -> list[bytes]:
            graphs: list[bytes] = table.read(["onnx"], lambda partition: partition["bucket"] == str(number))[
                "onnx"
            ].to_pylist()
            return graphs

        def loop() -> float:
            return timed(lambda: [_loop(read(n), features) for n, (_, features) in enumerate(models.buckets)])

        def ours() -> float:
            return timed(
                lambda: [run_each(read(n), features, models.contract) for n, (_, features) in enumerate(models.buckets)]
            )

        seconds = by_turns(ROUNDS, loop=loop, ours=ours)
    per_model = 1000 / len(models.graphs)
    return [
        f"With the models read from the lake in the same pass: {np.median(seconds['loop']) * per_model:.3f} ms per "
        f"model by sessions, {np.median(seconds['ours']) * per_model:.4f} by batched graphs, "
        f"{ratio(seconds['loop'], seconds['ours']):.0f} x faster.",
    ]


def _against_mlflow(models: _Models, loop_s: float) -> list[str]:
    """Compare with MLflow's own way: load a champion by its alias, open a session, run it."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        registry = Registry(uri, f"{folder}/artifacts")
        parent = registry.start_training("bench", "bench", {})
        graphs = models.graphs[:LOADED]
        entries = [ModelEntry(f"bench.m{n}", graph, str(n), {}, "") for n, graph in enumerate(graphs)]
        ((_, versions),) = registry.register_buckets(parent, [Batch(0, entries, {})])
        registry.set_alias("champion", {entry.name: entry.version for entry in versions})
        mlflow.set_tracking_uri(uri)

        def load() -> float:
            def load_and_run() -> None:
                for number, rows in enumerate(models.features[:LOADED]):
                    proto = mlflow.onnx.load_model(f"models:/bench.m{number}@champion")
                    _session(proto.SerializeToString()).run(None, {"features": rows})

            return timed(load_and_run) / LOADED

        def ours() -> float:
            part = _Models(models.contract, models.graphs[:2048], models.features[:2048])
            return timed(lambda: _ours(part)) / 2048

        seconds = by_turns(ROUNDS, load=load, ours=ours)
    return [
        f"Loading a champion with `mlflow.onnx.load_model`, a session and a run ({LOADED} models): "
        f"{np.median(seconds['load']) * 1000:.1f} ms per model. Graphs batched on the way are "
        f"{ratio(seconds['load'], seconds['ours']):.0f} x faster, with models in memory.",
    ]


if __name__ == "__main__":
    print("\n".join(main()))
