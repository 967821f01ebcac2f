"""Registry sync: whatever MLflow lost is made again from the lake, and the lake follows new numbers."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from shop import land_more_weeks, shop, train_all

from adapters.registry import Registry
from domain.data.tables import CHAMPIONS, REGISTRATIONS
from domain.errors import RegistryError
from tasks.pin import pin_segment
from tasks.promote import current_release, promote_challengers, restore_release, sync_aliases
from tasks.sync_registry import sync_registry

MODEL = "shop.1.amber"


@pytest.fixture
def second(trained):
    """The shop with a second version of the models of stores 1 to 3, in force as release 2."""
    land_more_weeks(trained.folder)
    run = trained.run("run-2", shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0}))
    train_all(run, trained.registry)
    promote_challengers(run)
    sync_aliases(run, trained.registry)
    return run


def client(registry):
    return MlflowClient(registry.tracking_uri, registry.tracking_uri)


def differences(summary):
    return {one.kind: one.count for one in summary.differences}


def state(registry):
    """Name, number, fingerprint and aliases of every version."""
    found = client(registry).search_model_versions(max_results=1000)
    models = {name: client(registry).get_registered_model(name).aliases for name in {one.name for one in found}}
    return sorted(
        (one.name, int(one.version), one.tags["myriad.fingerprint"], models[one.name] == {"champion": one.version})
        for one in found
    )


def rows(run, spec, release=None):
    found = run.table(spec).read().to_pylist()
    return sorted(
        (row["segment"], row["model_version"], row["fingerprint"])
        for row in found
        if release is None or row["release"] == release
    )


def empty(trained, tmp_path, mode="auto"):
    return Registry(f"sqlite:///{tmp_path}/empty-{mode}.db", str(trained.folder / "artifacts-new"), mode)


def assert_in_order(run, registry):
    """A second look finds nothing, and every champion loads from where its alias points."""
    assert differences(sync_registry(run, registry, dry_run=True)) == {}
    champions = run.table(CHAMPIONS).read(where=lambda p: p["release"] == str(current_release(run))).to_pylist()
    for row in champions:
        version = client(registry).get_model_version_by_alias(row["model_name"], "champion")
        assert (int(version.version), version.tags["sha256"]) == (row["model_version"], row["sha256"])
        assert (Path(version.source) / "model.onnx").read_bytes() == row["onnx"]


def test_nothing_differs_after_a_promotion(second, trained):
    before = state(trained.registry)
    summary = sync_registry(second, trained.registry)
    assert (summary.differences, summary.models, summary.release) == ((), 7 + 3 + 6 + 3, 2)
    assert state(trained.registry) == before
    assert current_release(second) == 2


def test_a_wiped_database_is_filled_again_under_the_same_numbers(second, trained, tmp_path):
    before, registry = state(trained.registry), empty(trained, tmp_path)
    assert differences(sync_registry(second, registry, dry_run=True)) == {
        "missing_versions": 19,
        "wrong_aliases": 10,
    }
    assert client(registry).search_registered_models() == []
    summary = sync_registry(second, registry)
    assert differences(summary) == {"missing_versions": 19, "wrong_aliases": 10}
    assert state(registry) == before
    assert summary.release == current_release(second) == 2
    tags = [client(one).get_model_version(MODEL, "2").tags for one in (registry, trained.registry)]
    assert tags[0] == tags[1]
    assert client(registry).get_registered_model(MODEL).tags["segment.brand"] == "amber"
    assert_in_order(second, registry)


def test_where_mlflow_numbers_itself_the_lake_follows_by_a_new_release(second, trained, tmp_path):
    """Its API counts from 1: without release 1, what was version 2 becomes version 1."""
    second.table(CHAMPIONS).replace([], lambda file: file.partition["release"] == "1")
    registry = empty(trained, tmp_path, "api")
    old = rows(second, CHAMPIONS, 2)
    summary = sync_registry(second, registry)
    changed = sum(number == 2 for _, number, _ in old)
    assert changed >= 6
    assert differences(summary)["changed_numbers"] == changed
    assert summary.release == current_release(second) == 3
    assert rows(second, CHAMPIONS, 2) == old
    assert {number for _, number, _ in rows(second, CHAMPIONS, 3)} == {1}
    assert {number for _, number, _ in rows(second, REGISTRATIONS)} == {1}
    assert_in_order(second, registry)
    assert promote_challengers(second).release == 3


def test_deleted_versions_models_and_aliases_come_back(second, trained):
    registry, mlflow = trained.registry, client(trained.registry)
    mlflow.delete_registered_model(MODEL)
    mlflow.delete_model_version("shop.2.citra", "2")
    mlflow.delete_registered_model_alias("shop.3.amber", "champion")
    mlflow.set_registered_model_alias("shop.3.citra", "champion", "1")
    summary = sync_registry(second, registry)
    assert differences(summary) == {"missing_versions": 3, "changed_numbers": 1, "wrong_aliases": 4}
    named = {one.kind: one.names for one in summary.differences}
    assert named["missing_versions"] == (f"{MODEL} 1", f"{MODEL} 2", "shop.2.citra 2")
    assert named["changed_numbers"] == ("shop.2.citra 2 -> 3",)
    assert summary.release == 3
    assert_in_order(second, registry)


def test_lost_files_are_put_back(second, trained):
    registry = trained.registry
    folders = sorted((trained.folder / "artifacts").rglob(f"{MODEL}-*"))
    assert len(folders) == 2
    shutil.rmtree(folders[0])
    (folders[1] / "model.onnx").unlink()
    summary = sync_registry(second, registry)
    assert differences(summary) == {"missing_files": 2}
    assert (folders[0] / "MLmodel").stat().st_size > 0
    assert_in_order(second, registry)


def test_stray_aliases_go_and_those_of_other_fleets_stay(second, trained):
    registry, mlflow = trained.registry, client(trained.registry)
    mlflow.create_registered_model("shop.gone", tags={"myriad.fleet": "shop"})
    mlflow.create_registered_model("mall.1", tags={"myriad.fleet": "mall"})
    for name in ("shop.gone", "mall.1"):
        mlflow.create_model_version(name, "/nowhere")
        mlflow.set_registered_model_alias(name, "champion", "1")
    assert differences(sync_registry(second, registry)) == {"stray_aliases": 1}
    assert mlflow.get_registered_model("shop.gone").aliases == {}
    assert mlflow.get_registered_model("mall.1").aliases == {"champion": 1}


def test_an_empty_lake_takes_no_aliases_away(trained, tmp_path):
    run = trained.run()
    run.table(CHAMPIONS).replace([], lambda file: True)
    assert differences(sync_registry(run, trained.registry)) == {}
    assert client(trained.registry).get_registered_model(MODEL).aliases == {"champion": 1}


class Killed(BaseException):
    """What no handler catches, like a kill."""


@pytest.mark.parametrize(
    ("owner", "step", "times"),
    [
        ("adapters.registry.registry.Registry", "_complete", 1),
        ("adapters.lake.table.Table", "replace", 0),
        ("adapters.lake.table.Table", "replace", 1),
        ("adapters.registry.Registry", "set_alias", 0),
    ],
)
def test_a_killed_sync_is_completed_by_the_next(second, trained, tmp_path, monkeypatch, owner, step, times):
    """Deleted versions, whose numbers cannot be had again: every step has something to do."""
    registry, mlflow = trained.registry, client(trained.registry)
    for name in (MODEL, "shop.2.citra", "shop.3.amber"):
        mlflow.delete_model_version(name, "2")
    with monkeypatch.context() as patch:
        module, _, name = owner.rpartition(".")
        kind = getattr(__import__(module, fromlist=[name]), name)
        whole, calls = getattr(kind, step), []

        def dying(*arguments, **options):
            calls.append(1)
            if len(calls) > times:
                raise Killed
            return whole(*arguments, **options)

        patch.setattr(kind, step, dying)
        with pytest.raises(Killed):
            sync_registry(second, registry)
    assert differences(sync_registry(second, registry)) != {}
    assert {number for s, number, _ in rows(second, REGISTRATIONS) if s == "store=1/brand=amber"} == {3}
    assert len(client(registry).search_model_versions(f"name='{MODEL}'")) == 2
    assert_in_order(second, registry)


def test_a_promotion_that_ended_before_its_aliases_is_completed(trained):
    land_more_weeks(trained.folder)
    run = trained.run("run-2", shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0}))
    train_all(run, trained.registry)
    promote_challengers(run)  # and no sync of the aliases
    assert client(trained.registry).get_registered_model(MODEL).aliases == {"champion": 1}
    assert differences(sync_registry(run, trained.registry)) == {"wrong_aliases": 9}
    assert client(trained.registry).get_registered_model(MODEL).aliases == {"champion": 2}


def test_aliases_never_point_at_another_model_that_has_the_number(second, trained, tmp_path):
    """A registry that was lost and got other models under the same numbers since."""
    restore_release(second, 1)
    registry = empty(trained, tmp_path)
    sync_registry(second, registry)
    with closing(sqlite3.connect(registry.tracking_uri.removeprefix("sqlite:///"))) as base:
        base.execute("UPDATE model_version_tags SET value = 'another' WHERE key = 'myriad.fingerprint' AND version = 1")
        base.commit()
    with pytest.raises(RegistryError, match=r"registry has lost shop\.1\.amber 1, .*`myriad registry sync shop`"):
        sync_aliases(second, registry)
    sync_registry(second, registry)
    assert_in_order(second, registry)


def test_a_rollback_takes_the_numbers_that_the_registry_has_by_now(second, trained):
    client(trained.registry).delete_model_version(MODEL, "1")
    sync_registry(second, trained.registry)
    restore_release(second, 1, trained.registry)
    sync_aliases(second, trained.registry)
    assert {s: n for s, n, _ in rows(second, CHAMPIONS, 3)}["store=1/brand=amber"] == 3
    assert_in_order(second, trained.registry)


def test_a_rollback_does_not_need_the_registry(second, trained, tmp_path):
    broken = Registry("sqlite:////proc/none/mlflow.db")
    assert restore_release(second, 1, broken).release == 3
    assert rows(second, CHAMPIONS, 1) == rows(second, CHAMPIONS, 3)


def test_a_pin_follows_its_model_to_another_number(second, trained):
    pin_segment(second, trained.registry, "store=1/brand=amber", 1)
    client(trained.registry).delete_model_version(MODEL, "1")
    sync_registry(second, trained.registry)
    table = second.table(CHAMPIONS).read(where=lambda p: p["release"] == "4").to_pylist()
    (pinned,) = [row for row in table if row["kind"] == "pin"]
    assert (pinned["model_version"], pinned["source"]) == (3, "version 3")
