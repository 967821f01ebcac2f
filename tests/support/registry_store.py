"""A registry over SQLite and files, models for it, and programs that use it from another process."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from onnx import TensorProto, helper, numpy_helper

from adapters.registry import FINGERPRINT_TAG, Batch, ModelEntry, Registration, Registry
from domain.errors import RegistryError

ROOT = Path(__file__).parents[2]


BOTH = pytest.mark.parametrize("mode", ["bulk", "api"])


Open = Callable[..., Registry]


def graph(weights: list[float]) -> bytes:
    """A linear model of `len(weights)` features, with an interval of one on either side."""
    count = len(weights)
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["prediction"]),
        helper.make_node("Sub", ["prediction", "one"], ["lower"]),
        helper.make_node("Add", ["prediction", "one"], ["upper"]),
    ]
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, count])]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("prediction", "lower", "upper")
    ]
    constants = [
        numpy_helper.from_array(np.array(weights, np.float32).reshape(count, 1), "w"),
        numpy_helper.from_array(np.ones((1, 1), np.float32), "one"),
    ]
    made = helper.make_graph(nodes, "linear", inputs, outputs, constants)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString())


def entry(name: str, fingerprint: str = "a1", weight: float = 2.0) -> ModelEntry:
    tags = {"series": name.rpartition(".")[2], "candidate": "ridge", "note": "Größe ≤ 5 – ✓"}
    return ModelEntry(name, graph([weight, 1.0]), fingerprint, tags, f"best of {name}", {"myriad.fleet": "m3"})


def entries(count: int, fingerprint: str = "a1") -> list[ModelEntry]:
    return [entry(f"m3.n{number}", f"{fingerprint}-{number}", float(number)) for number in range(count)]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without models; making MLflow's tables takes a second, copying them nothing."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    assert Registry(f"sqlite:///{path}", mode="bulk").path == "bulk"
    return path


@pytest.fixture
def opened(tmp_path: Path, empty_store: Path) -> Open:
    """Open a registry over the SQLite file `name` of this test."""

    def open_(mode: str = "auto", name: str = "mlflow") -> Registry:
        path = tmp_path / f"{name}.db"
        if not path.exists():
            shutil.copy(empty_store, path)
        return Registry(f"sqlite:///{path}", str(tmp_path / name / "artifacts"), mode)  # type: ignore[arg-type]

    return open_


def client(registry: Registry) -> MlflowClient:
    return MlflowClient(registry.tracking_uri, registry.tracking_uri)


def fill(registry: Registry, batch: list[ModelEntry], run_key: str = "k", bucket: int = 0) -> list[Registration]:
    parent = registry.start_training("m3", run_key, {"origin": "test"})
    return registered(registry, parent, bucket, batch, {"smape": 13.5})


def registered(
    registry: Registry, parent: str, bucket: int, batch: list[ModelEntry], metrics: dict[str, float]
) -> list[Registration]:
    """One bucket registered."""
    ((_, made),) = registry.register_buckets(parent, [Batch(bucket, batch, metrics)])
    return made


def live(registry: Registry) -> list[tuple[str, str]]:
    """Name and fingerprint of every version, sorted; a double shows as a double."""
    found = client(registry).search_model_versions()
    return sorted((version.name, version.tags.get(FINGERPRINT_TAG, "")) for version in found)


def lost_files_come_back(registry: Registry, folder: Path) -> None:
    """Whatever keeps the files: missing ones are found, written again, and fetched with their record."""
    batch = [replace(item, name=item.name.replace("m3.", "lost."), record=f"of {item.name}") for item in entries(4)]
    batch = [replace(item, tags={"sha256": hashlib.sha256(item.onnx).hexdigest()}) for item in batch]
    fill(registry, batch, "lost")
    stored = registry.stored([item.name for item in batch])
    assert registry.incomplete(stored) == []
    for file in [*folder.rglob("lost.n[12]-*/model.onnx"), *folder.rglob("lost.n2-*/MLmodel")]:
        file.unlink()
    assert registry.incomplete(stored) == stored[1:3]
    with pytest.raises(RegistryError, match=r"lost\.n1' version 1: its files at .* are gone"):
        registry.fetch(stored[1])
    registry.put_back(list(zip(stored[1:3], batch[1:3], strict=True)))
    assert registry.incomplete(stored) == []
    for one, item in zip(stored, batch, strict=True):
        fetched = registry.fetch(one)
        assert (fetched.onnx, fetched.record) == (item.onnx, item.record)


LOAD = """
import sys, warnings, numpy, mlflow, onnxruntime
features = numpy.array([[1, 10], [2, 20]], numpy.float32)
loaded = mlflow.onnx.load_model("models:/m3.n3@champion")
session = onnxruntime.InferenceSession(loaded.SerializeToString(), providers=["CPUExecutionProvider"])
direct = session.run(["prediction", "lower", "upper"], {"features": features})
served = mlflow.pyfunc.load_model("models:/m3.n3@champion")
answer = served.predict({"features": features})
assert all((answer[name] == values).all() for name, values in zip(["prediction", "lower", "upper"], direct))
assert str(served.metadata.signature.inputs) == "['features': Tensor('float32', (-1, 2))]", served.metadata.signature
assert served.metadata.signature.outputs.input_names() == ["prediction", "lower", "upper"]
assert served.metadata.get_model_info().metadata == {"myriad.fingerprint": "a1-3"}
assert mlflow.pyfunc.get_model_dependencies("models:/m3.n3@champion").endswith("requirements.txt")
print([float(value) for values in direct for value in values.ravel()])
"""


def python(script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **environment}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out
