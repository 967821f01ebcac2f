import pyarrow as pa
import pyarrow.compute as pc
import pytest
from mlflow import MlflowClient
from shop import land_more_weeks, sales, shop, train_all

from adapters.registry import Registry
from domain.data.tables import CHALLENGERS, CHAMPIONS, REGISTRATIONS, VERDICTS
from domain.errors import PromotionError
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import current_release, promote_challengers, restore_release, sync_aliases


def champions(run, release):
    rows = run.table(CHAMPIONS).read(where=lambda partition: partition["release"] == str(release)).to_pylist()
    return {row["segment"]: row for row in rows}


def verdicts(run):
    return run.table(VERDICTS).read(where=lambda partition: partition["run_id"] == run.context.run_id).to_pylist()


def alias(trained, name):
    return int(
        MlflowClient(tracking_uri=trained.registry.tracking_uri).get_model_version_by_alias(name, "champion").version
    )


def test_first_release_has_every_trained_segment_and_the_levels(trained):
    run = trained.run()
    found = champions(run, 1)
    assert len(found) == 7 + 3
    assert {row["model_version"] for row in found.values()} == {1}
    assert current_release(run) == 1
    assert alias(trained, "shop.1.amber") == 1


def test_unchanged_challengers_make_no_new_release(trained):
    run = trained.run()
    summary = promote_challengers(run)
    assert (summary.release, summary.promoted, summary.held, summary.unchanged) == (1, 0, 0, 7)
    assert current_release(run) == 1


def test_every_verdict_is_kept_with_its_figures(trained):
    rows = trained.run().table(VERDICTS).read(where=lambda partition: partition["run_id"] == "run-1").to_pylist()
    assert len(rows) == 10 * 5
    assert {row["gate"] for row in rows} == {"rows", "baseline", "parity", "size", "latency"}
    baseline = next(row for row in rows if row["gate"] == "baseline")
    assert baseline["value"] <= baseline["limit"]
    assert "naive baseline" in baseline["reason"]


def test_new_data_promotes_a_new_release_and_rollback_restores_the_old_one(trained):
    land_more_weeks(trained.folder)
    fleet = shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0})
    run = trained.run("run-2", fleet)
    train_all(run, trained.registry)
    summary = promote_challengers(run)
    assert (summary.release, summary.promoted, summary.unchanged) == (2, 6, 1)
    sync_aliases(run, trained.registry)
    assert alias(trained, "shop.1.amber") == 2

    restored = restore_release(run, 1)
    assert restored.release == 3
    assert sync_aliases(run, trained.registry) > 0
    assert alias(trained, "shop.1.amber") == 1
    first, third = champions(run, 1), champions(run, 3)
    assert {s: row["sha256"] for s, row in first.items()} == {s: row["sha256"] for s, row in third.items()}
    assert {row["kind"] for row in third.values()} == {"rollback"}
    assert sync_aliases(run, trained.registry) == 0


def test_a_failed_gate_keeps_the_champion(trained):
    land_more_weeks(trained.folder)
    fleet = shop(gates={"worst_metric": 1e-9, "max_failed_share": 1.0, "baseline_tolerance": 10.0})
    run = trained.run("run-2", fleet)
    train_all(run, trained.registry)
    summary = promote_challengers(run)
    assert (summary.promoted, summary.held, summary.release) == (0, 6, 1)
    assert len(summary.held_segments) >= 6
    assert champions(run, current_release(run))["store=1/brand=amber"]["model_version"] == 1


def test_too_many_failures_promote_nothing(trained):
    land_more_weeks(trained.folder)
    fleet = shop(gates={"worst_metric": 1e-9, "max_failed_share": 0.5, "baseline_tolerance": 10.0})
    run = trained.run("run-2", fleet)
    train_all(run, trained.registry)
    summary = promote_challengers(run)
    assert summary.release == 1
    assert "max_failed_share" in summary.reason
    assert summary.held + summary.promoted + summary.unchanged == 7
    assert current_release(run) == 1


def test_where_too_many_failures_promote_nothing_every_challenger_is_told_why(trained):
    """Those that passed their own gates too; and the verdicts are kept."""
    land_more_weeks(trained.folder)
    run = trained.run("run-2", shop(gates={"max_failed_share": 0.0, "baseline_tolerance": 10.0}))
    train_all(run, trained.registry)
    rows = [row for row in run.table(REGISTRATIONS).read().to_pylist() if row["segment"] != "store=1/brand=amber"]
    table = run.table(REGISTRATIONS)
    buckets = {row["bucket"] for row in rows}
    staged = [table.stage(pa.Table.from_pylist([r for r in rows if r["bucket"] == b]), bucket=b) for b in buckets]
    table.replace(staged, lambda file: True)
    summary = promote_challengers(run)
    assert (summary.promoted, summary.held, summary.unchanged) == (0, 6, 1)
    found = verdicts(run)
    reasons = {row["segment"]: row["reason"] for row in found if not row["passed"] and row["decisive"]}
    assert "not registered" in reasons.pop("store=1/brand=amber")
    stopped = [row for row in found if row["gate"] == "max_failed_share"]
    assert {row["segment"] for row in stopped} == {row["segment"] for row in found} & set(reasons)
    assert all(reason == summary.reason for segment, reason in reasons.items())
    assert sum(segment.startswith("store=") for segment in reasons) == 5


def test_live_rows_after_both_cutoffs_decide(trained):
    """More weeks land after the training: challenger and champion are compared on them."""
    land_more_weeks(trained.folder, weeks=1)
    fleet = shop(gates={"baseline_tolerance": 10.0, "min_live_rows": 2})
    run = trained.run("run-2", fleet)
    train_all(run, trained.registry)
    land_more_weeks(trained.folder, weeks=4)
    from tasks.ingest import ingest_files
    from tasks.partition import partition_observations

    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    promote_challengers(run)
    rows = run.table(VERDICTS).read(where=lambda partition: partition["run_id"] == "run-2").to_pylist()
    live = [row for row in rows if row["gate"] == "champion" and row["segment"].startswith("store=1/")]
    assert live
    assert all("live error" in row["reason"] and "3 rows after both cut-offs" in row["reason"] for row in live)


def test_an_unregistered_challenger_is_held(trained):
    run = trained.run()
    run.table(REGISTRATIONS).replace([], lambda file: True, transaction=("test", 1))
    summary = promote_challengers(run)
    assert summary.promoted == 0
    assert summary.held == 7
    assert "not registered" in summary.held_segments[0][1]
    rows = [row for row in verdicts(run) if row["gate"] == "registered"]
    assert len(rows) == 7 + 3
    assert not any(row["passed"] for row in rows)


def test_a_release_that_another_promotion_made_is_not_made_twice(trained, monkeypatch):
    land_more_weeks(trained.folder)
    fleet = shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0})
    run = trained.run("run-2", fleet)
    train_all(run, trained.registry)
    monkeypatch.setattr("tasks.promote.current_release", lambda run: 0)
    with pytest.raises(PromotionError, match="release 1 was made by another promotion"):
        promote_challengers(run)


def test_a_model_that_left_the_release_loses_its_alias(trained):
    run = trained.run()
    table = run.table(CHAMPIONS)
    restore_release(run, 1)
    rows = table.read(where=lambda partition: partition["release"] == "2" and partition["bucket"] == "-1")
    rest = rows.filter(pc.not_equal(rows["segment"], "brand=amber")).drop_columns(["release", "bucket"])
    staged = table.stage(rest, release=2, bucket=-1)
    table.replace([staged], lambda file: dict(file.partition) == {"release": "2", "bucket": "-1"})
    assert sync_aliases(run, trained.registry) == 1
    client = MlflowClient(tracking_uri=trained.registry.tracking_uri)
    assert "champion" not in client.get_registered_model("shop.fallback.brand-amber").aliases
    assert client.get_registered_model("shop.fallback.brand-citra").aliases


def test_a_rollback_keeps_out_what_it_withdrew_until_the_data_change(trained):
    land_more_weeks(trained.folder)
    fleet = shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0, "max_failed_share": 1.0})
    run = trained.run("run-2", fleet)
    train_all(run, trained.registry)
    promote_challengers(run)
    restore_release(run, 1)
    again = promote_challengers(run)
    assert (again.release, again.promoted, again.held) == (3, 0, 6)
    assert "rollback withdrew" in again.held_segments[0][1]
    assert sum(row["gate"] == "withdrawn" for row in verdicts(run)) == 6 + 3
    land_more_weeks(trained.folder, weeks=2)
    train_all(run, trained.registry)
    assert promote_challengers(run).promoted == 6


@pytest.mark.parametrize(("mode", "release", "version"), [("bulk", 2, 2), ("api", 3, 1)])
def test_a_registry_that_was_lost_is_filled_again_and_the_release_agrees(trained, tmp_path, mode, release, version):
    """In bulk a lost version gets its number again; by the API it cannot, and a new release says the new one."""
    land_more_weeks(trained.folder)
    fleet = shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0})
    run = trained.run("run-2", fleet)
    train_all(run, trained.registry)
    promote_challengers(run)
    changed = {segment for segment, row in champions(run, 2).items() if row["model_version"] == 2}
    fresh = Registry(f"sqlite:///{tmp_path}/new.db", str(tmp_path / "new"), mode)
    train_all(run, fresh)
    summary = promote_challengers(run)
    assert (summary.release, summary.promoted, summary.unchanged) == (release, 0, 7)
    found = champions(run, release)
    assert changed
    assert {found[segment]["model_version"] for segment in changed} == {version}
    assert {row["model_version"] for segment, row in found.items() if segment not in changed} <= {1}
    assert sync_aliases(run, fresh) == 10


def test_champions_of_segments_that_are_gone_leave_the_release(trained):
    frame = sales().query("store != 1")
    frame.to_csv(trained.folder / "sales" / "a.csv", index=False)
    run = trained.run("run-2")
    train_all(run, trained.registry)
    promote_challengers(run)
    found = champions(run, current_release(run))
    assert not any(segment.startswith("store=1/") for segment in found)
    assert any(segment.startswith("store=2/") for segment in found)


def test_champions_of_a_bucket_without_challengers_stay(trained):
    """Where every training of a bucket failed, a new release of the others keeps the bucket's champions."""
    land_more_weeks(trained.folder)
    run = trained.run("run-2", shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0}))
    train_all(run, trained.registry)
    before = champions(run, 1)
    bucket = before["store=1/brand=amber"]["bucket"]
    run.table(CHALLENGERS).replace([], lambda file: file.partition["bucket"] == str(bucket))
    assert promote_challengers(run).release == 2
    after = champions(run, 2)
    assert set(after) == set(before)
    assert after["store=1/brand=amber"] == before["store=1/brand=amber"] | {"release": 2}


def test_levels_that_the_fleet_no_longer_has_leave_the_release_and_lose_their_alias(trained):
    run = trained.run("run-2", shop(fallback=["global"]))
    assert promote_challengers(run).release == 2
    levels = {segment for segment in champions(run, 2) if not segment.startswith("store=")}
    assert levels == {"*"}
    assert sync_aliases(run, trained.registry) == 2
    client = MlflowClient(tracking_uri=trained.registry.tracking_uri)
    assert client.get_registered_model("shop.fallback.brand-amber").aliases == {}


def test_aliases_of_a_promotion_that_ended_before_them_follow_with_the_next(trained):
    land_more_weeks(trained.folder)
    run = trained.run("run-2", shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0}))
    train_all(run, trained.registry)
    promote_challengers(run)
    assert alias(trained, "shop.1.amber") == 1
    assert promote_challengers(run).release == 2
    sync_aliases(run, trained.registry)
    assert alias(trained, "shop.1.amber") == 2


def test_without_challengers_nothing_is_promoted_and_the_reason_is_told(trained):
    run = trained.run("run-2", shop(partition={"buckets": 3, "min_rows": 1000}))
    train_all(run, trained.registry)
    run.table(CHAMPIONS).replace([], lambda file: True, transaction=("test", 1))
    summary = promote_challengers(run)
    assert summary.release is None
    assert "no challengers" in summary.reason


def test_rollback_to_a_release_that_is_not_kept_names_those_that_are(trained):
    with pytest.raises(PromotionError, match=r"release 7 is not kept; choose one of \[1\]"):
        restore_release(trained.run(), 7)


def test_only_the_last_releases_are_kept(trained):
    run = trained.run("run-2", shop(gates={"keep_releases": 2, "baseline_tolerance": 10.0}))
    for _ in range(3):
        restore_release(run, current_release(run))
    kept = {file.partition["release"] for file in run.table(CHAMPIONS).files()}
    assert kept == {"3", "4"}


def test_a_champion_whose_features_left_the_fleet_file_is_no_obstacle(trained):
    gates = {"baseline_tolerance": 10.0, "insufficient_evidence": "hold"}
    run = trained.run("run-2", shop(features={"known": []}, gates=gates))
    train_all(run, trained.registry)
    land_more_weeks(trained.folder, weeks=4)
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    summary = promote_challengers(run)
    assert summary.promoted == 7
    rows = run.table(VERDICTS).read(where=lambda partition: partition["run_id"] == "run-2").to_pylist()
    (verdict,) = [row for row in rows if row["gate"] == "champion" and row["segment"] == "store=2/brand=citra"]
    assert verdict["reason"] == "the champion needs price, which the fleet file no longer has"
