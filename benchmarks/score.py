"""Scoring 11,973 models, 8 steps each, against a session a model.

Warm, in one process with one thread; models and features are in memory on all sides. The bare loop makes an ONNX
Runtime session of each model's bytes and runs it once. Myriad takes the same bytes a bucket at a time: it reads their
weights, stacks them into one graph, and runs that; or, where the stacks were made before, runs those alone. Models with
trees cannot be stacked, and are run one by one on both sides.
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
"""Models with trees that are trained; they are scored again and again up to the same number."""
LOADED = 200
ROUNDS = 3
_FAMILIES = {
    "classical and linear": ["seasonal_naive", "theta", "ridge"],
    "lightgbm": ["lightgbm"],
}


@dataclass(frozen=True)
class _Models:
    """Graphs and their features [8, k], and the contract that they have in common."""

    contract: FeatureSpec
    graphs: list[bytes]
    features: list[Float32Array]

    @property
    def buckets(self) -> list[tuple[list[bytes], list[Float32Array]]]:
        starts = range(0, len(self.graphs), BUCKET)
        return [(self.graphs[s : s + BUCKET], self.features[s : s + BUCKET]) for s in starts]


def main() -> list[str]:
    """Lines of the benchmark."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    classical = _trained(workload(MODELS, _FAMILIES["classical and linear"]))
    trees = _trained(workload(TREES, _FAMILIES["lightgbm"]))
    lines = [
        *describe("python -m benchmarks.score"),
        "",
        f"{MODELS:,} models; ms a model (ratio to the bare loop, in pairs):",
        "",
        "| models | session a model | Myriad, stacks made on the way | Myriad, stacks kept |",
        "|---|---|---|---|",
    ]
    loop, line = _against_loop("classical and linear", classical, kept=True)
    lines += [line, _against_loop("lightgbm", _repeated(trees), kept=False)[1], ""]
    lines += _with_lake(classical)
    lines += ["", *_against_mlflow(classical, loop)]
    return lines


def _trained(work: Workload) -> _Models:
    """Models of all segments, and the features of the 8 weeks after their last."""
    graphs: list[bytes] = []
    features: list[Float32Array] = []
    for series in work.buckets:
        found = [one for one in train_forecast(series, work.fleet, work.contract) if not one.failed]
        own = series.take([series.segments.index(one.segment) for one in found])
        future = np.repeat(own.covariates[:, -1:], work.contract.horizon, axis=1)
        graphs += [one.graph for one in found]
        features += list(features_at_end(own, [one.parameters for one in found], future, work.contract))
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


def _stacked(models: _Models) -> Callable[[], int]:
    """Runs of stacks that were made before, sessions too."""
    kept = []
    for graphs, features in models.buckets:
        stack = batch_graphs(graphs, models.contract)
        assert stack is not None
        assert len(stack.places) == len(graphs)
        kept.append((_session(stack.graph), features))

    def run() -> int:
        done = 0
        for session, features in kept:
            rows = [len(one) for one in features]
            inputs = {"features": np.concatenate(features), "segment": np.repeat(np.arange(len(features)), rows)}
            done += len(session.run(None, inputs)[0])
        return done

    return run


def _against_loop(name: str, models: _Models, *, kept: bool) -> tuple[float, str]:
    """Median seconds of the loop, and the table's line."""
    runs: dict[str, Callable[[], float]] = {
        "loop": lambda: timed(lambda: _loop(models.graphs, models.features)),
        "ours": lambda: timed(lambda: _ours(models)),
    }
    if kept:
        run = _stacked(models)
        runs["kept"] = lambda: timed(run)
    _ours(_Models(models.contract, models.graphs[:BUCKET], models.features[:BUCKET]))
    found = by_turns(ROUNDS, **runs)
    cells = [f"{np.median(found['loop']) / len(models.graphs) * 1000:.3f}"]
    for side in ("ours", "kept"):
        if side in found:
            times = ratio(found["loop"], found[side])
            told = f"{times:.0f} x faster" if times > 3 else f"{1 / times:.2f} of the time"
            cells.append(f"{np.median(found[side]) / len(models.graphs) * 1000:.4f} ({told})")
        else:
            cells.append("none: trees")
    return float(np.median(found["loop"])), f"| {name} | {' | '.join(cells)} |"


def _with_lake(models: _Models) -> list[str]:
    """Both sides with the models read from a Delta table in a local folder first, bucket by bucket."""
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

        found = by_turns(ROUNDS, loop=loop, ours=ours)
    per_model = 1000 / len(models.graphs)
    return [
        f"With the models read from the lake in the same pass: {np.median(found['loop']) * per_model:.3f} ms a model "
        f"by sessions, {np.median(found['ours']) * per_model:.4f} by stacks, "
        f"{ratio(found['loop'], found['ours']):.0f} x faster.",
    ]


def _against_mlflow(models: _Models, loop_s: float) -> list[str]:
    """MLflow's own way: load a champion by its alias, make a session, run it."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        registry = Registry(uri, f"{folder}/artifacts")
        parent = registry.start_training("bench", "bench", {})
        graphs = models.graphs[:LOADED]
        entries = [ModelEntry(f"bench.m{n}", graph, str(n), {}, "") for n, graph in enumerate(graphs)]
        ((_, made),) = registry.register_buckets(parent, [Batch(0, entries, {})])
        registry.set_alias("champion", {one.name: one.version for one in made})
        mlflow.set_tracking_uri(uri)

        def load() -> float:
            def each() -> None:
                for number, rows in enumerate(models.features[:LOADED]):
                    proto = mlflow.onnx.load_model(f"models:/bench.m{number}@champion")
                    _session(proto.SerializeToString()).run(None, {"features": rows})

            return timed(each) / LOADED

        def ours() -> float:
            part = _Models(models.contract, models.graphs[:2048], models.features[:2048])
            return timed(lambda: _ours(part)) / 2048

        found = by_turns(ROUNDS, load=load, ours=ours)
    return [
        f"Loading a champion with `mlflow.onnx.load_model`, a session and a run ({LOADED} models): "
        f"{np.median(found['load']) * 1000:.1f} ms a model. Stacks made on the way are "
        f"{ratio(found['load'], found['ours']):.0f} x faster, models in memory.",
    ]


if __name__ == "__main__":
    print("\n".join(main()))
