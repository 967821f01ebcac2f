"""Graphs that somebody changed in the lake or in MLflow: never run, named, and the other segments are not affected."""

import shutil

import pytest
from changed import change_champions
from shop import land_more_weeks, shop, train_all
from tampering import changed, tamper_artifact, tamper_table

from adapters.health.models import models
from adapters.registry import Registry
from adapters.settings import Settings
from domain.data.tables import CHALLENGERS, CHAMPIONS, PREDICTIONS, REGISTRATIONS, VERDICTS
from domain.errors import RegistryError
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.pin import pin_segment
from tasks.promote import current_release, promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.sync_registry import sync_registry
from tasks.train import train_challengers

AMBER, CITRA, LEVEL = "store=1/brand=amber", "store=1/brand=citra", "brand=amber"


def predictions(run):
    return run.table(PREDICTIONS).read().to_pandas().sort_values(["segment", "time"], ignore_index=True)


def test_a_changed_champion_is_never_run_and_its_segment_is_named(trained, caplog):
    run = trained.run()
    score_fleet(run)
    before = predictions(run)
    shutil.rmtree(trained.folder / "lake" / "shop" / "predictions")
    tamper_table(run, CHAMPIONS, AMBER)
    run = trained.run("run-3")
    score_fleet(run)
    after = predictions(run)
    hit = after.segment == AMBER
    assert set(after[hit].fallback_level) == {"brand"}
    assert after[hit].reason.str.contains("its graph is not the one that was trained: SHA-256").all()
    assert f"fleet shop, {AMBER}: its champion is not run: its graph is not the one" in caplog.text
    columns = ["segment", "time", "prediction", "lower", "upper", "fallback_level", "reason", "status"]
    assert after[~hit][columns].equals(before[before.segment != AMBER][columns])


def test_without_a_level_that_is_intact_the_last_value_stands_in(trained):
    run = trained.run()
    levels = run.table(CHAMPIONS).read(["segment", "level"]).to_pylist()
    tamper_table(run, CHAMPIONS, AMBER, *(row["segment"] for row in levels if row["level"] != "segment"))
    score_fleet(run)
    rows = predictions(run)
    rows = rows[rows.segment == AMBER]
    assert set(rows.fallback_level) == {"naive"}
    assert (rows.reason.str.count("its graph is not the one that was trained") == 3).all()


def test_a_missing_digest_is_no_permission(trained):
    run = trained.run()
    change_champions(run, [AMBER], sha256=None)
    score_fleet(run)
    rows = predictions(run)
    assert rows[rows.segment == AMBER].reason.str.contains("recorded none").all()


def test_a_changed_challenger_is_neither_registered_nor_promoted(trained):
    land_more_weeks(trained.folder)
    run = trained.run(
        "run-2", shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0, "max_failed_share": 1})
    )
    train_all(run, trained.registry)
    tamper_table(run, CHALLENGERS, AMBER)
    assert promote_challengers(run).release == 2
    champions = run.table(CHAMPIONS).read(where=lambda partition: partition["release"] == "2").to_pylist()
    (kept,) = [row for row in champions if row["segment"] == AMBER]
    assert kept["model_version"] == 1
    verdicts = run.table(VERDICTS).read(where=lambda partition: partition["run_id"] == "run-2").to_pylist()
    (graph,) = [row for row in verdicts if row["gate"] == "graph"]
    assert (graph["segment"], graph["passed"], graph["decisive"]) == (AMBER, False, True)


def test_a_changed_champion_does_not_stop_the_promotion_of_its_bucket(trained):
    """Live rows call for a comparison on which the champion would be run."""
    land_more_weeks(trained.folder, weeks=8)
    gates = {"baseline_tolerance": 10.0, "champion_tolerance": 10.0, "min_live_rows": 1}
    run = trained.run("run-2", shop(gates=gates))
    train_all(run, trained.registry)
    tamper_table(run, CHAMPIONS, AMBER)
    promote_challengers(run)
    champions = run.table(CHAMPIONS).read(where=lambda partition: partition["release"] == "2").to_pylist()
    (row,) = [row for row in champions if row["segment"] == AMBER]
    assert row["model_version"] == 2


def test_a_pin_takes_the_registry_s_copy_where_the_lake_s_is_changed(trained):
    run = trained.run()
    graph = {row["segment"]: row["onnx"] for row in run.table(CHAMPIONS).read().to_pylist()}[AMBER]
    tamper_table(run, CHAMPIONS, AMBER)
    tamper_table(run, CHALLENGERS, AMBER)
    pin_segment(run, trained.registry, AMBER, 1)
    champions = run.table(CHAMPIONS).read(where=lambda partition: partition["release"] == "2").to_pylist()
    assert {row["segment"]: row["onnx"] for row in champions}[AMBER] == graph


def test_a_pin_refuses_a_version_that_is_changed_everywhere(trained):
    run = trained.run()
    tamper_table(run, CHAMPIONS, AMBER)
    tamper_table(run, CHALLENGERS, AMBER)
    tamper_artifact(trained.folder / "artifacts", "shop.1.amber")
    with pytest.raises(RegistryError, match=r"shop\.1\.amber.* has SHA-256 .*, its tag says"):
        pin_segment(run, trained.registry, AMBER, 1)
    assert current_release(run) == 1


def stored_graphs(run):
    """Graph by table, release, segment."""
    return {
        (spec.name, row.get("release"), row["segment"]): row["onnx"]
        for spec in (CHAMPIONS, CHALLENGERS)
        for row in run.table(spec).read().to_pylist()
    }


def named(summary):
    return {difference.kind: difference.names for difference in summary.differences}


def test_sync_restores_a_changed_champion_from_the_lake_under_its_release(trained):
    run = trained.run()
    before = stored_graphs(run)
    tamper_table(run, CHAMPIONS, AMBER, LEVEL)
    expected = {"changed_graphs": ("shop.1.amber of store=1/brand=amber", "shop.fallback.brand-amber of brand=amber")}
    assert named(sync_registry(run, trained.registry, dry_run=True)) == expected
    assert stored_graphs(run) != before
    assert named(sync_registry(run, trained.registry)) == expected
    assert stored_graphs(run) == before
    assert current_release(run) == 1
    assert named(sync_registry(run, trained.registry)) == {}


def test_sync_restores_a_graph_that_is_changed_in_the_whole_lake_from_the_registry(trained):
    run = trained.run()
    before = stored_graphs(run)
    tamper_table(run, CHAMPIONS, AMBER)
    tamper_table(run, CHALLENGERS, AMBER, CITRA)
    names = ("shop.1.amber of store=1/brand=amber", "shop.1.citra of store=1/brand=citra")
    assert named(sync_registry(run, trained.registry)) == {"changed_graphs": names}
    assert stored_graphs(run) == before


def test_sync_restores_a_changed_artifact_from_the_lake(trained):
    run = trained.run()
    paths = tamper_artifact(trained.folder / "artifacts", "shop.1.amber")
    graph = stored_graphs(run)["champions", 1, AMBER]
    assert named(sync_registry(run, trained.registry, dry_run=True)) == {"changed_files": ("shop.1.amber 1",)}
    assert [path.read_bytes() for path in paths] == [changed(graph)]
    assert named(sync_registry(run, trained.registry)) == {"changed_files": ("shop.1.amber 1",)}
    assert [path.read_bytes() for path in paths] == [graph]
    assert named(sync_registry(run, trained.registry)) == {}


def test_a_graph_that_is_changed_everywhere_is_named_and_nothing_is_made_of_it(trained, tmp_path):
    run = trained.run()
    tamper_table(run, CHAMPIONS, AMBER)
    tamper_table(run, CHALLENGERS, AMBER)
    (path,) = tamper_artifact(trained.folder / "artifacts", "shop.1.amber")
    before, artifact = stored_graphs(run), path.read_bytes()
    expected = {"lost_graphs": ("shop.1.amber of store=1/brand=amber",), "changed_files": ("shop.1.amber 1",)}
    assert named(sync_registry(run, trained.registry)) == expected
    assert (stored_graphs(run), path.read_bytes()) == (before, artifact)
    empty = Registry(f"sqlite:///{tmp_path}/empty.db", str(tmp_path / "artifacts-new"))
    sync_registry(run, empty)
    assert "shop.1.amber" not in empty.versions(["shop.1.amber", "shop.1.citra"])


def test_a_changed_challenger_is_not_registered(trained):
    land_more_weeks(trained.folder)
    run = trained.run("run-2")
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    train_challengers(run)
    tamper_table(run, CHALLENGERS, AMBER)
    register_challengers(run, trained.registry)
    numbers = {row["segment"]: row["model_version"] for row in run.table(REGISTRATIONS).read().to_pylist()}
    assert AMBER not in numbers
    assert numbers[CITRA] == 2


@pytest.fixture
def doctor(trained):
    """Checks of the models, by name: verdict, found, way out."""
    settings = Settings(
        home=trained.folder,
        lake="lake",
        tracking_uri=trained.registry.tracking_uri,
        artifact_root=trained.registry.artifact_root,
    )
    return lambda: {check.name: (check.verdict, check.found, check.way_out) for check in models(settings)}


def test_the_doctor_is_content_with_untouched_models(doctor):
    assert doctor() == {
        "shop in the lake": ("ok", "10 graphs as trained", ""),
        "shop in MLflow": ("ok", "10 graphs as trained", ""),
    }


def test_the_doctor_names_changed_models_on_either_side(trained, doctor):
    run = trained.run()
    tamper_table(run, CHAMPIONS, AMBER)
    tamper_artifact(trained.folder / "artifacts", "shop.1.citra")
    way_out = "they are not run; restore them: myriad registry sync shop"
    found = "1 of 10 graphs are not those that were trained: "
    assert doctor() == {
        "shop in the lake": ("failed", f"{found}shop.1.amber of {AMBER}", way_out),
        "shop in MLflow": ("failed", f"{found}shop.1.citra version 1", way_out),
    }
    sync_registry(run, trained.registry)
    assert {verdict for verdict, _, _ in doctor().values()} == {"ok"}


def test_the_doctor_says_how_many_models_it_had_no_time_for(doctor, monkeypatch):
    monkeypatch.setattr("adapters.health.models._LIMIT_S", -1.0)
    assert doctor()["shop in the lake"][1].startswith("0 graphs as trained, 10 not compared within")
