import pyarrow as pa

from adapters.databases.tables import to_database_rows


def test_names_of_segment_columns_fit_into_every_database():
    rows = pa.table({"segment": ["a=1"], "value": [float("nan")]})
    long = "x" * 70
    names = to_database_rows(rows, "shop", ["Store", "store", "VALUE", "fleet", long, f"{long}y"]).column_names
    assert names[:6] == ["fleet", "segment", "Store", "store_2", "VALUE_2", "segment_fleet"]
    assert names[6:] == ["x" * 63, f"{'x' * 59}_2", "value"]


def test_nan_becomes_null():
    rows = pa.table({"segment": ["a=1", "a=2"], "value": [float("nan"), 2.0]})
    assert to_database_rows(rows, "shop", ["a"])["value"].to_pylist() == [None, 2.0]
