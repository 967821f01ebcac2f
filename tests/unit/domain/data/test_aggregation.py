"""Several rows of a period become one: as pandas does it, in any order, and only where the fleet says so."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.config.aggregate import rule_of
from domain.data.aggregation import aggregate_periods
from domain.data.partitioning import partition_bucket
from domain.data.validation import validate_rows
from domain.errors import FleetError

FEATURES = {"known": ["price", "promo"], "categorical": ["kind"]}
RULES = {"units": "sum", "price": "min", "promo": "max", "kind": "last"}


def landed(rows):
    """rows : (segment, hour, target, price, promo, kind, path)."""
    frame = pd.DataFrame(rows, columns=["segment", "hour", "target", "x_price", "x_promo", "c_kind", "path"])
    first = np.datetime64("2024-01-01", "us")
    times = first + frame.pop("hour").to_numpy(np.int64) * np.timedelta64(3_600_000_000, "us")
    table = pa.table({"segment": pa.array(frame.segment, pa.string()), "hash": pa.array([0] * len(frame), pa.int64())})
    table = table.append_column("time", pa.array(times).cast(pa.timestamp("us", "UTC")))
    for name in ("target", "x_price", "x_promo"):
        table = table.append_column(name, pa.array(frame[name], pa.float64(), from_pandas=True))
    table = table.append_column("c_kind", pa.array([row[5] for row in rows], pa.string()))
    table = table.append_column("path", pa.array(frame.path.tolist(), pa.string()))
    table = table.append_column("row", pa.array(range(len(frame)), pa.int64()))
    return table.append_column("path_id", table["path"]).append_column("input_id", table["path"])


values = st.none() | st.integers(-50, 50)
row_lists = st.lists(
    st.tuples(
        st.sampled_from(["store=1/brand=x", "store=2/brand=x"]),
        st.integers(0, 100),
        st.integers(-50, 50),
        values,
        values,
        st.none() | st.sampled_from("ab"),
        st.sampled_from(["in/9.csv", "in/10.csv"]),
    ),
    min_size=1,
    max_size=60,
)


@given(row_lists, st.randoms(use_true_random=False), st.sampled_from(["sum", "mean", "min", "max", "last"]))
def test_it_is_what_pandas_makes_of_the_rows_in_any_order(fleet, rows, random, rule):
    fleet = fleet.forecast(features=FEATURES, aggregate=RULES | {"units": rule})
    table = landed(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    result = partition_bucket(table.take(pa.array(order)), fleet)
    frame = table.to_pandas()
    frame["file"] = frame.path.map({"in/9.csv": 0, "in/10.csv": 1})
    frame = frame.sort_values(["segment", "time", "file", "row"], kind="stable")
    groups = frame.groupby(["segment", frame.time.dt.floor("D")])
    made = result.observations.to_pandas()
    assert made[["segment", "time"]].to_numpy().tolist() == [list(key) for key in groups.groups]
    last = groups["target"].last() if rule == "last" else getattr(groups["target"], rule)()
    assert made.target.to_numpy() == pytest.approx(last.to_numpy(), abs=1e-9)
    for column, how in (("x_price", "min"), ("x_promo", "max"), ("row", "last"), ("path", "last")):
        expected = getattr(groups[column], how)().tolist() if column != "row" else groups["row"].nth(-1).tolist()
        assert made[column].fillna(-1).tolist() == pd.Series(expected).fillna(-1).tolist(), column
    assert made.c_kind.fillna("").tolist() == groups["c_kind"].last().fillna("").tolist()
    assert not result.rejected.num_rows


def test_without_the_setting_rows_stay_and_repeated_ones_are_rejected(fleet):
    table = landed([("store=1/brand=x", 1, 2.0, 1, 1, "a", "a.csv"), ("store=1/brand=x", 2, 3.0, 1, 1, "a", "a.csv")])
    plain = fleet.forecast(features=FEATURES)
    assert aggregate_periods(table, plain) is table
    assert partition_bucket(table, plain).rejected["reason"].to_pylist() == ["duplicate"]
    assert "aggregate" not in plain.model_dump()


def test_inputs_can_be_kept_apart(fleet):
    rows = [("store=1/brand=x", hour, 1.0, price, 0, "a", path) for hour, price, path in
            ((1, 2.0, "a"), (2, 4.0, "a"), (3, 9.0, "b"))]  # fmt: skip
    table = aggregate_periods(landed(rows), fleet.forecast(features=FEATURES, aggregate="sum"), within=("path_id",))
    assert table["x_price"].to_pylist() == [3.0, 9.0]
    assert table["path"].to_pylist() == ["a", "b"]


def test_a_scoring_input_without_a_target_keeps_it_missing(fleet):
    table = landed([("store=1/brand=x", 1, None, 2, 1, "a", "a"), ("store=1/brand=x", 2, None, 4, 1, "b", "a")])
    (row,) = aggregate_periods(table, fleet.forecast(features=FEATURES, aggregate="sum")).to_pylist()
    assert (row["target"], row["x_price"], row["c_kind"]) == (None, 3.0, "b")


def test_what_is_counted_may_be_text(fleet):
    counted = fleet.forecast(features={}, aggregate="count")
    days = ["2024-01-01", "2024-01-01", "2024-01-01", "2024-01-02"]
    raw = pa.table({"store": ["1"] * 4, "brand": ["x"] * 4, "day": days, "units": ["A-1", "A-2", " ", "A-4"]})
    result = validate_rows(raw, np.arange(4), counted, needs_target=True)
    assert result.rejected["reason"].to_pylist() == ["null_target"]
    assert aggregate_periods(result.accepted, counted)["target"].to_pylist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("aggregate", "message"),
    [
        ({"price": "mean"}, "aggregate: the target 'units' has no rule; add it, such as units: sum"),
        ({"units": "sum", "cost": "mean"}, "aggregate: 'cost' is neither the target nor a feature: units, price"),
        ({"units": "sum", "kind": "max"}, "aggregate: 'kind' is text, of which only the last value can be kept"),
        ("median", "aggregate"),
    ],
)
def test_a_contradiction_is_refused(fleet, aggregate, message):
    with pytest.raises(FleetError) as caught:
        fleet.forecast(features=FEATURES, aggregate=aggregate)
    assert message in str(caught.value)


def test_a_regression_fleet_has_no_periods(fleet):
    with pytest.raises(FleetError, match="aggregate: task regression has rows and no periods"):
        fleet.regression(aggregate="sum")


def test_covariates_have_their_mean_and_texts_their_last_value(fleet):
    made = fleet.forecast(features=FEATURES, aggregate="sum")
    assert [rule_of(made, name) for name in ("units", "price", "kind")] == ["sum", "mean", "last"]
    renamed = fleet.forecast(features=FEATURES, aggregate=RULES, test={"source": {"path": "t"}, "target": "sold"})
    assert rule_of(renamed.actuals_fleet, "sold") == "sum"
