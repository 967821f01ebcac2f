"""Registration of models in MLflow, including artifacts, compared with `mlflow.onnx.log_model`.

SQLite and local files, in one process. Myriad registers buckets of 128 models, as in a run: model directories with
signature and environment, registered model, version, tags. MLflow registers the same graphs in one MLflow run by
`mlflow.onnx.log_model(..., pip_requirements=[...], registered_model_name=...)`. Without the requirements it would be
much slower, because it would infer them, in seconds per model.

Database and files are in memory, on systems with `/dev/shm`, and then on disk. Figures of a disk depend on its recent
history: ext4 takes many times longer to create a file in the minutes after many files were deleted.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from adapters.registry import Batch, ModelEntry, Registry
from benchmarks.machine import describe
from benchmarks.timing import by_turns, ratio, timed
from benchmarks.workload import BUCKET, workload
from models.training.forecast import train_forecast

BULK, PUBLIC, PEER = 1_024, 128, 60
ROUNDS = 5


def main() -> list[str]:
    """Return the lines of the benchmark."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    work = workload(BUCKET, ["seasonal_naive", "theta", "ridge"])
    trained = train_forecast(work.series, work.fleet, work.contract)
    graphs = [model.graph for model in trained if not model.failed]
    graphs = (graphs * (-(-BULK // len(graphs))))[:BULK]
    memory = Path("/dev/shm")  # Not every system has it.
    places = {"memory": memory} if os.access(memory, os.W_OK) else {}
    lines = [
        *describe("python -m benchmarks.register"),
        "",
        "| folder in | | models | ms per model | faster than log_model by |",
        "|---|---|---|---|---|",
    ]
    for place, parent in {**places, "disk": None}.items():
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            lines += _compared(place, Path(folder), graphs)
    return lines


def _compared(place: str, root: Path, graphs: Sequence[bytes]) -> list[str]:
    figures = by_turns(
        ROUNDS,
        mlflow=_log_model(root, graphs[:PEER]),
        public=_ours(root, graphs[:PUBLIC], "api"),
        bulk=_ours(root, graphs, "bulk"),
    )
    lines = [f"| {place} | `mlflow.onnx.log_model` | {PEER} | {np.median(figures['mlflow']):.1f} | |"]
    for name, method, models in (("public", "MLflow's public API", PUBLIC), ("bulk", "in bulk", BULK)):
        cells = f"{np.median(figures[name]):.2f} | {ratio(figures['mlflow'], figures[name]):.1f} x"
        lines.append(f"| {place} | Myriad, {method} | {models:,} | {cells} |")
    return lines


def _entries(graphs: Sequence[bytes], round_: int) -> list[ModelEntry]:
    """Make entries with as many tags as the models of a fleet have."""
    return [
        ModelEntry(
            name=f"bench.{round_}.m{number}",
            onnx=graph,
            fingerprint=f"{round_}-{number}",
            tags={f"tag_{place}": f"value {place} of {number}" for place in range(12)},
            description=f"model {number}",
            model_tags={f"segment.column_{place}": str(number) for place in range(3)},
        )
        for number, graph in enumerate(graphs)
    ]


def _ours(root: Path, graphs: Sequence[bytes], mode: str) -> Callable[[], float]:
    """Return a run that measures ms per model, registered in buckets by a registry that is already open."""
    registry = Registry(f"sqlite:///{root}/{mode}.db", f"{root}/{mode}", mode)  # type: ignore[arg-type]
    rounds = iter(range(ROUNDS + 1))

    def run() -> float:
        number = next(rounds)
        parent = registry.start_training("bench", str(number), {})
        entries = _entries(graphs, number)

        starts = range(0, len(entries), BUCKET)
        batches = [Batch(start, entries[start : start + BUCKET], {"models": 1.0}) for start in starts]
        return timed(lambda: list(registry.register_buckets(parent, batches))) / len(graphs) * 1000

    run()
    return run


def _log_model(root: Path, graphs: Sequence[bytes]) -> Callable[[], float]:
    """Return a run that measures ms per model of MLflow's own call."""
    import mlflow
    import onnx

    protos = [onnx.load_model_from_string(graph) for graph in graphs]
    rounds = iter(range(ROUNDS + 1))

    def run() -> float:
        mlflow.set_tracking_uri(f"sqlite:///{root}/peer.db")
        number = next(rounds)

        def register() -> None:
            with mlflow.start_run():
                for place, proto in enumerate(protos):
                    mlflow.onnx.log_model(
                        proto,
                        name=f"m{place}",
                        pip_requirements=["onnxruntime"],
                        registered_model_name=f"bench.{number}.m{place}",
                    )

        return timed(register) / len(graphs) * 1000

    mlflow.set_tracking_uri(f"sqlite:///{root}/peer.db")
    mlflow.set_experiment(mlflow.create_experiment("bench", f"{root}/peer") and "bench")
    run()
    return run


if __name__ == "__main__":
    print("\n".join(main()))
