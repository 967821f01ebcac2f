"""Folders whose names give columns: `store=1/year=2022/part-0.parquet`."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.sources.kinds import kind_of, list_inputs
from adapters.sources.reader import column_names, head_rows, read_chunks
from domain.config.source import Source


def put(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return
    rows = [",".join(table.column_names), *(",".join(map(str, row.values())) for row in table.to_pylist())]
    content = ("\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def chunks(folder, columns, place="data"):
    source = Source(path=place)
    return [chunk for item in list_inputs(source, folder).inputs for chunk in read_chunks(item, source, columns)]


def rows(folder, columns, place="data"):
    return [tuple(row.values()) for chunk in chunks(folder, columns, place) for row in chunk.table.to_pylist()]


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz"])
@pytest.mark.parametrize("place", ["data", "data/*/*/*", "data/store=*/year=2022/a.*"])
def test_folders_give_columns_as_text(tmp_path, name, place):
    for store in ("1", "2"):
        put(tmp_path / f"data/store={store}/year=2022" / name, pa.table({"units": [float(store)]}))
    assert [(store, year) for store, year, _ in rows(tmp_path, ["store", "year", "units"], place)] == [
        ("1", "2022"),
        ("2", "2022"),
    ]
    source = Source(path=place)
    item = list_inputs(source, tmp_path).inputs[1]
    assert column_names(item, source) == ["units", "store", "year"]
    assert head_rows(item, source, 5)["store"].to_pylist() == ["2"]


def test_names_of_folders_are_decoded_and_a_default_partition_is_null(tmp_path):
    table = pa.table({"units": [1.0, 2.0]})
    for value in ("a%20b%2F%C3%BC", "__HIVE_DEFAULT_PARTITION__", "", "x=y"):
        put(tmp_path / f"data/na%20me={value}/a.parquet", table)
    values = [value for (value,) in rows(tmp_path, ["na me"])]
    assert values == ["", "", None, None, "a b/ü", "a b/ü", "x=y", "x=y"]


def test_a_file_keeps_its_own_column_and_a_difference_is_told(tmp_path):
    row = pa.table({"store": [1], "month": [5], "day": ["2022-05-01T13:00"]})
    put(tmp_path / "data/store=1/month=05/day=2022-05-01/a.csv", row)
    assert [chunk.remarks for chunk in chunks(tmp_path, ["store", "month", "day"])] == [()]
    put(tmp_path / "data/store=2/a.csv", pa.table({"store": [2, 3, 3]}))
    (*_, last) = chunks(tmp_path, ["store"])
    assert last.table["store"].to_pylist() == ["2", "3", "3"]
    told = "column 'store': 3 in the file, and 2 in the name of its folder; that of the file is taken"
    assert last.remarks == (told,)
    assert [chunk.remarks for chunk in chunks(tmp_path, ["store"], "data/store=1")] == [()]


def test_the_same_bytes_in_two_folders_are_other_rows_if_the_folders_count(tmp_path):
    for store in ("1", "2"):
        put(tmp_path / f"data/store={store}/a.parquet", pa.table({"units": [1.0]}))
    source = Source(path="data")
    one, two = list_inputs(source, tmp_path).inputs
    with_store, without = (
        [kind_of(item).content(item, source, columns) for item in (one, two)] for columns in (["store"], ["units"])
    )
    assert with_store[0] != with_store[1]
    assert without[0] == without[1]
    assert {len(content) for content in with_store + without} == {16}


def test_a_constant_of_the_source_counts_more_than_a_folder(tmp_path):
    put(tmp_path / "data/store=1/a.csv", pa.table({"units": [1.0]}))
    source = Source(path="data", constants={"store": "all"})
    (item,) = list_inputs(source, tmp_path).inputs
    (chunk,) = read_chunks(item, source, ["store", "units"])
    assert chunk.table["store"].to_pylist() == ["all"]
    assert column_names(item, source) == ["units", "store"]
