"""Everything wrong at once, through all stages: nothing is lost, and all of it has an outcome with a reason."""

import math
import shutil
from collections import Counter
from types import SimpleNamespace

import pytest
from hostile import (
    DAYS,
    ENDED,
    EXTREME,
    LOOK_ALIKE,
    NO_TARGET,
    ONE,
    PLAIN,
    REFUSED,
    SHORT,
    TRAINED,
    UNSEEN,
    VANISHED,
    hostile_fleet,
    key,
    write_future,
    write_hostile,
)
from shop import shop

from adapters.lake.table import Lake
from adapters.registry import Registry
from domain.data.segments import parse_segment
from domain.data.tables import (
    CHALLENGERS,
    CHAMPIONS,
    INPUTS,
    LEADERBOARD,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    REGISTRATIONS,
    SEGMENTS,
    VERDICTS,
    landed,
    observations,
)
from domain.errors import TrainingError
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext


@pytest.fixture(scope="module")
def done(tmp_path_factory, workers):
    """The hostile fleet after one run of all stages, with what every stage said."""
    folder = tmp_path_factory.mktemp("hostile")
    rows, reasons = write_hostile(folder)
    write_future(folder)
    run = Run(RunContext(hostile_fleet(), Lake(str(folder / "lake")), "run-1", folder), workers)
    registry = Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
    return SimpleNamespace(
        run=run,
        rows=rows,
        reasons=reasons,
        ingested=ingest_files(run, "observations", run.fleet.source),
        requested=ingest_files(run, "requests", run.fleet.score.source),
        partitioned=partition_observations(run),
        trained=train_challengers(run),
        registered=register_challengers(run, registry),
        promoted=promote_challengers(run),
        scored=score_fleet(run),
    )


def table(done, spec):
    return done.run.table(spec).read().to_pylist()


def of_segments(rows):
    return {row["segment"] for row in rows if row["bucket"] >= 0}


def test_every_row_that_was_read_is_an_observation_or_quarantined_with_its_reason(done):
    found, quarantined = done.ingested, table(done, QUARANTINE)
    assert found.read == found.accepted + found.rejected == done.rows
    of_rows = [row for row in quarantined if row["stage"] != "requests" and row["row"] >= 0]
    assert Counter(row["reason"] for row in of_rows) == done.reasons
    assert done.partitioned.landed == found.accepted == done.run.table(landed(done.run.fleet)).read().num_rows
    kept = done.run.table(observations(done.run.fleet)).read().num_rows
    assert kept == done.partitioned.accepted == done.rows - len(of_rows)
    assert (done.requested.read, done.requested.rejected) == (10, 1)


def test_a_quarantined_row_tells_its_segment_where_its_key_can_be_read(done):
    unknown = [row for row in table(done, QUARANTINE) if row["segment"] is None]
    assert Counter(row["reason"] for row in unknown) == {
        "missing_key": 2, "unparsable": 2, "unreadable_file": len(REFUSED) - 1, "copied_file": 1
    }  # fmt: skip


def test_every_file_is_read_once_or_refused_with_a_reason_and_its_name(done):
    assert done.ingested.files == 5 + len(REFUSED)
    refused = {row["path"].rsplit("/", 1)[-1]: row["error"] for row in table(done, INPUTS) if row["error"]}
    assert sorted(refused) == sorted(REFUSED)
    assert all(error.partition(": ")[0].endswith(name) for name, error in refused.items())
    again = ingest_files(done.run, "observations", done.run.fleet.source)
    assert (again.read, again.unchanged, len(again.refused)) == (0, 5, len(REFUSED))


def test_every_segment_has_exactly_one_outcome_with_a_reason(done):
    rows = table(done, OUTCOMES)
    outcomes = {row["segment"]: (row["outcome"], row["reason"]) for row in rows}
    assert len(rows) == len(outcomes) == done.trained.segments
    assert {segment for segment, (outcome, _) in outcomes.items() if outcome == "trained"} == set(map(key, TRAINED))
    assert {key(pair): outcomes[key(pair)][0] for pair in (ONE, SHORT, EXTREME)} == {
        key(ONE): "fallback", key(SHORT): "fallback", key(EXTREME): "failed"
    }  # fmt: skip
    assert {segment: reason for segment, (outcome, reason) in outcomes.items() if outcome == "skipped"} == VANISHED
    assert len(outcomes) == len(TRAINED) + 3 + len(VANISHED)
    assert all(reason for outcome, reason in outcomes.values() if outcome != "trained")


def test_counts_balance_from_stage_to_stage(done):
    outcomes = Counter(row["outcome"] for row in table(done, OUTCOMES))
    assert dict(outcomes) == {name: count for name, count in done.trained.outcomes.items() if count}
    assert of_segments(table(done, SEGMENTS)) | set(VANISHED) == of_segments(table(done, OUTCOMES))
    assert done.partitioned.segments + len(VANISHED) == done.trained.segments
    models = of_segments(table(done, CHALLENGERS))
    assert len(models) == outcomes["trained"]
    assert of_segments(table(done, REGISTRATIONS)) == models
    promoted = done.promoted
    assert promoted.promoted + promoted.held + promoted.unchanged == len(models)
    champions = of_segments(table(done, CHAMPIONS))
    assert len(champions) == promoted.promoted
    decided = {row["segment"] for row in table(done, VERDICTS) if row["decisive"] and not row["passed"]}
    assert models - champions == decided & models


def test_every_segment_is_predicted_once_and_says_by_what(done):
    rows = table(done, PREDICTIONS)
    steps = Counter(row["segment"] for row in rows)
    expected = of_segments(table(done, SEGMENTS)) | {key(UNSEEN), key(NO_TARGET)}
    assert steps == dict.fromkeys(expected, 3)
    assert done.scored.rows == sum(done.scored.statuses.values()) == len(rows)
    for row in rows:
        assert (row["prediction"] is not None) == (row["status"] == "ok")
        assert row["prediction"] is None or math.isfinite(row["prediction"])
        assert row["fallback_level"] == "" or row["reason"]
    levels = {row["segment"]: row["fallback_level"] for row in rows}
    champions = of_segments(table(done, CHAMPIONS))
    assert {segment for segment, level in levels.items() if level == ""} == champions
    assert levels[key(UNSEEN)] == "item"


def test_a_segment_that_ended_years_ago_is_forecast_from_its_own_end(done):
    rows = [row for row in table(done, PREDICTIONS) if row["segment"] == key(ENDED)]
    assert {row["time"].year for row in rows} == {2018}


def test_segments_that_look_alike_are_told(done):
    (warning,) = done.partitioned.warnings
    assert "segment_by: 2 segments look like another one" in warning
    assert any(key(pair) in warning for pair in LOOK_ALIKE)
    assert {key(pair) for pair in LOOK_ALIKE} <= of_segments(table(done, SEGMENTS))


def test_two_rows_for_one_period_count_once_and_the_first_counts(done):
    rows = [row for row in table(done, observations(done.run.fleet)) if row["segment"] == key(PLAIN)]
    assert len(rows) == DAYS
    assert 999 not in {row["target"] for row in rows}


def test_as_many_failures_as_allowed_pass_and_one_share_less_fails_the_run_with_its_outcomes_kept(done, tmp_path):
    context, segments = done.run.context, done.trained.segments
    shutil.copytree(context.lake.uri, tmp_path / "lake")
    for share, run_id in ((1 / segments, "at"), (math.nextafter(1 / segments, 0), "beyond")):
        fleet = context.fleet.model_copy(update={"max_failed_share": share})
        run = Run(RunContext(fleet, Lake(str(tmp_path / "lake")), run_id, context.home), done.run.workers)
        before = run.table(CHALLENGERS).version()
        if run_id == "at":
            assert train_challengers(run).outcomes["failed"] == 1
        else:
            with pytest.raises(TrainingError, match=rf"1 of {segments} segments failed, .*run_id beyond"):
                train_challengers(run)
            assert run.table(CHALLENGERS).version() == before
        kept = [row for row in run.table(OUTCOMES).read().to_pylist() if row["run_id"] == run_id]
        assert Counter(row["outcome"] for row in kept) == {
            "reused": len(TRAINED), "fallback": 2, "failed": 1, "skipped": 2
        }  # fmt: skip
        assert len({row["segment"] for row in kept}) == segments


def test_a_release_forecasts_its_own_horizon_when_that_of_the_fleet_changed(trained):
    run = trained.run("run-2", shop(horizon=6))
    assert score_fleet(run, 1).release == 1
    rows = run.table(PREDICTIONS).read().to_pylist()
    steps = Counter((row["segment"], row["fallback_level"]) for row in rows)
    assert {count for (_, level), count in steps.items() if level == ""} == {4}
    assert all(row["status"] == "ok" for row in rows)
    assert train_challengers(run).outcomes["trained"] == 7


def test_other_segment_columns_leave_no_model_of_the_former_ones(trained):
    run = trained.run("run-2", shop(segment_by=["store"], fallback=["global"]))
    all_but_scored(run, trained.registry)
    score_fleet(run)
    release = max(row["release"] for row in run.table(CHAMPIONS).read(["release"]).to_pylist())
    champions = [row for row in run.table(CHAMPIONS).read().to_pylist() if row["release"] == release]
    for rows in (
        champions,
        *(run.table(spec).read().to_pylist() for spec in (CHALLENGERS, LEADERBOARD, REGISTRATIONS, SEGMENTS)),
        [row for row in run.table(PREDICTIONS).read().to_pylist() if row["release"] == release],
        [row for row in run.table(OUTCOMES).read().to_pylist() if row["run_id"] == "run-2"],
    ):
        assert rows
        assert {tuple(parse_segment(row["segment"])) for row in rows} <= {("store",), ()}


def all_but_scored(run, registry):
    ingest_files(run, "observations", run.fleet.source)
    ingest_files(run, "requests", run.fleet.score.source)
    partition_observations(run)
    train_challengers(run)
    register_challengers(run, registry)
    promote_challengers(run)
