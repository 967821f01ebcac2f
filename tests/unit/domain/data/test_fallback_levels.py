"""Series and samples of the fallback levels."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from domain.data.fallback_levels import fallback_level_of, fallback_observations, sample_fallback_rows

DAY = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
TIME = pa.timestamp("us", tz="UTC")


def test_a_level_is_named_after_its_column():
    assert fallback_level_of("*") == "global"
    assert fallback_level_of("brand=a%2Fb") == "brand"


def test_series_of_a_level_is_the_mean_row_of_its_segments(fleet):
    sums = pa.table(
        {
            "level": ["*", "*", "*", "brand=a"],
            "time": pa.array([DAY[1], DAY[0], DAY[1], DAY[2]], TIME),
            "rows": [2, 1, 3, 4],
            "target": [10.0, 7.0, 40.0, 2.0],
            "x_price": [2.0, 1.0, 3.0, None],
            "n_price": [2, 1, 2, 0],
            "bucket": [0, 0, 1, 0],
        }
    )
    series = fallback_observations(sums, fleet.forecast(features={"known": ["price"], "categorical": ["promo"]}))
    assert series["segment"].to_pylist() == ["*", "*", "brand=a"]
    assert series["time"].to_pylist() == [DAY[0], DAY[1], DAY[2]]
    assert series["target"].to_pylist() == [7.0, 10.0, 0.5]
    # One of the five rows of the second day has no price, and none of the third.
    assert series["x_price"].to_pylist() == [1.0, 1.25, None]
    assert series["c_promo"].null_count == 3
    assert not any(series["excluded"].to_pylist())


def test_segments_dated_on_other_days_of_a_week_share_its_row(fleet):
    sums = pa.table(
        {
            "level": ["*", "*"],
            "time": pa.array(DAY[:2], TIME),
            "rows": [1, 3],
            "target": [10.0, 2.0],
            "bucket": [0, 1],
        }
    )
    weekly = fleet.forecast(time={"column": "day", "frequency": "W"}, features={})
    series = fallback_observations(sums, weekly)
    assert series["time"].to_pylist() == [DAY[0]]
    assert series["target"].to_pylist() == [3.0]


def counted_rows(counts):
    days = [datetime(2024, 1, 1 + day, tzinfo=UTC) for day in range(len(counts))]
    target = [10.0 * count for count in counts]
    return pa.table(
        {
            "level": ["*"] * len(counts),
            "time": pa.array(days, TIME),
            "rows": counts,
            "target": target,
            "bucket": [0] * len(counts),
        }
    )


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ([8, 8, 8, 1], 3),  # One segment is early.
        ([8, 8, 3, 1], 2),
        ([8, 8, 8, 4], 4),  # Half of them: a period like others.
        ([8, 1, 8, 8], 4),  # A gap of most segments is not news.
        ([8, 8, 1, 1, 1], 5),  # Longer than the horizon: the others have ended.
        ([1], 1),
    ],
)
def test_a_level_waits_for_most_of_its_segments(fleet, counts, kept):
    series = fallback_observations(counted_rows(counts), fleet.forecast(horizon=2, features={}))
    assert series.num_rows == kept
    assert set(series["target"].to_pylist()) == {10.0}
    assert "rows" not in series.column_names


def rows_of(n):
    return pa.table(
        {
            "segment": [f"store={i % 3}/brand={i % 2}" for i in range(n)],
            "target": [float(i) for i in range(n)],
            "input_id": ["file"] * n,
            "row": list(range(n)),
        }
    )


def test_each_row_is_sampled_once_for_every_level_of_its_segment(fleet):
    sample = sample_fallback_rows(rows_of(6), fleet.forecast(), 100)
    assert sorted(sample["segment"].to_pylist()) == ["*"] * 6 + ["brand=0"] * 3 + ["brand=1"] * 3
    of_brand = {row["target"] for row in sample.to_pylist() if row["segment"] == "brand=1"}
    assert of_brand == {1.0, 3.0, 5.0}


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_a_sample_is_fixed_and_does_not_depend_on_the_order_of_the_rows(fleet, limit):
    rows = rows_of(50)
    chosen = fleet.forecast(fallback=["global"])
    sample = sample_fallback_rows(rows, chosen, limit)["target"].to_pylist()
    turned = sample_fallback_rows(rows.take(list(range(49, -1, -1))), chosen, limit)["target"].to_pylist()
    assert len(sample) == limit
    assert sorted(turned) == sorted(sample)


def test_a_fleet_without_fallback_has_no_levels(fleet):
    assert sample_fallback_rows(rows_of(5), fleet.forecast(fallback=[]), 10).num_rows == 0
