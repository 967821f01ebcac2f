"""Delta tables as sources: the rows of a version, and nothing that its log does not count."""

import os
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from delta_tables import change_log, write_table_by_hand
from deltalake import DeltaTable, write_deltalake

from adapters.lake.local_files import confined_to
from adapters.sources.kinds import list_inputs
from adapters.sources.reader import column_names, head_rows, read_chunks
from domain.config.source import Source
from domain.errors import SourceError

ROWS = pa.table({"store": ["a", "a", "b", "b"], "units": [1.0, 2.0, 3.0, 4.0]})


def read(place, columns=("store", "units"), home="/", **settings):
    source, home = Source(path=str(place), **settings), Path(home)
    tables = [
        chunk.table for item in list_inputs(source, home).inputs for chunk in read_chunks(item, source, list(columns))
    ]
    return sorted(tuple(row.values()) for table in tables for row in table.to_pylist())


def test_the_rows_of_the_newest_version_are_read_or_those_of_a_chosen_one(tmp_path):
    write_deltalake(tmp_path / "t", ROWS)
    DeltaTable(tmp_path / "t").delete("store = 'a'")
    write_deltalake(tmp_path / "t", pa.table({"store": ["c"], "units": [5.0]}), mode="append")
    assert read(tmp_path / "t") == [("b", 3.0), ("b", 4.0), ("c", 5.0)]
    assert read("t", home=tmp_path) == read(f"{tmp_path}/t/")
    assert read(tmp_path / "t", version=0) == [("a", 1.0), ("a", 2.0), ("b", 3.0), ("b", 4.0)]
    assert read(tmp_path / "t", version=1, format="delta") == [("b", 3.0), ("b", 4.0)]


def test_a_version_is_that_of_the_source_and_of_no_other_place(tmp_path):
    write_deltalake(tmp_path / "t", ROWS)
    write_deltalake(tmp_path / "t", ROWS, mode="append")
    source = Source(path="other", version=0)
    assert len(list_inputs(source, tmp_path, str(tmp_path / "t")).inputs) == 2


def test_partition_columns_are_columns_of_their_type(tmp_path):
    days = [date(2024, 1, 1), date(2024, 1, 1), date(2024, 1, 2), None]
    table = ROWS.append_column("day", pa.array(days)).append_column("odd", pa.array(["a b/ü%", "x=1", None, "é"]))
    write_deltalake(tmp_path / "t", table, partition_by=["day", "odd"])
    source = Source(path=str(tmp_path / "t"))
    inputs = list_inputs(source, tmp_path).inputs
    assert len(inputs) == 4
    assert {tuple(column_names(item, source)) for item in inputs} == {("store", "units", "day", "odd")}
    heads = pa.concat_tables([head_rows(item, source, 5) for item in inputs])
    assert heads.schema.field("day").type == pa.date32()
    expected = list(zip(ROWS["units"].to_pylist(), days, table["odd"].to_pylist(), strict=True))
    assert sorted(read(tmp_path / "t", ["units", "day", "odd"])) == sorted(expected)
    # A partition column alone has as many rows as its files.
    assert sorted(str(day) for (day,) in read_unsorted(tmp_path / "t", ["day"])) == sorted(map(str, days))


def read_unsorted(place, columns):
    source = Source(path=str(place))
    return [
        tuple(row.values())
        for item in list_inputs(source, place).inputs
        for chunk in read_chunks(item, source, columns)
        for row in chunk.table.to_pylist()
    ]


def test_a_column_that_is_younger_than_a_file_is_null_in_it(tmp_path):
    write_deltalake(tmp_path / "t", ROWS.slice(0, 1))
    more = pa.table({"store": ["z"], "units": [9.0], "price": [2.5]})
    write_deltalake(tmp_path / "t", more, mode="append", schema_mode="merge")
    assert read(tmp_path / "t", ["store", "price"]) == [("a", None), ("z", 2.5)]


def test_files_of_several_writers_have_the_types_of_the_table(tmp_path):
    write_deltalake(tmp_path / "t", ROWS)
    DeltaTable(tmp_path / "t").update({"units": "8.0"}, predicate="store = 'a' and units = 1.0")
    write_deltalake(tmp_path / "t", ROWS, mode="append")
    source = Source(path=str(tmp_path / "t"))
    chunks = [c for i in list_inputs(source, tmp_path).inputs for c in read_chunks(i, source, ["store", "units"])]
    assert {str(chunk.table.schema.types) for chunk in chunks} == {str([pa.string(), pa.float64()])}


@pytest.mark.parametrize("deleted", [(1, 3), (0,), (0, 1, 2, 3)])
def test_rows_that_a_deletion_vector_removes_do_not_come_back(tmp_path, deleted):
    write_table_by_hand(tmp_path / "t", ROWS, deleted)
    kept = [row for number, row in enumerate([("a", 1.0), ("a", 2.0), ("b", 3.0), ("b", 4.0)]) if number not in deleted]
    assert read(tmp_path / "t") == kept
    source = Source(path=str(tmp_path / "t"))
    (item,) = list_inputs(source, tmp_path).inputs
    assert head_rows(item, source, 3)["units"].to_pylist() == [units for _, units in kept][:3]
    rows = [int(row) for chunk in read_chunks(item, source, ["units"]) for row in chunk.rows]
    assert rows == [number for number in range(4) if number not in deleted]


def test_another_deletion_vector_is_a_change_of_the_file_and_a_new_version_is_none(tmp_path):
    write_table_by_hand(tmp_path / "t", ROWS)
    write_table_by_hand(tmp_path / "u", ROWS, (2,))
    source = Source(path=str(tmp_path / "t"))
    (plain,) = list_inputs(source, tmp_path).inputs
    (marked,) = list_inputs(source, tmp_path, str(tmp_path / "u")).inputs
    assert plain.stamp.startswith("v0-")
    assert plain.stamp != marked.stamp
    write_deltalake(tmp_path / "w", ROWS)
    (first,) = list_inputs(source, tmp_path, str(tmp_path / "w")).inputs
    write_deltalake(tmp_path / "w", ROWS, mode="append")
    later = list_inputs(source, tmp_path, str(tmp_path / "w"), {first.uri: first.stamp})
    stamps = {item.uri: item.stamp for item in later.inputs}
    assert stamps.pop(first.uri) == first.stamp
    assert [stamp[:3] for stamp in stamps.values()] == ["v1-"]


def test_renamed_columns_have_their_names_of_today(tmp_path):
    write_table_by_hand(tmp_path / "t", ROWS, renamed=True)
    assert read(tmp_path / "t") == [("a", 1.0), ("a", 2.0), ("b", 3.0), ("b", 4.0)]
    write_table_by_hand(tmp_path / "u", ROWS, renamed=True, mode="id")
    with pytest.raises(SourceError, match="maps its columns by id"):
        read(tmp_path / "u")


@pytest.mark.parametrize(
    "path", ["../x.parquet", "%2e%2e/x.parquet", "/etc/passwd", "file:///etc/passwd", "s3://b/x", "a/../../x"]
)
def test_a_log_that_names_a_place_outside_of_the_table_is_refused(tmp_path, path):
    write_table_by_hand(tmp_path / "t", ROWS)
    change_log(tmp_path / "t", lambda add: add.update(path=path))
    with pytest.raises(SourceError, match="outside of the table"):
        read(tmp_path / "t")


def test_a_deletion_vector_elsewhere_is_refused_unread(tmp_path):
    write_table_by_hand(tmp_path / "t", ROWS, (1,))
    (tmp_path / "v.bin").write_bytes(b"abc")
    change_log(
        tmp_path / "t",
        lambda add: add["deletionVector"].update(storageType="p", pathOrInlineDv=f"file://{tmp_path}/v.bin", offset=1),
    )
    with pytest.raises(SourceError, match=r"names file://.*v\.bin, which is outside of the table"):
        read(tmp_path / "t")


def test_a_table_must_lie_below_the_allowed_folders_with_its_log_and_its_files(tmp_path):
    write_deltalake(tmp_path / "out/t", ROWS)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "out/t")
    write_deltalake(tmp_path / "in/t", ROWS)
    with confined_to([str(tmp_path / "in")]):
        assert len(read(tmp_path / "in/t")) == 4
        with pytest.raises(SourceError, match="outside the allowed folders"):
            read(tmp_path / "in/link")
        log = tmp_path / "in/t/_delta_log/00000000000000000000.json"
        log.rename(tmp_path / "log.json")
        log.symlink_to(tmp_path / "log.json")
        with pytest.raises(SourceError, match="outside the allowed folders"):
            read(tmp_path / "in/t")
        log.unlink()
        os.mkfifo(log)
        with pytest.raises(SourceError, match="not a regular file"):
            read(tmp_path / "in/t")


@pytest.mark.parametrize("place", ["t/*/*.parquet", "t/part*", "t/k=1", ".", "*/k=1/*.parquet", "file"])
def test_files_of_a_table_are_not_read_past_its_log(tmp_path, place):
    write_deltalake(tmp_path / "t", ROWS.append_column("k", pa.array([1, 1, 1, 1])), partition_by=["k"])
    write_deltalake(tmp_path / "t", ROWS.append_column("k", pa.array([1, 1, 1, 1])), mode="overwrite")
    if place == "t/part*":
        (tmp_path / "t/part-1.parquet").write_bytes(b"")
    if place == "file":
        place = str(next((tmp_path / "t/k=1").glob("*.parquet")))
    with pytest.raises(SourceError, match="is a Delta table"):
        list_inputs(Source(path=place), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "t", "version": 7}, "cannot be read at version 7"),
        ({"path": "f", "version": 7}, "source.version is for Delta tables"),
        ({"path": "f", "format": "delta"}, "no folder _delta_log"),
        ({"path": "broken"}, "t be read: "),
    ],
)
def test_what_is_no_table_or_no_version_is_told(tmp_path, settings, message):
    write_deltalake(tmp_path / "t", ROWS)
    (tmp_path / "f").mkdir()
    (tmp_path / "f/a.csv").write_text("store,units\na,1\n")
    (tmp_path / "broken/_delta_log").mkdir(parents=True)
    (tmp_path / "broken/_delta_log/00000000000000000000.json").write_text('{"a":')
    with pytest.raises(SourceError, match=message) as error:
        list_inputs(Source(**settings), tmp_path)
    assert "\n" not in str(error.value)


def test_a_table_on_s3_is_read_by_its_log(s3, tmp_path):
    uri = f"s3://lake/source-{tmp_path.name}/sales.parquet"
    write_deltalake(uri, ROWS, storage_options=s3)
    DeltaTable(uri, storage_options=s3).delete("store = 'a'")
    assert read(uri, format="delta") == [("b", 3.0), ("b", 4.0)]
    with pytest.raises(SourceError, match="is a Delta table"):
        list_inputs(Source(path=uri), tmp_path)
    with pytest.raises(SourceError, match="is a Delta table"):
        list_inputs(Source(path=uri.rpartition("/")[0]), tmp_path)
    for name in DeltaTable(uri, storage_options=s3).file_uris():
        with pytest.raises(SourceError, match="is a Delta table"):
            list_inputs(Source(path=name), tmp_path)
