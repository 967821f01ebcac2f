"""Pins: one segment stays at a version, through promotions, until somebody ends it."""

import shutil

import pytest
from mlflow import MlflowClient
from shop import DEAD, SHORT, land_more_weeks, shop, train_all

from domain.data.tables import CHALLENGERS, CHAMPIONS, VERDICTS
from domain.errors import PromotionError, RegistryError, UnknownNameError
from tasks.pin import pin_segment, unpin_segment
from tasks.promote import current_release, promote_challengers, restore_release, sync_aliases
from tasks.workers.release import pinned_segments

AMBER, CITRA, MODEL = "store=1/brand=amber", "store=1/brand=citra", "shop.1.amber"
LENIENT = {"baseline_tolerance": 10.0, "champion_tolerance": 10.0}


def champion(run, segment, release=None):
    at = str(release or current_release(run))
    rows = run.table(CHAMPIONS).read(where=lambda partition: partition["release"] == at).to_pylist()
    return next((row for row in rows if row["segment"] == segment), None)


def pins(run):
    return {pin.segment: pin.version for pin in pinned_segments(run.table(CHAMPIONS))}


def alias(trained, name=MODEL):
    client = MlflowClient(tracking_uri=trained.registry.tracking_uri)
    return int(client.get_model_version_by_alias(name, "champion").version)


@pytest.fixture
def second(trained):
    """The shop with a second version of every model of stores 1 to 3, in force as release 2."""
    land_more_weeks(trained.folder)
    run = trained.run("run-2", shop(gates=LENIENT))
    train_all(run, trained.registry)
    promote_challengers(run)
    sync_aliases(run, trained.registry)
    return run


def test_a_pin_is_a_release_with_the_older_version_of_one_segment(second, trained):
    before = champion(second, AMBER, 1)
    summary = pin_segment(second, trained.registry, AMBER, 1)
    assert (summary.release, summary.version, summary.changed) == (3, 1, True)
    row = champion(second, AMBER)
    assert (row["kind"], row["source"], row["model_version"]) == ("pin", "version 1", 1)
    assert (row["sha256"], row["onnx"]) == (before["sha256"], before["onnx"])
    others = [champion(second, CITRA, release) for release in (2, 3)]
    assert others[0] | {"release": 3} == others[1]
    assert sync_aliases(second, trained.registry) == 1
    assert alias(trained) == 1
    assert pins(second) == {AMBER: 1}


def test_pinning_again_makes_no_release(second, trained):
    pin_segment(second, trained.registry, AMBER, 1)
    again = pin_segment(second, trained.registry, AMBER, 1)
    assert (again.release, again.changed) == (3, False)
    assert current_release(second) == 3


def test_a_pinned_segment_holds_its_challengers_with_a_reason_until_the_pin_ends(second, trained):
    pin_segment(second, trained.registry, AMBER, 1)
    summary = promote_challengers(second)
    assert (summary.promoted, summary.held, summary.unchanged) == (0, 1, 6)
    assert summary.held_segments == (
        (AMBER, f"pinned to version 1; `myriad pin FLEET {AMBER} --off` lets challengers compete"),
    )
    rows = second.table(VERDICTS).read(where=lambda partition: partition["run_id"] == "run-2").to_pylist()
    assert [(row["segment"], row["passed"], row["decisive"]) for row in rows if row["gate"] == "pinned"] == [
        (AMBER, False, True)
    ]
    ended = unpin_segment(second, AMBER)
    assert (ended.release, ended.pinned, ended.version) == (4, False, 1)
    assert champion(second, AMBER)["kind"] == "unpin"
    assert promote_challengers(second).promoted == 1
    assert champion(second, AMBER)["model_version"] == 2


def test_pinned_segments_do_not_count_as_failed_gates(second, trained):
    for segment in (AMBER, CITRA):
        pin_segment(second, trained.registry, segment, 1)
    run = trained.run("run-3", shop(gates={**LENIENT, "max_failed_share": 0.0}))
    assert promote_challengers(run).reason == ""


def test_a_segment_without_champion_is_pinned_to_its_challenger(trained):
    run = trained.run("run-2")
    table = run.table(CHAMPIONS)
    row = champion(run, AMBER)
    bucket = str(row["bucket"])
    rows = [r for r in table.read(where=lambda p: p["bucket"] == bucket).to_pylist() if r["segment"] != AMBER]
    rest = [table.stage(_rows(table, rows), release=1, bucket=bucket)] if rows else []
    table.replace(rest, lambda file: file.partition["bucket"] == bucket)
    assert champion(run, AMBER) is None
    pin_segment(run, trained.registry, AMBER, 1)
    assert champion(run, AMBER)["sha256"] == row["sha256"]
    assert sum(1 for _ in rows) + 1 == len(table.read(where=lambda p: p == {"release": "2", "bucket": bucket}))


def _rows(table, rows):
    import pyarrow as pa

    return pa.Table.from_pylist(rows, table.spec.file_schema)


def test_a_version_that_the_lake_no_longer_has_comes_from_the_registry(second, trained):
    wanted = champion(second, AMBER, 1)
    table = second.table(CHAMPIONS)
    table.replace([], lambda file: file.partition["release"] == "1")
    pin_segment(second, trained.registry, AMBER, 1)
    varying = {"kind", "source", "promoted_at", "release"}
    found = champion(second, AMBER)
    assert {key: found[key] for key in found.keys() - varying} == {key: wanted[key] for key in wanted.keys() - varying}


def test_a_registered_graph_that_was_changed_is_refused(second, trained):
    second.table(CHAMPIONS).replace([], lambda file: file.partition["release"] == "1")
    for path in (trained.folder / "artifacts").rglob(f"{MODEL}-*/model.onnx"):
        path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(RegistryError, match=r"shop.1.amber' version 1: the graph .* has SHA-256"):
        pin_segment(second, trained.registry, AMBER, 1)
    assert current_release(second) == 2


@pytest.mark.parametrize(
    ("segment", "version", "message"),
    [
        ("store=1/brand=ambre", 1, rf"no segment or level 'store=1/brand=ambre'; closest: {AMBER}"),
        (SHORT, 1, "has no model: neither champion nor challenger"),
        (AMBER, 7, r"model shop.1.amber has no version 7; registered versions: 1"),
    ],
)
def test_what_is_not_there_cannot_be_pinned(trained, segment, version, message):
    with pytest.raises(UnknownNameError, match=message):
        pin_segment(trained.run(), trained.registry, segment, version)


def test_a_fleet_without_a_release_has_nothing_to_pin(trained):
    run = trained.run()
    run.table(CHAMPIONS).replace([], lambda file: True)
    with pytest.raises(PromotionError, match="no release yet"):
        pin_segment(run, trained.registry, AMBER, 1)


def test_a_model_that_reads_a_feature_that_the_fleet_dropped_is_refused(trained):
    with pytest.raises(PromotionError, match="reads price, which fleet shop no longer has"):
        pin_segment(trained.run("run-2", shop(features={})), trained.registry, AMBER, 1)


def test_only_what_is_pinned_can_be_unpinned(second, trained):
    with pytest.raises(UnknownNameError, match="is not pinned; pinned: none"):
        unpin_segment(second, AMBER)
    pin_segment(second, trained.registry, CITRA, 1)
    with pytest.raises(UnknownNameError, match=f"pinned: {CITRA}"):
        unpin_segment(second, AMBER)


def test_a_level_is_pinned_by_its_key(second, trained):
    assert pin_segment(second, trained.registry, "*", 1).model_name == "shop.fallback.global"
    assert pins(second) == {"*": 1}


def test_a_rollback_restores_the_pins_of_its_release_and_tells_which_ended(second, trained):
    pin_segment(second, trained.registry, AMBER, 1)  # release 3
    unpin_segment(second, AMBER)  # release 4
    pin_segment(second, trained.registry, CITRA, 1)  # release 5
    restored = restore_release(second, 3, trained.registry)
    assert pins(second) == {AMBER: 1}
    assert restored.reason == f"restored release 3; no longer pinned: {CITRA}"
    row = champion(second, AMBER)
    assert (row["kind"], row["source"]) == ("pin", "version 1")
    assert champion(second, DEAD)["kind"] == "rollback"


def test_a_pin_survives_promotions_of_others(second, trained):
    pin_segment(second, trained.registry, AMBER, 1)
    land_more_weeks(trained.folder, weeks=3)
    run = trained.run("run-3", shop(gates=LENIENT))
    train_all(run, trained.registry)
    summary = promote_challengers(run)
    assert (summary.promoted, summary.held) == (5, 1)
    assert pins(run) == {AMBER: 1}
    assert champion(run, CITRA)["model_version"] == 3
    assert run.table(CHALLENGERS).read(["segment"]).num_rows == 10


def test_pinning_needs_no_files_of_the_registry_for_models_of_kept_releases(second, trained):
    shutil.rmtree(trained.folder / "artifacts")
    assert pin_segment(second, trained.registry, AMBER, 1).changed
