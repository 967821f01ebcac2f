"""Keys in columns of their own."""

import json

import pyarrow as pa

from domain.data.flatten import split_keys


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
