"""Registry: the same contract by SQL in bulk and by MLflow's public API, on real stores."""

import contextlib
import hashlib
import os
import pickle
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import sqlalchemy
from alembic.util.exc import CommandError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from onnx import TensorProto, helper, numpy_helper

import adapters.registry.sql_store as bulk
from adapters.registry import FINGERPRINT_TAG, Batch, DirectAccess, ModelEntry, Registration, Registry
from adapters.registry.mlflow_client import domain_errors
from adapters.registry.mlmodel import ModelDirectory
from domain.errors import RegistryError

ROOT = Path(__file__).parents[3]
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


@BOTH
def test_register_makes_one_version_a_fingerprint(opened: Open, mode: str) -> None:
    registry = opened(mode)
    assert registry.path == mode
    assert fill(registry, entries(3)) == [Registration(f"m3.n{number}", 1, True) for number in range(3)]
    assert fill(registry, entries(3)) == [Registration(f"m3.n{number}", 1, False) for number in range(3)]
    mixed = [replace(entry("m3.n1", "b2"), name="m3.n1"), *entries(1)]
    assert fill(registry, mixed, "k2") == [Registration("m3.n1", 2, True), Registration("m3.n0", 1, False)]
    assert registry.versions(["m3.n0", "m3.n1", "m3.none"]) == {"m3.n0": {"a1-0": 1}, "m3.n1": {"a1-1": 1, "b2": 2}}
    assert fill(registry, [], "k3") == []


@BOTH
def test_version_continues_after_versions_of_others(opened: Open, mode: str) -> None:
    registry = opened(mode)
    other = client(registry)
    other.create_registered_model("m3.n0", description="by hand")
    other.create_registered_model("m3.n1")
    for _ in range(2):
        other.create_model_version("m3.n1", "/somewhere/else")
    assert [made.version for made in fill(registry, entries(2))] == [1, 3]
    assert other.get_registered_model("m3.n0").description == "by hand"
    assert registry.versions(["m3.n1"]) == {"m3.n1": {"a1-1": 3}}


@BOTH
def test_deleted_version_is_neither_reused_nor_renumbered(opened: Open, mode: str) -> None:
    registry = opened(mode)
    fill(registry, entries(1))
    client(registry).delete_model_version("m3.n0", "1")
    assert registry.versions(["m3.n0"]) == {}
    assert fill(registry, entries(1)) == [Registration("m3.n0", 2, True)]


@BOTH
def test_retry_with_new_rows_keeps_the_files_of_the_version_before(opened: Open, mode: str) -> None:
    registry = opened(mode)
    fill(registry, [entry("m3.n0", "a", 2.0)])
    fill(registry, [entry("m3.n0", "b", 5.0)])
    sources = [client(registry).get_model_version("m3.n0", number).source for number in ("1", "2")]
    assert [(Path(source) / "model.onnx").read_bytes() for source in sources] == [graph([2.0, 1.0]), graph([5.0, 1.0])]


@BOTH
def test_names_and_tags_survive_as_given_and_long_values_are_cut(opened: Open, mode: str) -> None:
    registry = opened(mode)
    given = entry("oj.store-2.brand_5-00c0ffee")
    given = replace(given, tags={**given.tags, "long": "x" * 6000}, description="y" * 6000)
    fill(registry, [given])
    found = client(registry).get_model_version(given.name, "1")
    assert found.tags["note"] == "Größe ≤ 5 – ✓"
    assert found.tags["long"] == "x" * 4999 + "…"
    assert len(found.description) == 5000
    assert found.tags[FINGERPRINT_TAG] == "a1"


@BOTH
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([entry("m3.n0"), entry("m3.n0")], "two entries"),
        ([entry("m3/n0")], "not a model name"),
        ([entry("..")], "not a model name"),
        ([entry("m3.n0", "")], "fingerprint has 1 to 250"),
        ([replace(entry("m3.n0"), tags={"k" * 251: "v"})], "1 to 250 allowed"),
        ([replace(entry("m3.n0"), tags={FINGERPRINT_TAG: "v"})], "leave it out"),
        ([replace(entry("m3.n0"), tags={"a;b": "v"})], "a;b"),
        ([replace(entry("m3.n0"), onnx=b"\xff\xff not a graph")], "not an ONNX graph"),
    ],
)
def test_impossible_entries_are_refused_by_name(opened: Open, mode: str, batch: list[ModelEntry], message: str) -> None:
    registry = opened(mode)
    with pytest.raises(RegistryError, match=message):
        fill(registry, batch)
    assert live(registry) == []


@BOTH
def test_training_and_buckets_are_runs_that_resume(opened: Open, mode: str) -> None:
    registry = opened(mode)
    parent = registry.start_training("m3", "2026-01", {"rows": "12"})
    assert registry.start_training("m3", "2026-01", {}) == parent
    assert registry.start_training("m3", "2026-02", {}) != parent
    for _ in range(2):
        registered(registry, parent, 7, entries(1), {"smape": 13.5})
    registry.finish_training(parent, {"trained": 1.0})
    seen = client(registry)
    experiment = seen.get_experiment_by_name("m3")
    assert experiment is not None
    children = seen.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert [(run.data.tags["myriad.bucket"], run.info.status, run.data.metrics) for run in children] == [
        ("7", "FINISHED", {"smape": 13.5})
    ]
    assert len(seen.get_metric_history(children[0].info.run_id, "smape")) == 1
    assert seen.get_run(parent).info.status == "FINISHED"
    assert registry.start_training("m3", "2026-01", {}) == parent
    assert seen.get_run(parent).info.status == "RUNNING"
    registry.finish_training(parent, {}, failed=True)
    assert seen.get_run(parent).info.status == "FAILED"


@BOTH
def test_alias_is_set_moved_and_deleted_once(opened: Open, mode: str) -> None:
    registry = opened(mode)
    fill(registry, entries(3))
    fill(registry, [entry("m3.n0", "b")])
    assert registry.set_alias("champion", {"m3.n0": 1, "m3.n1": 1}) == 2
    assert registry.set_alias("champion", {"m3.n0": 2, "m3.n1": 1, "m3.n2": 1}) == 2
    assert registry.set_alias("champion", {"m3.n0": 2, "m3.n1": 1, "m3.n2": 1}) == 0
    assert client(registry).get_model_version_by_alias("m3.n0", "champion").version == 2
    with pytest.raises(RegistryError, match=r"m3\.n2"):
        registry.set_alias("champion", {"m3.n2": 9})
    with pytest.raises(RegistryError, match="reserved"):
        registry.set_alias("latest", {"m3.n2": 1})
    assert registry.delete_alias("champion", ["m3.n0", "m3.n2", "m3.unknown"]) == 2
    assert registry.delete_alias("champion", ["m3.n0"]) == 0
    assert client(registry).get_registered_model("m3.n1").aliases == {"champion": 1}


def test_bulk_alias_changes_nothing_if_one_version_is_missing(opened: Open) -> None:
    registry = opened("bulk")
    fill(registry, entries(2))
    with pytest.raises(RegistryError, match="none was set"):
        registry.set_alias("champion", {"m3.n0": 1, "m3.n1": 4})
    assert client(registry).get_registered_model("m3.n0").aliases == {}


@BOTH
def test_stored_versions_and_aliases_of_a_fleet_are_listed(opened: Open, mode: str) -> None:
    registry = opened(mode)
    fill(registry, entries(2))
    fill(registry, [entry("m3.n0", "b"), replace(entry("x.n9"), model_tags={"myriad.fleet": "x"})], "k2")
    other = client(registry)
    other.create_registered_model("m3.hand")
    other.create_model_version("m3.hand", "/elsewhere")
    other.create_model_version("m3.n0", "/elsewhere")
    fill(registry, [entry("m3.n1", "gone")], "k3")
    other.delete_model_version("m3.n1", "2")
    found = registry.stored(["m3.n1", "m3.n0", "m3.hand", "m3.none"])
    assert [(one.name, one.version, one.fingerprint) for one in found] == [
        ("m3.n0", 1, "a1-0"),
        ("m3.n0", 2, "b"),
        ("m3.n1", 1, "a1-1"),
    ]
    shown = other.get_model_version("m3.n0", "2")
    assert (found[1].source, found[1].run_id, found[1].made_ms) == (
        *(shown.source, shown.run_id),
        shown.creation_timestamp,
    )
    for name, version in (("m3.n0", "2"), ("m3.hand", "1"), ("x.n9", "1")):
        other.set_registered_model_alias(name, "champion", version)
    other.set_registered_model_alias("m3.n1", "other", "1")
    assert registry.aliases("champion", "m3", []) == {"m3.n0": 2}
    assert registry.aliases("champion", "m3", ["m3.hand", "m3.n1", "m3.none"]) == {"m3.n0": 2, "m3.hand": 1}


def test_bulk_gives_a_lost_version_its_number_again_where_that_is_free(opened: Open) -> None:
    registry = opened("bulk")
    fill(registry, [replace(entry("m3.n0", "a"), version=3)])
    assert fill(registry, [replace(entry("m3.n0", "b"), version=2)], "k2") == [Registration("m3.n0", 4, True)]
    assert client(registry).create_model_version("m3.n0", "/elsewhere").version == 5


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


@BOTH
def test_lost_files_are_found_and_put_back(opened: Open, mode: str, tmp_path: Path) -> None:
    lost_files_come_back(opened(mode), tmp_path)


def test_a_graph_that_is_not_what_its_tag_says_is_refused(opened: Open) -> None:
    registry = opened("bulk")
    fill(registry, [replace(entry("m3.n0"), tags={"sha256": "0" * 64})])
    with pytest.raises(RegistryError, match=r"m3\.n0' version 1: the graph at .* has SHA-256 [0-9a-f]{64}, its tag"):
        registry.fetch(registry.stored(["m3.n0"])[0])


def test_both_paths_leave_the_same_rows_and_answers(opened: Open, tmp_path: Path) -> None:
    answers = []
    for mode in ("bulk", "api"):
        registry = opened(mode, mode)
        client(registry).create_registered_model("m3.n2", {"owner": "somebody"}, "older")
        fill(registry, entries(4))
        fill(registry, [entry("m3.n1", "b"), *entries(1)], "k2")
        registry.set_alias("champion", {"m3.n0": 1, "m3.n1": 2, "m3.n2": 1})
        registry.set_alias("champion", {"m3.n1": 1})
        registry.delete_alias("champion", ["m3.n2"])
        answers.append((rows(tmp_path / f"{mode}.db"), client_answers(registry)))
    assert answers[0][0] == answers[1][0]
    assert answers[0][1] == answers[1][1]
    assert [len(table) for table in answers[0][0].values()] == [4, 4, 2, 5, 20]


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every registry row, without times, and with run ids and digests of files reduced to their kind."""
    found = {}
    with contextlib.closing(sqlite3.connect(path)) as base:
        for table in bulk._COLUMNS:
            names = [row[1] for row in base.execute(f"PRAGMA table_info({table})")]
            kept = [name for name in names if not name.endswith("_time")]
            query = f"SELECT {', '.join(kept)} FROM {table} ORDER BY {', '.join(kept)}"
            found[table] = [tuple(map(comparable, kept, row)) for row in base.execute(query)]
            untimed = [name for name in names if name.endswith("_time")]
            for name in untimed:
                assert not base.execute(f"SELECT 1 FROM {table} WHERE {name} IS NULL").fetchall()
    return found


def comparable(column: str, value: object) -> object:
    if column in ("source", "storage_location"):
        return Path(str(value)).name
    return len(str(value)) if column == "run_id" else value


def client_answers(registry: Registry) -> list[object]:
    """What any client asks a registry, as plain values."""
    seen = client(registry)
    models = [seen.get_registered_model(f"m3.n{number}") for number in range(4)]
    tagged = seen.search_registered_models("tags.`myriad.fleet` = 'm3'")
    ridges = seen.search_model_versions("tags.candidate = 'ridge' AND name = 'm3.n1'")
    newest = [model.latest_versions for model in models]
    alias = seen.get_model_version_by_alias("m3.n1", "champion")
    return [
        [(model.name, model.description, dict(model.tags), dict(model.aliases)) for model in models],
        sorted(model.name for model in tagged),
        sorted((version.version, sorted(version.tags.items())) for version in ridges),
        [
            [(version.version, version.status, version.current_stage, version.aliases) for version in of]
            for of in newest
        ],
        (alias.version, alias.description, alias.aliases, alias.run_link, alias.user_id),
    ]


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
def test_buckets_are_registered_in_order_and_no_version_points_at_nothing(opened: Open, mode: str) -> None:
    """The files of one bucket are written while the versions of the one before are made."""
    registry = opened(mode)
    parent = registry.start_training("m3", "k", {})
    batches = [
        Batch(bucket, [entry(f"m3.b{bucket}n{n}", f"{bucket}{n}") for n in range(3)], {"models": 3.0})
        for bucket in range(4)
    ]
    seen = []
    for batch, made in registry.register_buckets(parent, iter(batches)):
        seen.append(batch.bucket)
        assert [one.name for one in made] == [item.name for item in batch.entries]
        for version in client(registry).search_model_versions():
            assert (Path(version.source) / "MLmodel").stat().st_size > 0
            assert (Path(version.source) / "model.onnx").stat().st_size > 0
    assert seen == [0, 1, 2, 3]
    assert len(live(registry)) == 12
    again = list(registry.register_buckets(parent, batches))
    assert not any(one.created for _, made in again for one in made)
    children = client(registry).search_runs(["1"], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert sorted(run.data.tags["myriad.bucket"] for run in children) == ["0", "1", "2", "3"]
    assert {run.info.status for run in children} == {"FINISHED"}


def test_files_that_cannot_be_written_are_an_error_and_make_no_version(opened: Open, tmp_path: Path) -> None:
    registry = opened("bulk")
    parent = registry.start_training("m3", "k", {})
    (tmp_path / "mlflow").mkdir(exist_ok=True)
    (tmp_path / "mlflow" / "artifacts").write_text("no folder")
    with pytest.raises(RegistryError, match="cannot store 2 models"):
        registered(registry, parent, 0, entries(2), {})
    assert live(registry) == []


def test_models_of_a_bucket_share_the_files_of_their_environment(opened: Open, tmp_path: Path) -> None:
    registry = opened("bulk")
    fill(registry, entries(3))
    for name, links in (("requirements.txt", 3), ("python_env.yaml", 3), ("MLmodel", 1), ("model.onnx", 1)):
        paths = list((tmp_path / "mlflow").rglob(name))
        assert len(paths) == 3
        assert {path.stat().st_nlink for path in paths} == {links}
        assert all(path.stat().st_size for path in paths)


def test_without_links_every_file_is_written(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    fill(opened("bulk"), entries(2))
    paths = list((tmp_path / "mlflow").rglob("requirements.txt"))
    assert [path.stat().st_nlink for path in paths] == [1, 1]
    assert len({path.read_bytes() for path in paths}) == 1


@BOTH
def test_a_bucket_that_fails_leaves_those_before_it_and_is_made_up_for(opened: Open, mode: str) -> None:
    registry = opened(mode)
    parent = registry.start_training("m3", "k", {})
    good, bad = Batch(0, [entry("m3.a")], {}), Batch(1, [entry("m3.b"), entry("m3.b")], {})
    answers = registry.register_buckets(parent, [good, bad, Batch(2, [entry("m3.c")], {})])
    with pytest.raises(RegistryError, match="two entries in one bucket"):
        list(answers)
    mended = [good, Batch(1, [entry("m3.b")], {}), Batch(2, [entry("m3.c")], {})]
    assert len([one for _, made in registry.register_buckets(parent, mended) for one in made]) == 3
    assert [name for name, _ in live(registry)] == ["m3.a", "m3.b", "m3.c"]
    # Whoever stops taking results leaves the rest undone, and nothing that hangs.
    more = registry.register_buckets(parent, [Batch(3, [entry("m3.d")], {}), Batch(4, [entry("m3.e")], {})])
    next(more)
    more.close()  # type: ignore[attr-defined]
    assert "m3.d" in [name for name, _ in live(registry)]


@BOTH
def test_runs_of_others_below_a_training_are_left_alone(opened: Open, mode: str) -> None:
    registry = opened(mode)
    parent, seen = registry.start_training("m3", "k", {}), client(registry)
    experiment = seen.get_run(parent).info.experiment_id
    tags = {"mlflow.parentRunId": parent}
    foreign = [
        seen.create_run(experiment, tags={**tags, **more}).info.run_id for more in ({}, {"myriad.bucket": "mine"})
    ]
    registered(registry, parent, -1, entries(1), {"models": 1.0})
    (version,) = seen.search_model_versions()
    assert version.run_id not in foreign
    assert {seen.get_run(one).info.status for one in foreign} == {"RUNNING"}


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


def test_api_writer_removes_a_double_that_a_killed_one_left(opened: Open) -> None:
    registry = opened("api")
    fill(registry, entries(1))
    first = client(registry).get_model_version("m3.n0", "1")
    client(registry).create_model_version("m3.n0", first.source, first.run_id, tags=first.tags)
    assert fill(registry, entries(1)) == [Registration("m3.n0", 1, False)]
    assert live(registry) == [("m3.n0", "a1-0")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    """A real tracking server that keeps the artifacts itself."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store, artifacts = f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", artifacts]
    with (folder / "log").open("wb") as log:
        env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=env, start_new_session=True)
        try:
            await_health(f"http://127.0.0.1:{port}/health", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def await_health(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    pytest.fail(log.read_text())


def test_server_is_used_through_the_public_api(server: str) -> None:
    registry = Registry(server)
    assert registry.path == "api"
    made = fill(registry, entries(5))
    assert fill(registry, entries(5)) == [replace(item, created=False) for item in made]
    assert registry.set_alias("champion", {item.name: item.version for item in made}) == 5
    source = client(registry).get_model_version("m3.n3", "1").source
    assert source.startswith("mlflow-artifacts:/")
    out = finished(python(LOAD, MLFLOW_TRACKING_URI=server))
    assert out.splitlines()[-1] == "[13.0, 26.0, 12.0, 25.0, 14.0, 27.0]"
    with pytest.raises(RegistryError, match="in bulk: the tracking URI is neither"):
        Registry(server, mode="bulk").versions(["m3.n0"])


def test_lost_files_of_a_server_are_found_and_put_back(server: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    lost_files_come_back(Registry(server), tmp_path_factory.getbasetemp() / "server0")


def test_behind_a_server_models_are_written_in_bulk_and_read_through_it(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "server0"
    through = Registry(server)
    direct = Registry(
        server, direct_access=DirectAccess(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
    )
    assert (through.path, direct.path) == ("api", "bulk")
    # What was registered in one way is known in the other.
    made = fill(through, entries(5))
    assert fill(direct, entries(5)) == [replace(item, created=False) for item in made]
    newer = fill(direct, entries(5, "b2"), "behind")
    assert all(item.created for item in newer)
    assert fill(through, entries(5, "b2"), "behind") == [replace(item, created=False) for item in newer]
    assert direct.set_alias("champion", {item.name: item.version for item in newer}) == 5
    names = [item.name for item in newer]
    assert direct.stored(names) == through.stored(names)
    source = client(through).get_model_version("m3.n3", str(newer[3].version)).source
    assert source.startswith("mlflow-artifacts:/")
    out = finished(python(LOAD.replace("a1-3", "b2-3"), MLFLOW_TRACKING_URI=server))
    assert out.splitlines()[-1] == "[13.0, 26.0, 12.0, 25.0, 14.0, 27.0]"


def test_a_place_behind_a_server_that_cannot_be_written_is_a_registry_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    direct_access = DirectAccess("", str(tmp_path / "file"))
    with pytest.raises(RegistryError, match="cannot store 1 models under"):
        direct_access.write("mlflow-artifacts:/1/x", [ModelDirectory("m3.n0", {"MLmodel": b""})])
    assert DirectAccess().place("mlflow-artifacts:/1/x") == "mlflow-artifacts:/1/x"
    assert not DirectAccess().write("mlflow-artifacts:/1/x", [])


def test_unknown_columns_turn_the_bulk_path_off(opened: Open, tmp_path: Path) -> None:
    registry = opened()
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as base:
        base.execute("ALTER TABLE model_versions ADD COLUMN novelty TEXT")
    assert registry.path == "api"
    with pytest.raises(RegistryError, match="novelty"):
        opened("bulk").versions([])


@pytest.mark.parametrize(
    ("uri", "version", "workspaces", "reason"),
    [
        ("postgresql+psycopg://u:p@h/db", "3.17.2", False, None),
        ("sqlite:///mlflow.db", "3.18.0", False, "3.18.0 was not checked"),
        ("sqlite:///mlflow.db", "3.16.9", False, "3.16.9 was not checked"),
        ("sqlite:///mlflow.db", "3.17.0", True, "workspaces"),
        ("https://mlflow.example.org", "3.17.0", False, "neither an SQLite nor"),
    ],
)
def test_bulk_is_only_used_where_it_was_checked(uri: str, version: str, workspaces: bool, reason: str | None) -> None:
    found = bulk.obstacle(uri, version, workspaces)
    assert found is None if reason is None else found is not None and reason in found


def test_making_a_registry_does_nothing_and_shows_no_password() -> None:
    registry = Registry("postgresql://user:secret@nowhere.invalid/mlflow", "s3://models")
    assert "secret" not in repr(registry)
    assert pickle.loads(pickle.dumps(registry)).tracking_uri == registry.tracking_uri


@pytest.mark.parametrize("uri", ["sqlite:////proc/none/mlflow.db", "nosuchdb+driver://user:secret@host/mlflow"])
def test_unreachable_store_is_a_registry_error(uri: str) -> None:
    with pytest.raises(RegistryError, match="cannot open") as caught:
        Registry(uri).versions([])
    assert "secret" not in str(caught.value)


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


def test_a_failed_migration_is_a_registry_error() -> None:
    with pytest.raises(RegistryError, match="cannot open it: 0 found"), domain_errors("cannot open it"):
        raise CommandError("0 found")


def test_adapter_reports_nothing_and_leaves_the_global_uri(opened: Open, tmp_path: Path) -> None:
    # Without the variables by which MLflow takes itself to be under test, and with its reports switched on.
    known = {"CI", "PYTEST_CURRENT_TEST", "GITHUB_ACTIONS", "MLFLOW_TRACKING_URI"}
    kept = {key: value for key, value in os.environ.items() if key not in known}
    kept |= {"MLFLOW_DISABLE_TELEMETRY": "false", "DO_NOT_TRACK": "false"}
    command = [sys.executable, "-c", QUIET, opened().tracking_uri, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_graph_of_the_tests_is_valid() -> None:
    onnx.checker.check_model(onnx.load_from_string(graph([1.0, 2.0])))


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


def test_a_database_that_is_away_for_a_minute_is_waited_for(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = opened("bulk")
    made = fill(registry, entries(2))
    store, failures = registry._connection.store, iter(range(25))
    plain = store._sessions

    def away(**options: object) -> object:
        for _ in failures:
            cause = sqlalchemy.exc.OperationalError("SELECT", {}, Exception("connection refused"))
            raise MlflowException("away") from cause
        return plain(**options)

    monkeypatch.setattr(store, "_sessions", away)
    monkeypatch.setattr(bulk.time, "sleep", lambda seconds: None)
    assert fill(registry, entries(2)) == [replace(item, created=False) for item in made]
    failures = iter(range(25))
    monkeypatch.setattr(bulk, "_PATIENCE_S", 0.0)
    with pytest.raises(RegistryError, match=r"gave up after 10 attempts: .*connection refused"):
        registry.versions(["m3.n0"])
