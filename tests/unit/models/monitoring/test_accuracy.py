"""Figures of accuracy: right by hand, and the same whether measured at once or put together."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.data.tables import ACCURACY, PREDICTIONS
from models.monitoring.accuracy import FIGURES, accuracy_by, measure_accuracy

KINDS = {name: PREDICTIONS.schema.field(name).type for name in ("segment", "step", "release", "time", "prediction")}
KINDS |= {"lower": pa.float64(), "upper": pa.float64(), "target": pa.float64()}
KINDS |= {"in_sample": pa.bool_(), "excluded": pa.bool_()}


def joined(*rows, **columns):
    """Rows of (segment, step, prediction, target); everything else the same in all of them."""
    n = len(rows)
    values = {
        name: [row[place] for row in rows] for place, name in enumerate(("segment", "step", "prediction", "target"))
    }
    values |= {"release": [1] * n, "in_sample": [False] * n, "excluded": [False] * n}
    values |= {"time": [pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day) for day in range(n)]}
    values |= {"lower": [row[2] - 1.5 for row in rows], "upper": [row[2] + 1.5 for row in rows]}
    return pa.table({name: pa.array((values | columns)[name], kind) for name, kind in KINDS.items()})


def test_figures_are_those_of_a_calculation_by_hand():
    (row,) = measure_accuracy(joined(("a", 1, 12.0, 10.0), ("a", 1, 9.0, 10.0), ("a", 1, 0.0, 0.0))).to_pylist()
    assert (row["rows"], row["excluded"], row["interval_rows"]) == (3, 0, 3)
    assert row["mae"] == pytest.approx(1.0)
    assert row["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert row["bias"] == pytest.approx(1 / 3)
    assert (row["absolute_error"], row["absolute_actual"], row["wape"]) == (3.0, 20.0, pytest.approx(0.15))
    assert row["smape"] == pytest.approx((200 * 2 / 22 + 200 / 19) / 3)
    assert row["coverage"] == pytest.approx(2 / 3)
    assert (f"{row['first_time']:%d}", f"{row['last_time']:%d}") == ("01", "03")


def test_excluded_outliers_are_counted_and_left_out():
    rows = joined(("a", 1, 1.0, 2.0), ("a", 1, 1.0, 900.0), ("b", 1, 1.0, 900.0), excluded=[False, True, True])
    first, second = measure_accuracy(rows).to_pylist()
    assert (first["rows"], first["excluded"], first["mae"]) == (1, 1, 1.0)
    assert (second["rows"], second["excluded"], second["mae"], second["wape"], second["coverage"]) == (0, 1) + (
        None,
    ) * 3


def test_rows_without_an_interval_do_not_count_for_coverage():
    rows = joined(("a", 1, 1.0, 1.0), ("a", 1, 1.0, 1.0), lower=[0.0, None], upper=[2.0, None])
    (row,) = measure_accuracy(rows).to_pylist()
    assert (row["rows"], row["interval_rows"], row["coverage"]) == (2, 1, 1.0)


def test_steps_releases_and_models_that_had_seen_the_future_stand_apart():
    rows = joined(*[("a", 1 + i % 2, 1.0, 1.0) for i in range(8)], release=[1, 1, 1, 1, 2, 2, 2, 2])
    rows = rows.set_column(rows.column_names.index("in_sample"), "in_sample", pa.array([False, False, True, True] * 2))
    assert measure_accuracy(rows).num_rows == 8


def test_a_regression_fleet_has_no_steps():
    rows = joined(("a", None, 1.0, 2.0), ("a", None, 1.0, 3.0))
    (row,) = measure_accuracy(rows).to_pylist()
    assert (row["step"], row["rows"], row["mae"]) == (None, 2, 1.5)


def test_nothing_gives_nothing():
    assert measure_accuracy(joined()).num_rows == 0
    assert accuracy_by(ACCURACY.schema.empty_table(), ("step", "in_sample")).num_rows == 0


number = st.floats(-1e3, 1e3)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), number, number, st.booleans()), min_size=1))
def test_groups_put_together_are_as_if_measured_at_once(rows):
    table = joined(*[row[:4] for row in rows], excluded=[row[4] for row in rows])
    at_once = measure_accuracy(table.set_column(0, "segment", pa.array(["all"] * len(rows)))).to_pylist()
    together = accuracy_by(measure_accuracy(table), ("step", "in_sample")).to_pylist()
    for one, other in zip(at_once, together, strict=True):
        for name in (*FIGURES, "excluded", "first_time", "last_time"):
            assert other[name] == (pytest.approx(one[name], abs=1e-6) if isinstance(one[name], float) else one[name])
