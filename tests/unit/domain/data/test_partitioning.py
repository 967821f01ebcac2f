"""Partitioning a bucket: order does not matter, every row is kept or rejected, profiles are what a slow loop finds."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.data.partitioning import bucket_count, fallback_keys, partition_bucket, run_length_encode

KEYS = [f"store={store}/brand={brand}" for store in (1, 2) for brand in ("x", "y")]


def landed(rows, start="2024-01-01"):
    """rows : (segment, period, target) or with a price and a path."""
    first = np.datetime64(start, "us")
    records = []
    for number, row in enumerate(rows):
        segment, period, target, *more = row
        price, path = [*more, *([1.0, "a.csv"][len(more) :])]
        moment = (first + np.timedelta64(period, "D")).item()
        place = {"path": path, "row": number, "path_id": f"id-{path}", "input_id": f"content-{path}"}
        records.append({"segment": segment, "hash": 0, "time": moment, "target": target, "x_price": price} | place)
    schema = [("segment", pa.string()), ("hash", pa.int64()), ("time", pa.timestamp("us", "UTC"))]
    schema += [("target", pa.float64()), ("x_price", pa.float64()), ("path", pa.string()), ("row", pa.int64())]
    return pa.Table.from_pylist(records, pa.schema([*schema, ("path_id", pa.string()), ("input_id", pa.string())]))


def series(key, values, start=0):
    return [(key, start + period, float(value)) for period, value in enumerate(values)]


def column(table, name):
    return table[name].to_pylist()


targets = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 0.0, 1.0])
row_lists = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(0, 30), targets, st.none() | st.floats(0, 10), st.sampled_from("ab")),
    max_size=40,
)


@given(
    row_lists,
    st.randoms(use_true_random=False),
    st.sampled_from(["first", "last"]),
    st.sampled_from(["keep", "exclude", "quarantine"]),
)
def test_the_result_does_not_depend_on_the_order_of_the_rows(fleet, rows, random, duplicates, outliers):
    fleet = fleet.forecast(validation={"duplicates": duplicates, "outliers": outliers, "outlier_threshold": 3.0})
    table = landed(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    one, other = partition_bucket(table, fleet), partition_bucket(table.take(pa.array(order, pa.int64())), fleet)
    assert one.observations.equals(other.observations)
    assert one.rejected.equals(other.rejected)
    assert one.profiles.equals(other.profiles)
    keys = [("level", "ascending"), ("time", "ascending")]
    assert one.levels.sort_by(keys).equals(other.levels.sort_by(keys))


@given(row_lists, st.sampled_from(["first", "last"]), st.sampled_from(["keep", "exclude", "quarantine"]))
def test_every_row_is_kept_or_rejected_once(fleet, rows, duplicates, outliers):
    fleet = fleet.forecast(validation={"duplicates": duplicates, "outliers": outliers, "outlier_threshold": 3.0})
    bucket = partition_bucket(landed(rows), fleet)
    assert sorted(column(bucket.observations, "row") + column(bucket.rejected, "row")) == list(range(len(rows)))
    kept = list(zip(column(bucket.observations, "segment"), column(bucket.observations, "time"), strict=True))
    assert kept == sorted(set(kept))
    assert sum(column(bucket.profiles, "rows")) == bucket.observations.num_rows


@pytest.mark.parametrize(("which", "kept"), [("first", [3.0, 4.0]), ("last", [5.0, 4.0])])
def test_the_last_file_by_name_has_the_row_of_a_period_and_within_it_the_setting_decides(fleet, which, kept):
    fleet = fleet.forecast(validation={"duplicates": which})
    key = KEYS[0]
    files = [("2023-10.csv", 3.0), ("2023-9.csv", 1.0), ("2023-1.csv", 2.0), ("2023-10.csv", 5.0)]
    rows = [*((key, 0, value, 1.0, path) for path, value in files), (key, 1, 4.0)]
    bucket = partition_bucket(landed(rows), fleet)
    assert column(bucket.observations, "target") == kept
    assert set(column(bucket.rejected, "reason")) == {"duplicate"}
    rejected = bucket.rejected.to_pylist()[0]
    assert rejected["input_id"] == f"content-{rejected['path']}"
    assert json.loads(rejected["content"])["segment"] == key


def test_two_days_of_one_week_are_one_period_of_a_weekly_fleet(fleet):
    fleet = fleet.forecast(time={"column": "day", "frequency": "W"})
    bucket = partition_bucket(landed(series(KEYS[0], range(14))), fleet)  # 2024-01-01 is a Monday
    assert column(bucket.observations, "target") == [0, 7]
    assert bucket.rejected.num_rows == 12


def rides(keys):
    """Rows of a regression fleet without a time, with these row keys."""
    table = landed([("route=7", 0, 1.0)] * len(keys))
    table = table.append_column("x_distance", table["x_price"]).append_column("c_weather", table["path"])
    table = table.set_column(2, "time", pa.nulls(len(keys), pa.timestamp("us", "UTC")))
    return table.append_column("k_ride", pa.array(keys, pa.string()))


def test_rows_of_a_regression_fleet_are_duplicates_by_their_key(fleet):
    table = rides(["a", "b", "a", None, None])
    bucket = partition_bucket(table, fleet.regression())
    assert bucket.observations["row"].to_pylist() == [0, 1, 3, 4]
    assert bucket.rejected["row"].to_pylist() == [2]
    assert "this ride" in bucket.rejected["detail"][0].as_py()
    last = partition_bucket(table, fleet.regression(validation={"duplicates": "last"}))
    assert last.rejected["row"].to_pylist() == [0]


def test_rows_of_a_regression_fleet_without_a_key_are_never_duplicates(fleet):
    bucket = partition_bucket(rides(["a", "a"]), fleet.regression(row_key=[]))
    assert bucket.observations.num_rows == 2
    profile = bucket.profiles.to_pylist()[0]
    assert (profile["rows"], profile["periods"], profile["gaps"], profile["first_time"]) == (2, 2, 0, None)
    assert bucket.levels.num_rows == 0


WITH_PEAK = [10.0, 11.0, 9.0, 10.0, 12.0, 500.0, 11.0, 10.0, 9.0, 10.0, 11.0, 12.0]


def test_outliers_are_kept_excluded_or_quarantined(fleet):
    table = landed(series(KEYS[0], WITH_PEAK))
    kept = partition_bucket(table, fleet.forecast(validation={"outliers": "keep"}))
    excluded = partition_bucket(table, fleet.forecast(validation={"outliers": "exclude"}))
    removed = partition_bucket(table, fleet.forecast(validation={"outliers": "quarantine"}))
    assert not any(column(kept.observations, "excluded"))
    assert [number for number, out in enumerate(column(excluded.observations, "excluded")) if out] == [5]
    assert column(excluded.profiles, "excluded") == [1]
    assert excluded.observations.num_rows == 12
    assert column(removed.observations, "target") == [*WITH_PEAK[:5], *WITH_PEAK[6:]]
    assert column(removed.rejected, "reason") == ["outlier"]
    assert removed.rejected.to_pylist()[0]["detail"] == "more than 8 robust deviations off"


def test_the_threshold_decides_what_is_an_outlier(fleet):
    table = landed(series(KEYS[0], WITH_PEAK))
    bucket = partition_bucket(table, fleet.forecast(validation={"outliers": "exclude", "outlier_threshold": 1e6}))
    assert not any(column(bucket.observations, "excluded"))


def slow_outliers(values, threshold):
    n = len(values)
    centre = [np.median([values[j] for j in range(max(0, i - 3), min(n, i + 4))]) for i in range(n)]
    distance = np.abs(np.array(values) - centre)
    spread = 1.4826 * np.median(distance)
    spread = spread if spread > 0 else 1.2533 * np.mean(distance)
    return [bool(spread > 0 and each > threshold * spread) for each in distance]


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, 50.0, 99.0]), min_size=1, max_size=15), min_size=1, max_size=4
    )
)
def test_outliers_are_those_of_a_slow_loop_over_each_segment_alone(fleet, groups):
    fleet = fleet.forecast(validation={"outliers": "exclude", "outlier_threshold": 2.0})
    rows = [row for key, values in zip(KEYS, groups, strict=False) for row in series(key, values)]
    observations = partition_bucket(landed(rows), fleet).observations
    for key, values in zip(KEYS, groups, strict=False):
        excluded = column(observations.filter(pc.equal(observations["segment"], key)), "excluded")
        assert excluded == slow_outliers(values, 2.0)


def slow_profile(group):
    values = group["target"]
    first, last = group["time"].min(), group["time"].max()
    periods = (last - first).days + 1
    demand = values[values != 0]
    n_demand = max(len(demand), 1)
    variation = (demand.std(ddof=0) / demand.mean()) ** 2 if len(demand) and demand.mean() else 0.0
    often, varied = periods / n_demand > 1.32, variation > 0.49
    return {
        "rows": len(group),
        "periods": periods,
        "gaps": periods - len(group),
        "first_time": first,
        "last_time": last,
        "mean": values.mean(),
        "std": values.std(ddof=0),
        "zero_share": (values == 0).mean(),
        "interval": periods / n_demand,
        "variation": variation,
        "demand": ("lumpy" if varied else "intermittent") if often else ("erratic" if varied else "smooth"),
    }


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(KEYS), st.integers(0, 8)), st.sampled_from([0.0, 0.0, 1.0, 2.0, 30.0]), min_size=1
    ),
    st.sampled_from([0.0, 1e9]),
)
def test_profiles_are_those_of_slow_pandas(fleet, cells, shift):
    rows = [(key, period, value + shift if value else 0.0) for (key, period), value in cells.items()]
    table = landed(rows)
    profiles = partition_bucket(table, fleet.forecast()).profiles
    frame = table.to_pandas()
    assert column(profiles, "segment") == sorted({row[0] for row in rows})
    for profile in profiles.to_pylist():
        expected = slow_profile(frame[frame["segment"] == profile["segment"]])
        figures = {name: profile[name] for name in expected}
        near = ("mean", "std", "zero_share", "interval", "variation")
        assert {n: v for n, v in figures.items() if n not in near} == {
            n: v for n, v in expected.items() if n not in near
        }
        for name in near:
            assert figures[name] == pytest.approx(expected[name], rel=1e-6, abs=1e-9), name


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([5, 6, 5, 6] * 5, "smooth"),
        ([5, 6, 5, 0, 6] * 4, "smooth"),
        ([5, 6, 0, 5] * 5, "intermittent"),
        ([1, 9, 1, 1, 9] * 4, "erratic"),
        ([1, 6, 1, 6, 6] * 4, "smooth"),
        ([1, 90, 2, 80, 1, 1] * 4, "erratic"),
        ([0, 0, 5, 0, 0, 6] * 4, "intermittent"),
        ([0, 0, 1, 0, 0, 90] * 4, "lumpy"),
        ([0] * 10, "intermittent"),
    ],
)
def test_demand_classes_are_those_of_syntetos_and_boylan(fleet, values, kind):
    profiles = partition_bucket(landed(series(KEYS[0], values)), fleet.forecast()).profiles
    assert column(profiles, "demand") == [kind]


def fingerprints(fleet, rows):
    profiles = partition_bucket(landed(rows), fleet).profiles
    return dict(zip(column(profiles, "segment"), column(profiles, "fingerprint"), strict=True))


def test_a_fingerprint_changes_when_and_only_when_the_segments_rows_do(fleet):
    fleet = fleet.forecast()
    rows = [row for key in KEYS for row in series(key, [1, 2, 3, 4])]
    base = fingerprints(fleet, rows)
    assert len(set(base.values())) == 1, "equal rows, equal fingerprints"
    assert fingerprints(fleet, rows[::-1]) == base
    elsewhere = [(key, period, value, 1.0, "other.csv") for key, period, value in rows]
    assert fingerprints(fleet, elsewhere) == base
    key = KEYS[0]
    changes = {
        "target": [(key, 0, 1.5), *rows[1:]],
        "time": [(key, -1, 1.0), *rows[1:]],
        "feature": [(key, 0, 1.0, 2.0), *rows[1:]],
        "feature missing": [(key, 0, 1.0, None), *rows[1:]],
        "row gone": rows[1:],
        "row more": [*rows, (key, 4, 5.0)],
    }
    seen = {base[key]}
    for name, changed in changes.items():
        hashes = fingerprints(fleet, changed)
        assert {k: v for k, v in hashes.items() if k != key} == {k: v for k, v in base.items() if k != key}, name
        assert hashes[key] not in seen, name
        seen.add(hashes[key])


def test_a_fingerprint_tells_whether_an_outlier_is_excluded(fleet):
    rows = series(KEYS[0], WITH_PEAK)
    kept = fingerprints(fleet.forecast(validation={"outliers": "keep"}), rows)
    assert kept != fingerprints(fleet.forecast(validation={"outliers": "exclude"}), rows)


@given(row_lists)
def test_levels_add_up_what_their_segments_hold(fleet, rows):
    fleet = fleet.forecast(validation={"outliers": "exclude", "outlier_threshold": 3.0})
    bucket = partition_bucket(landed(rows), fleet)
    frame = bucket.observations.to_pandas()
    frame = frame[~frame["excluded"].astype(bool)]
    brand = frame["segment"].str.extract(r"(brand=\w)")[0] if len(frame) else frame["segment"]
    doubled = pd.concat([frame.assign(level=brand), frame.assign(level="*")])
    expected = doubled.groupby(["level", "time"]).agg(
        rows=("target", "size"), target=("target", "sum"), x_price=("x_price", lambda price: price.sum(min_count=1))
    )
    sums = bucket.levels.to_pandas().set_index(["level", "time"]).sort_index()
    assert list(sums.index) == list(expected.index)
    assert sums["rows"].tolist() == expected["rows"].tolist()
    np.testing.assert_allclose(sums["target"], expected["target"], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(sums["x_price"], expected["x_price"].astype(float), rtol=1e-9, atol=1e-9)


def test_level_keys_follow_the_fleets_order(fleet):
    keys = fallback_keys(["store=1/brand=a%2Fb"], fleet.forecast())
    assert list(keys.items()) == [("brand", ["brand=a%2Fb"]), ("global", ["*"])]


def test_a_bucket_without_rows_gives_tables_without_rows(fleet):
    bucket = partition_bucket(landed([]), fleet.forecast(validation={"outliers": "exclude"}))
    assert [table.num_rows for table in (bucket.observations, bucket.rejected, bucket.profiles, bucket.levels)] == [
        0
    ] * 4


@pytest.mark.parametrize(
    ("segments", "rows", "buckets"),
    [(0, 0, 1), (1, 10, 1), (9, 10, 2), (64, 1000, 8), (1000, 1000, 8), (1025, 1000, 9), (10_000, 10_000_000, 79),
     (3, 10_000_000, 20), (10**7, 10**9, 4096)],
)  # fmt: skip
def test_bucket_counts_follow_segments_and_rows(segments, rows, buckets):
    assert bucket_count(segments, rows) == buckets


@given(st.lists(st.sampled_from("abc")))
def test_runs_cover_the_column_once(values):
    values = sorted(values)
    for codes in (
        pa.array(values, pa.string()),
        pa.chunked_array([pa.array(values, pa.string())]),
        np.array(values, dtype="U1"),
    ):
        starts, lengths = run_length_encode(codes)
        assert [values[start] for start in starts] == sorted(set(values))
        assert lengths.tolist() == [values.count(value) for value in sorted(set(values))]
        assert starts.tolist() == np.cumsum([0, *lengths])[:-1].tolist()
