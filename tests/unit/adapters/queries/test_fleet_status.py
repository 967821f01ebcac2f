"""What is known of a fleet, read from the tables of a shop that has been through all stages."""

import json

import pytest
from shop import DEAD, SHORT, future, sales, shop

from adapters.lake.table import Lake
from adapters.queries.fleet_status import held_segments, read_fleets, read_segments, read_status
from adapters.queries.fleet_tables import FleetTables
from domain.errors import TrainingError
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers, restore_release
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers


@pytest.fixture
def tables(trained):
    return FleetTables(Lake(str(trained.folder / "lake")), "shop")


@pytest.fixture
def status(tables, tmp_path):
    return lambda: read_status(tables, tmp_path / "reports", "shop")


def test_a_fleet_that_was_released_but_not_scored(status):
    state = status()
    assert (state.segments, state.rows, state.predictions, state.quarantine) == (8, 396, None, ())
    assert state.release.number == 1
    assert (state.release.kind, state.release.source) == ("promotion", "run-1")
    assert state.release.changed == state.release.champions + state.release.levels
    assert sum(state.release.candidates.values()) == state.release.champions == 7
    assert [(run.run_id, dict(run.outcomes), run.seconds) for run in state.runs] == [
        ("run-1", {"fallback": 1, "trained": 7}, None)
    ]
    assert [(inputs.role, inputs.files, inputs.errors) for inputs in state.inputs] == [
        ("observations", 1, ()),
        ("requests", 1, ()),
    ]
    assert state.next == ("nothing has been scored: myriad score shop",)


def test_a_scored_fleet_has_nothing_to_do_but_what_has_no_model(trained, status):
    score_fleet(trained.run())
    predictions = status().predictions
    assert predictions.rows == predictions.job_rows == sum(predictions.statuses.values())
    assert set(predictions.levels) == {"", "brand", "global"}
    assert predictions.release == 1
    assert status().next == ()


def test_the_report_tells_how_long_a_run_took(status, tmp_path):
    (tmp_path / "reports" / "shop").mkdir(parents=True)
    stages = [{"name": "train", "seconds": 2.5}, {"name": "score", "seconds": 1.0}]
    figures = {"train_seconds": {"estimated": 60.0, "ratio": 0.8}, "score_seconds": {"estimated": 0.5, "ratio": 9.0}}
    (tmp_path / "reports" / "shop" / "run-1.json").write_text(
        json.dumps({"stages": stages, "outcomes": {"trained": 3}, "against_estimate": figures})
    )
    run = status().runs[0]
    assert (run.seconds, run.stages) == (3.5, {"train": 2.5, "score": 1.0})
    assert run.against_estimate == {"train_seconds": 0.8}


def test_what_is_newer_than_what_was_made_from_it_is_the_next_thing_to_do(trained, status):
    run = trained.run(fleet=shop(gates={"baseline_tolerance": 10.0, "champion_tolerance": 10.0}))
    score_fleet(run)
    sales(weeks=61).to_csv(trained.folder / "sales" / "a.csv", index=False)
    ingest_files(run, "observations", run.fleet.source)
    assert status().stale == ("observations",)
    assert status().next == ("new rows since the last partition: myriad run shop",)
    partition_observations(run)
    assert status().next == ("observations are newer than the challengers: myriad train shop",)
    train_challengers(run)
    register_challengers(run, trained.registry)
    assert status().next == ("challengers are newer than the release: myriad promote shop",)
    promote_challengers(run)
    assert status().next == ("predictions are older than release 2 or its rows: myriad score shop",)
    score_fleet(run)
    assert status().next == ()


def test_new_scoring_input_is_to_be_scored(trained, status):
    run = trained.run()
    score_fleet(run)
    future(horizon=3).to_csv(trained.folder / "future" / "b.csv", index=False)
    ingest_files(run, "requests", run.fleet.score.source)
    assert status().next == ("predictions are older than release 1 or its rows: myriad score shop",)


def test_refused_files_and_failed_segments_come_with_the_command_that_shows_them(trained, status):
    (trained.folder / "sales" / "b.csv").write_text("nothing,of,use\n1,2,3\n")
    broken = {"name": "broken", "estimator": "shop.Broken"}
    run = trained.run(fleet=shop(candidates=[broken], combine=False))
    ingest_files(run, "observations", run.fleet.source)
    with pytest.raises(TrainingError):
        train_challengers(run)
    state = status()
    ((path, error),) = next(inputs for inputs in state.inputs if inputs.role == "observations").errors
    assert path.endswith("sales/b.csv")
    assert path in error
    assert [(count.stage, count.reason, count.rows) for count in state.quarantine] == [
        ("observations", "unreadable_file", 1)
    ]
    assert state.next[:2] == (
        "1 file refused; fix or remove them, then: myriad ingest shop",
        "7 segments failed: myriad status shop --segments --outcome failed",
    )


def test_a_rollback_is_the_release_in_force(trained, status):
    restore_release(trained.run(), 1)
    release = status().release
    assert (release.number, release.kind, release.source, release.kept) == (2, "rollback", "release 1", (1, 2))
    assert release.changed == release.champions + release.levels


def test_segments_are_listed_with_their_outcome_and_picked_by_it(tables):
    lines = read_segments(tables)
    assert [line.segment for line in lines] == sorted(line.segment for line in lines)
    assert len(lines) == 8
    (short,) = read_segments(tables, "fallback")
    assert (short.segment, short.candidate) == (SHORT, "")
    assert "fewer than" in short.reason
    assert read_segments(tables, "failed") == []


def test_segments_that_a_gate_holds_are_listed_with_its_figures(trained, tables, status):
    run = trained.run("run-3", shop(gates={"max_model_bytes": 1}))
    promote_challengers(run)
    held = held_segments(tables)
    assert DEAD in held
    assert held[DEAD].startswith("size: ")
    assert {line.segment for line in read_segments(tables, held=True)} == set(held) & {
        line.segment for line in read_segments(tables)
    }
    assert status().held == len(held)
    assert any(line.endswith("myriad status shop --segments --held") for line in status().next)


def test_all_fleets_of_a_lake_and_none_of_an_empty_one(trained, tmp_path):
    lake = Lake(str(trained.folder / "lake"))
    (only,) = read_fleets(lake, tmp_path, trained.folder)
    assert (only.fleet, only.next) == ("shop", ("nothing has been scored: myriad score FLEET_FILE",))
    assert read_fleets(Lake(str(tmp_path / "nowhere")), tmp_path, tmp_path) == []


def test_a_fleet_without_tables_is_to_be_run(tmp_path):
    state = read_status(FleetTables(Lake(str(tmp_path)), "new"), tmp_path, "new")
    assert (state.release, state.runs, state.next) == (None, (), ("nothing has been ingested: myriad run new",))
