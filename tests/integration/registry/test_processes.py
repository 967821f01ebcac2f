"""Registry in several processes: concurrent writers, killed writers, and clients with nothing but MLflow."""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
from registry_store import BOTH, LOAD, ROOT, Open, client, entries, fill, finished, live, python

from adapters.registry import ModelEntry, Registry


@BOTH
def test_any_mlflow_client_loads_the_champion(opened: Open, mode: str) -> None:
    registry = opened(mode)
    made = fill(registry, entries(5))
    registry.set_alias("champion", {item.name: item.version for item in made})
    out = finished(python(LOAD, MLFLOW_TRACKING_URI=registry.tracking_uri))
    assert out.splitlines()[-1] == "[13.0, 26.0, 12.0, 25.0, 14.0, 27.0]"


# A program for another process: it gets registry and buckets pickled, waits at the gate, registers, or dies on the way.
WRITER = """
import os, pathlib, pickle, signal, sys, time
sys.path.insert(0, ".")
from adapters.registry import Batch
work, fault = pathlib.Path(sys.argv[1]), sys.argv[2]
registry, buckets = pickle.loads(work.read_bytes())
registry.path
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if fault == "before rows":
    import adapters.registry.sql_store as module
    module.SqlStore.register = die
if fault == "before commit":
    import adapters.registry.sql_store as module
    whole = module.SqlStore._insert_versions
    module.SqlStore._insert_versions = lambda *a: (whole(*a), die())
if fault == "third version":
    import mlflow
    whole, calls = mlflow.MlflowClient.create_model_version, []
    def create(*a, **k):
        calls.append(1)
        return die() if len(calls) == 3 else whole(*a, **k)
    mlflow.MlflowClient.create_model_version = create
if fault == "after version":
    import mlflow
    whole = mlflow.MlflowClient.create_model_version
    mlflow.MlflowClient.create_model_version = lambda *a, **k: (whole(*a, **k), die())
work.with_suffix(".ready").touch()
while fault == "none" and not (work.parent / "gate").exists():
    time.sleep(0.005)
parent = registry.start_training("m3", "k", {})
for bucket, batch in enumerate(buckets):
    for _, made in registry.register_buckets(parent, [Batch(bucket, batch, {"smape": 13.5})]):
        for one in made:
            print(one.name, one.version, one.created)
"""


def writer(
    folder: Path, registry: Registry, buckets: list[list[ModelEntry]], who: str, fault: str
) -> "subprocess.Popen[str]":
    work = folder / f"{who}.pickle"
    work.write_bytes(pickle.dumps((registry, buckets)))
    return python(WRITER, str(work), fault)


@BOTH
def test_two_writers_of_one_bucket_make_single_versions(opened: Open, mode: str, tmp_path: Path) -> None:
    registry = opened(mode)
    count = 300 if mode == "bulk" else 15
    shared, own = entries(count), {who: entries(count, who) for who in ("left", "right")}
    both = {who: writer(tmp_path, registry, [shared, own[who]], who, "none") for who in own}
    deadline = time.monotonic() + 60
    while not all((tmp_path / f"{who}.ready").exists() for who in both):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (tmp_path / "gate").touch()
    answers = {who: finished(process).splitlines() for who, process in both.items()}

    expected = [*shared, *own["left"], *own["right"]]
    assert live(registry) == sorted((item.name, item.fingerprint) for item in expected)
    told = {who: [line.rsplit(" ", 1) for line in lines[:count]] for who, lines in answers.items()}
    assert [where for where, _ in told["left"]] == [where for where, _ in told["right"]]
    for (_, left), (_, right) in zip(told["left"], told["right"], strict=True):
        assert sorted([left, right]) == ["False", "True"]
    for version in client(registry).search_model_versions():
        assert (Path(version.source) / "MLmodel").stat().st_size > 0


@pytest.mark.parametrize(
    ("mode", "fault"),
    [("bulk", "before rows"), ("bulk", "before commit"), ("api", "third version"), ("api", "after version")],
)
def test_killed_writer_is_completed_by_the_next(opened: Open, mode: str, fault: str, tmp_path: Path) -> None:
    registry, batch = opened(mode), entries(6)
    process = writer(tmp_path, registry, [batch], "victim", fault)
    process.communicate(timeout=120)
    assert process.returncode == -9
    assert len(live(registry)) == {"third version": 2, "after version": 1}.get(fault, 0)
    torn = next((tmp_path / "mlflow").rglob("m3.n5-*"))
    (torn / "MLmodel").write_bytes(b"flav")
    (torn / "model.onnx").unlink()

    made = fill(registry, batch)
    assert [item.version for item in made] == [1] * 6
    assert live(registry) == sorted((item.name, item.fingerprint) for item in batch)
    assert (torn / "model.onnx").read_bytes() == batch[5].onnx
    assert (torn / "MLmodel").read_bytes().startswith(b"artifact_path")
    parents = client(registry).search_runs(["1"], "tags.`myriad.run_key` = 'k'")
    assert len(parents) == 1


QUIET = """
import os, sys
sys.path.insert(0, ".")
import adapters.registry
assert "mlflow" not in sys.modules, "importing the adapter imports MLflow"
registry = adapters.registry.Registry(sys.argv[1], sys.argv[2])
import socket
asked = []
socket.getaddrinfo = lambda *address, **_: asked.append(address) or []
socket.socket.connect = lambda self, address: asked.append(address)
registry.start_training("m3", "k", {})
import mlflow, mlflow.telemetry, mlflow.telemetry.utils
assert mlflow.telemetry.utils.is_telemetry_disabled()
assert mlflow.telemetry.get_telemetry_client() is None
assert not asked, asked
assert mlflow.get_tracking_uri() != sys.argv[1]
"""


def test_first_runs_at_once_make_one_store(tmp_path: Path) -> None:
    script = "import sys; from adapters.registry import Registry; print(Registry(sys.argv[1]).path)"
    processes = [python(script, f"sqlite:///{tmp_path}/mlflow.db") for _ in range(3)]
    assert [finished(process).strip() for process in processes] == ["bulk"] * 3


def test_adapter_reports_nothing_and_leaves_the_global_uri(opened: Open, tmp_path: Path) -> None:
    # Without the variables by which MLflow takes itself to be under test, and with its reports switched on.
    known = {"CI", "PYTEST_CURRENT_TEST", "GITHUB_ACTIONS", "MLFLOW_TRACKING_URI"}
    kept = {key: value for key, value in os.environ.items() if key not in known}
    kept |= {"MLFLOW_DISABLE_TELEMETRY": "false", "DO_NOT_TRACK": "false"}
    command = [sys.executable, "-c", QUIET, opened().tracking_uri, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


# A program that is killed between two steps of MLflow making the tables of a new database.
TORN = """
import os, signal, sys
sys.path.insert(0, ".")
import mlflow.store.db.utils as utils
utils._upgrade_db = lambda engine: os.kill(os.getpid(), signal.SIGKILL)
from adapters.registry import Registry
Registry(sys.argv[1]).path
"""


def test_a_database_that_was_being_made_by_a_killed_process_is_made_anew(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    process = python(TORN, uri)
    process.communicate(timeout=120)
    assert process.returncode == -9
    assert any(tmp_path.glob("mlflow.db.new*")), "it was not killed while it made the database"
    assert Registry(uri, str(tmp_path / "artifacts")).versions(["m3.n1"]) == {}
    assert {path.name for path in tmp_path.iterdir()} <= {"mlflow.db", "mlflow.db.lock"}
