"""Forecasts as of a past date: they know what was known then, and disturb nothing that stands."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from shop import DEAD, SHORT, UNSEEN, sales, shop

from adapters.lake.table import Lake
from domain.data.tables import CHAMPIONS, PREDICTIONS
from domain.errors import RequestError
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import restore_release
from tasks.score import past_moments, score_fleet
from tasks.workers.run_context import RunContext

OWN = "store=1/brand=amber"
KEY = ["segment", "origin", "time", "release"]


def predictions(run):
    return run.table(PREDICTIONS).read().to_pandas()


def moment(run, text="2024-10-07"):
    return past_moments(run, text)[0]


def rebuilt(trained, frame):
    """The lake with other observations, but the champions that it had."""
    frame.to_csv(trained.folder / "sales" / "a.csv", index=False)
    run = trained.run("run-3")
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    return run


def test_a_forecast_of_a_past_date_starts_there_and_says_that_the_model_has_seen_the_future(trained):
    run = trained.run()
    summary = score_fleet(run, as_of=moment(run))
    rows = predictions(run)
    assert (summary.as_of, summary.rows, summary.in_sample) == ("2024-10-07", 7 * 4, 6 * 4)
    own = rows[rows.segment == OWN].sort_values("step")
    assert set(own.origin) == {pd.Timestamp("2024-10-07", tz="UTC")}
    assert own.time.dt.strftime("%Y-%m-%d").tolist() == ["2024-10-14", "2024-10-21", "2024-10-28", "2024-11-04"]
    assert set(own.reason) == {"the model was trained on rows up to 2025-02-17, after the origin"}
    assert set(own.cutoff) == {pd.Timestamp("2025-02-17", tz="UTC")}
    assert set(rows.as_of) == {pd.Timestamp("2024-10-07", tz="UTC")}
    ended = "the segment's newest row is 11 periods older than the date that was asked for"
    assert rows[rows.segment == DEAD].reason.str.startswith(ended).all()
    # The short segment began later, the others that scoring input asks for are far in the future.
    assert not {SHORT, UNSEEN} & set(rows.segment)
    assert rows.prediction.notna().all()


def test_rows_after_the_date_change_nothing_but_known_covariates_do(trained):
    """Targets are forgotten, of fallback levels too; the prices of later observations are known."""
    frame, fleet = sales(), shop(partition={"buckets": 3, "min_rows": 55})
    run = trained.run("run-2", fleet)
    late = pd.to_datetime(frame.week) > "2024-10-07"
    score_fleet(run, as_of=moment(run))
    first = predictions(run)
    run = rebuilt(trained, frame.assign(units=np.where(late, frame.units * 50, frame.units)))
    score_fleet(run, as_of=moment(run))
    second = predictions(run)
    assert len(first) == len(second)
    order = ["segment", "time"]
    columns = ["segment", "origin", "time", "prediction", "lower", "upper"]
    pd.testing.assert_frame_equal(
        first[columns].sort_values(order, ignore_index=True), second[columns].sort_values(order, ignore_index=True)
    )
    run = rebuilt(trained, frame.assign(price=np.where(late, frame.price + 3, frame.price)))
    score_fleet(run, as_of=moment(run))
    third = predictions(run)
    assert third[third.segment == OWN].prediction.sum() < second[second.segment == OWN].prediction.sum()
    assert set(third[third.segment == OWN].input_id) != {"observations@0"}


def test_a_level_knows_what_was_known_then(trained):
    """Without champions of segments every forecast comes from levels, scaled by the rows up to the date."""
    frame = sales()
    late = pd.to_datetime(frame.week) > "2024-10-07"
    results = []
    for units in (frame.units, frame.units.where(~late, frame.units * 50)):
        run = rebuilt(trained, frame.assign(units=units))
        drop_own_champions(run)
        score_fleet(run, as_of=moment(run))
        rows = predictions(run)
        assert set(rows.fallback_level) == {"brand"}
        assert rows.origin.max() <= pd.Timestamp("2024-10-07", tz="UTC")
        results.append(rows.sort_values(["segment", "time"]).prediction.to_numpy())
    np.testing.assert_array_equal(*results)


def drop_own_champions(run):
    run.table(CHAMPIONS).replace([], lambda file: file.partition["bucket"] != "-1", transaction=("test", 1))


def test_a_backfill_leaves_newest_forecasts_and_other_releases_alone(trained):
    run = trained.run()
    score_fleet(run)
    restore_release(run, 1)
    newest = score_fleet(run)
    before = predictions(run)
    summaries = [
        score_fleet(run, release, at) for release in (1, 2) for at in past_moments(run, "2025-02-03", "2025-02-17")
    ]
    after = predictions(run)
    assert not after.duplicated(KEY).any()
    kept = after[after.as_of.isna()]
    pd.testing.assert_frame_equal(
        kept.sort_values(KEY, ignore_index=True), before.sort_values(KEY, ignore_index=True), check_like=True
    )
    # The dead segment has the same origin at all three dates, and so have all segments at the last one.
    assert all(summary.standing >= 4 for summary in summaries)
    assert len(set(after[after.segment == DEAD].job_id)) == 2
    assert summaries[-1].rows == 0
    assert score_fleet(run).rows == newest.rows


def test_the_newest_forecasts_take_the_place_of_a_backfill_of_the_same_origin(trained):
    run = trained.run()
    score_fleet(run, as_of=moment(run, "2025-02-17"))
    score_fleet(run)
    rows = predictions(run)
    assert not rows.duplicated(KEY).any()
    assert rows[rows.segment == OWN].as_of.isna().all()


def test_a_range_is_a_job_a_period_and_what_is_committed_is_skipped(trained):
    run = trained.run()
    moments = past_moments(run, "2024-10-07", "2024-11-03")
    assert [f"{at:%Y-%m-%d}" for at in moments] == ["2024-10-13", "2024-10-20", "2024-10-27", "2024-11-03"]
    first = [score_fleet(run, 1, at) for at in moments[:2]]
    version = run.table(PREDICTIONS).version()
    again = [score_fleet(run, 1, at) for at in moments]
    assert [summary.repeated for summary in again] == [True, True, False, False]
    assert [(one.job_id, one.as_of, one.in_sample) for one in again[:2]] == [
        (one.job_id, one.as_of, one.in_sample) for one in first
    ]
    assert run.table(PREDICTIONS).version() == version + 2
    rows = predictions(run)
    assert not rows.duplicated(KEY).any()
    assert rows[rows.segment == OWN].origin.nunique() == 4


def test_a_backfill_does_not_depend_on_the_order_of_its_dates(trained):
    run = trained.run()
    results = []
    for moments in (past_moments(run, "2024-12", "2024-12"), past_moments(run, "2024-12", "2024-12")[::-1]):
        for at in moments:
            score_fleet(trained.run(), as_of=at)
        rows = predictions(run).drop(columns=["job_id", "scored_at"])
        results.append(rows[rows.segment != DEAD].sort_values(KEY, ignore_index=True))
        # Made anew: what was committed counts as done.
        shutil.rmtree(trained.folder / "lake" / "shop" / "predictions")
    pd.testing.assert_frame_equal(*results)


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (("2023-12-31",), r"2023-12-31 is outside the observations, which are from 2024-01-01 to 2025-02-17"),
        (("2025-03-01",), r"2025-03-01 is outside the observations"),
        (("soon",), r"as_of: 'soon' is not a date; allowed: 2024, 2024-Q2, 2024-06, .* in the fleet's zone, UTC"),
        (("2024-11-01", "2024-10-01"), r"the first date is after the last one"),
        (("2024-10-01", "2025-06-01"), r"2025-06-01 is outside the observations"),
        (("2024-10-01", "late"), r"to: 'late' is not a date"),
    ],
)
def test_a_date_that_cannot_be_is_refused_with_what_can(trained, dates, message):
    with pytest.raises(RequestError, match=message):
        past_moments(trained.run(), *dates)


def test_a_regression_fleet_has_no_past_dates(tmp_path, workers, fleet):
    run = Run(RunContext(fleet.regression(), Lake(str(tmp_path)), "run", tmp_path), workers)
    with pytest.raises(RequestError, match="a past date is for forecast fleets"):
        past_moments(run, "2024-10-07")


def test_a_moment_is_kept_as_a_utc_time(trained):
    assert moment(trained.run()) == datetime(2024, 10, 7, tzinfo=UTC)
