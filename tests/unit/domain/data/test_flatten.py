"""Keys in columns of their own, and times in the zone of the fleet."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from domain.data.flatten import split_keys, to_csv_values, written_zone


def test_row_keys_become_columns_next_to_the_key(fleet):
    made = fleet.regression(row_key=["ride", "day", "status"])
    keys = [
        {"ride": 'Zoë "1"\n', "day": "2024-01-05", "status": "007"},
        {"ride": "2", "day": None, "status": "x" * 3_000_000},
        None,
    ]
    texts = [None if key is None else json.dumps(key, ensure_ascii=bool(number)) for number, key in enumerate(keys)]
    rows = pa.table(
        {"segment": ["route=a"] * 3, "status": ["ok"] * 3, "row_key": pa.array(texts, pa.string()), "last": [1, 2, 3]}
    )
    table = split_keys(rows, made)
    assert table.column_names == ["segment", "route", "status", "row_key", "ride", "day", "row_status", "last"]
    assert table["row_key"].to_pylist() == texts
    assert table["ride"].to_pylist() == ['Zoë "1"\n', "2", None]
    assert table["day"].to_pylist() == ["2024-01-05", None, None]
    assert table["row_status"].to_pylist() == ["007", "x" * 3_000_000, None]


def test_an_empty_table_has_the_columns_too_and_other_tables_have_none(fleet):
    made = fleet.regression()
    empty = pa.table({"segment": pa.array([], pa.string()), "row_key": pa.array([], pa.string())})
    assert split_keys(empty, made).schema.field("ride").type == pa.string()
    assert "ride" not in split_keys(pa.table({"segment": ["route=a"]}), made).column_names
    forecast = pa.table({"segment": ["store=1/brand=x"], "row_key": pa.array([None], pa.string())})
    assert split_keys(forecast, fleet.forecast()).column_names == ["segment", "store", "brand", "row_key"]


@pytest.mark.parametrize(
    ("frequency", "zone", "texts"),
    [
        ("h", "Europe/Berlin", ["2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00", "2024-10-27T03:00:00+01:00"]),
        ("h", "auto", ["2024-10-27T00:00:00Z", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00Z"]),
        ("D", "Europe/Berlin", ["2024-10-27T00:00:00Z", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00Z"]),
    ],
)
def test_hours_are_written_in_the_zone_of_the_fleet_with_the_offset(fleet, frequency, zone, texts):
    made = fleet.forecast(time={"column": "day", "frequency": frequency, "zone": zone})
    times = pa.array([datetime(2024, 10, 27, hour, tzinfo=UTC) for hour in range(3)], pa.timestamp("us", "UTC"))
    table = to_csv_values(pa.table({"time": times}), written_zone(made))
    assert table["time"].to_pylist() == texts
    odd = pa.table({"time": pa.array([datetime(2024, 7, 1, 0, 0, 0, 5, tzinfo=UTC), None], pa.timestamp("us", "UTC"))})
    written = to_csv_values(odd, written_zone(made))["time"].to_pylist()
    assert written[1] is None
    assert written[0] == (
        "2024-07-01T02:00:00.000005+02:00"
        if (frequency, zone) == ("h", "Europe/Berlin")
        else "2024-07-01T00:00:00.000005Z"
    )
