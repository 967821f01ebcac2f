"""Which forecasts are current, and tables for other programs."""

from datetime import UTC, datetime

import pyarrow as pa

from domain.data.current_forecasts import latest_forecasts
from domain.data.flatten import split_segments, to_csv_values

TIME = pa.timestamp("us", tz="UTC")


def day(number):
    return None if number is None else datetime(2024, 1, number, tzinfo=UTC)


def rows(*values):
    """Rows of (segment, origin, time, scored_at), the last three as days."""
    names = ("segment", "origin", "time", "scored_at")
    columns = {name: [value[place] for value in values] for place, name in enumerate(names)}
    made = {name: pa.array([day(number) for number in columns[name]], TIME) for name in names[1:]}
    return pa.table({"segment": pa.array(columns["segment"], pa.string())} | made)


def current(table):
    return [(row["segment"], row["time"].day) for row in latest_forecasts(table).to_pylist()]


def test_the_newest_origin_of_each_segment_is_current_in_order():
    table = rows(("b", 2, 4, 9), ("b", 2, 3, 9), ("b", 1, 3, 9), ("a", 5, 6, 1), ("a", 4, 5, 9))
    assert current(table) == [("a", 6), ("b", 3), ("b", 4)]


def test_rows_without_a_model_are_current_where_there_is_nothing_else_and_only_those_of_the_newest_job():
    table = rows(("a", None, 3, 1), ("a", None, 5, 2), ("b", None, 3, 2), ("b", 2, 4, 1))
    assert current(table) == [("a", 5), ("b", 4)]


def test_nothing_gives_nothing():
    assert current(rows()) == []


def test_keys_become_columns_beside_the_segment_with_their_true_values():
    table = pa.table({"time": [1, 2, 3, 4], "segment": ["store=1%2F2/time=ä", "store=x%3Dy/time=b", "store=9", "*"]})
    split = split_segments(table, ["store", "time"])
    assert split.column_names == ["time", "segment", "store", "segment_time"]
    assert split["store"].to_pylist() == ["1/2", "x=y", "9", None]
    assert split["segment_time"].to_pylist() == ["ä", "b", None, None]
    assert split_segments(table.drop_columns(["segment"]), ["store"]).column_names == ["time"]


def test_text_has_iso_times_no_bytes_and_nothing_for_no_number():
    times = [datetime(2024, 6, 30, 17, tzinfo=UTC), datetime(2024, 6, 30, 17, 0, 0, 250000, tzinfo=UTC), None]
    table = pa.table({"t": pa.array(times, TIME), "x": [1.5, float("nan"), None], "onnx": [b"1", b"2", b"3"]})
    flat = to_csv_values(table)
    assert flat.column_names == ["t", "x"]
    assert flat["t"].to_pylist() == ["2024-06-30T17:00:00Z", "2024-06-30T17:00:00.250000Z", None]
    assert flat["x"].to_pylist() == [1.5, None, None]
