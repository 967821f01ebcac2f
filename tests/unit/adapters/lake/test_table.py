"""The lake: one contract over a local folder and over S3."""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from adapters.lake import parquet_parts
from adapters.lake import table as lake
from adapters.lake.table import Lake
from domain.data.tables import TableSpec
from domain.errors import LakeError, StaleTableError

ROOT = Path(__file__).parents[4]
SPEC = TableSpec(
    "sales", pa.schema([("item", pa.string()), ("units", pa.int64()), ("bucket", pa.int32())]), ("bucket",)
)


@pytest.fixture(params=["local", "s3"])
def table(request, tmp_path):
    if request.param == "local":
        return Lake(str(tmp_path / "lake")).table("shop", SPEC)
    request.getfixturevalue("s3")
    return Lake(f"s3://lake/{uuid.uuid4().hex}").table("shop", SPEC)


def rows(*units, item="a"):
    return pa.table({"item": [item] * len(units), "units": list(units)})


def put(table, bucket, *units, **options):
    return table.replace([table.stage(rows(*units), bucket=bucket)], in_bucket(bucket), **options)


def in_bucket(bucket):
    return lambda file: file.partition["bucket"] == str(bucket)


def units(table):
    return sorted(table.read(["units"])["units"].to_pylist())


def at_once(function, items):
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(function, items))


def test_a_table_that_is_not_there_reads_as_empty(table):
    assert not table.exists()
    assert table.version() == -1
    assert table.files() == []
    assert table.read().schema == SPEC.schema
    assert table.properties() == {}
    assert table.mark("jobs") is None


def test_rows_come_back_with_their_partition_columns(table):
    put(table, 7, 1, 2)
    assert table.read().to_pylist() == [{"item": "a", "units": 1, "bucket": 7}, {"item": "a", "units": 2, "bucket": 7}]
    assert table.read(["bucket"]).to_pylist() == [{"bucket": 7}, {"bucket": 7}]


def test_replacing_a_partition_never_doubles_rows(table):
    put(table, 0, 1, 2)
    put(table, 1, 10)
    for _ in range(3):
        put(table, 0, 3, 4)
    assert units(table) == [3, 4, 10]


def test_reading_takes_partitions_rows_and_columns(table):
    put(table, 0, 1, 2)
    put(table, 1, 3)
    picked = table.read(["units"], where=lambda partition: partition["bucket"] == "0", rows=ds.field("units") > 1)
    assert picked.to_pylist() == [{"units": 2}]
    assert table.read(["units"], rows=ds.field("bucket") == 1).to_pylist() == [{"units": 3}]


@pytest.mark.parametrize("whole", [0, 1 << 20])
def test_files_are_read_in_their_order_whatever_memory_holds(table, monkeypatch, whole):
    monkeypatch.setattr(parquet_parts, "WHOLE_BYTES", whole)
    files = [table.stage(rows(number, 100 + number), bucket=number) for number in range(5)]
    table.replace(files, lambda file: False)
    expected = table.read_files(files).to_pylist()
    assert [row["bucket"] for row in expected] == [number for number in range(5) for _ in range(2)]
    monkeypatch.setattr(parquet_parts, "TOGETHER_BYTES", 2 * files[0].size)
    assert table.read_files(files).to_pylist() == expected
    assert table.read_files(files, ["units"], ds.field("units") > 102).to_pylist() == [{"units": 103}, {"units": 104}]


def test_a_table_at_a_snapshot_stays_as_it_was(table):
    before = dataclasses.replace(table, at=table.snapshot())
    put(table, 0, 1)
    frozen = dataclasses.replace(table, at=table.snapshot())
    put(table, 0, 2)
    for _ in range(2):
        assert (units(before), units(frozen), units(table)) == ([], [1], [2])
        assert (before.version(), frozen.version()) == (-1, 1)
        # As in another process, which looks up by itself.
        lake._SNAPSHOT_FILES.clear()
    assert frozen.snapshot() == frozen.at
    # What is committed replaces what is there now.
    put(frozen, 0, 3)
    assert (units(frozen), units(table)) == ([1], [3])


def test_a_table_that_took_the_place_of_another_has_snapshots_of_its_own(tmp_path):
    table = Lake(str(tmp_path)).table("shop", SPEC)
    put(table, 0, 1)
    shutil.copytree(tmp_path / "shop", tmp_path / "saved")
    put(table, 0, 2)
    assert units(dataclasses.replace(table, at=table.snapshot())) == [2]
    shutil.rmtree(tmp_path / "shop")
    (tmp_path / "saved").rename(tmp_path / "shop")
    put(table, 0, 3)  # Another commit of the same number.
    assert units(dataclasses.replace(table, at=table.snapshot())) == [3]


def test_a_repeated_transaction_is_skipped(table):
    assert put(table, 0, 1, transaction=("job", 4))
    assert not put(table, 0, 2, transaction=("job", 4))
    assert not put(table, 0, 2, transaction=("job", 3))
    assert units(table) == [1]
    assert table.has_transaction("job", 4)
    assert not table.has_transaction("job", 5)
    assert put(table, 0, 3, transaction=("job", 5))
    assert units(table) == [3]


def test_a_transaction_without_files_is_recorded(table):
    assert table.replace([], lambda file: False, transaction=("job", 1))
    assert table.has_transaction("job", 1)
    version = table.version()
    assert not table.replace([], lambda file: False)
    assert table.version() == version


def test_marks_hold_what_the_newest_commit_left(table):
    put(table, 0, 1, marks={"state": 9, "other": 1})
    put(table, 0, 2, marks={"state": 4})
    assert (table.mark("state"), table.mark("other")) == (4, 1)
    assert units(table) == [2]


def test_skip_if_sees_the_committed_files(table):
    put(table, 0, 1)
    assert not put(table, 0, 2, skip_if=lambda files: any(file.rows == 1 for file in files))
    assert put(table, 0, 2, skip_if=lambda files: not files)
    assert units(table) == [2]


def test_a_decision_on_an_older_version_is_refused(table):
    put(table, 0, 1)
    seen = table.version()
    put(table, 1, 2)
    with pytest.raises(StaleTableError, match=f"version {seen + 1} came after version {seen}"):
        put(table, 0, 3, based_on=seen)
    assert put(table, 0, 3, based_on=seen + 1)
    assert units(table) == [2, 3]


def test_staged_files_are_invisible_before_their_commit(table):
    put(table, 0, 1)
    version = table.version()
    staged = table.stage(rows(2, 3), bucket=1)
    assert units(table) == [1]
    assert table.version() == version
    table.replace([staged], in_bucket(1))
    assert units(table) == [1, 2, 3]


def test_a_missing_staged_file_is_refused(table):
    put(table, 0, 1)
    staged = table.stage(rows(2), bucket=0)
    fsspec.core.url_to_fs(table.uri)[0].rm(f"{table.uri}/{staged.path}")
    with pytest.raises(LakeError, match="staged file"):
        table.replace([staged], in_bucket(0))
    assert units(table) == [1]


def test_a_short_staged_file_is_refused(table):
    put(table, 0, 1)
    staged = table.stage(rows(2), bucket=0)
    with pytest.raises(LakeError, match=f"has {staged.size} bytes, not {staged.size + 1}"):
        table.replace([dataclasses.replace(staged, size=staged.size + 1)], in_bucket(0))
    assert units(table) == [1]


def test_rows_that_lack_a_column_cannot_be_staged(table):
    with pytest.raises(LakeError, match="columns missing \\['units'\\]"):
        table.stage(pa.table({"item": ["a"]}), bucket=0)
    with pytest.raises(LakeError, match="partition \\[\\]"):
        table.stage(rows(1))


def test_properties_are_kept_by_whoever_makes_the_table(table):
    table.create({"myriad.buckets": "8"})
    table.create({"myriad.buckets": "16"})
    put(table, 0, 1)
    assert table.properties()["myriad.buckets"] == "8"
    assert table.properties()["delta.checkpointInterval"] == "10"


def test_a_new_column_is_added_and_older_rows_have_none(table):
    put(table, 0, 1)
    wide = dataclasses.replace(
        table, spec=dataclasses.replace(SPEC, schema=SPEC.schema.append(pa.field("x_p", pa.float64())))
    )
    staged = wide.stage(rows(2).append_column("x_p", pa.array([0.5])), bucket=1)
    wide.replace([staged], in_bucket(1), based_on=wide.version())
    found = wide.read(["units", "x_p"]).sort_by("units").to_pylist()
    assert found == [{"units": 1, "x_p": None}, {"units": 2, "x_p": 0.5}]
    assert "x_p" in {column.name for column in wide._open().schema().fields}


def test_a_table_tells_its_format_and_one_of_a_later_version_is_refused(table):
    table.create()
    assert table.properties()["myriad.format"] == "1"
    for format_ in ("2", "0", "one"):
        DeltaTable(table.uri, storage_options=dict(table.storage)).alter.set_table_properties(
            {"myriad.format": format_}, raise_if_not_exists=False
        )
        for use in (table.read, table.version, table.files, lambda: table.replace([], lambda file: True)):
            with pytest.raises(LakeError, match=rf"has format {format_}, .* formats up to 1; upgrade Myriad"):
                use()


def test_a_table_from_before_formats_were_told_is_read_and_written(table):
    DeltaTable.create(table.uri, SPEC.schema, partition_by=list(SPEC.partition_by), storage_options=dict(table.storage))
    assert "myriad.format" not in table.properties()
    assert table.replace([table.stage(rows(1), bucket=0)], lambda file: False)
    assert units(table) == [1]


def test_partition_values_keep_odd_characters(tmp_path, request):
    spec = TableSpec("odd", pa.schema([("units", pa.int64()), ("part", pa.string())]), ("part",))
    table = Lake(str(tmp_path)).table("shop", spec)
    for part in ("input-a/b=c%20", "Größe ≤ 5", "a b"):
        table.replace(
            [table.stage(pa.table({"units": [1]}), part=part)], lambda file, part=part: file.partition["part"] == part
        )
    assert sorted(file.partition["part"] for file in table.files()) == sorted(["input-a/b=c%20", "Größe ≤ 5", "a b"])


def test_two_writers_never_lose_or_double_rows(table):
    rounds = 6

    def write(bucket):
        for number in range(rounds):
            put(table, bucket, *range(bucket * 100, bucket * 100 + number + 1))

    at_once(write, (1, 2))
    assert units(table) == [*range(100, 100 + rounds), *range(200, 200 + rounds)]


def test_two_writers_of_one_partition_leave_the_rows_of_one(table):
    def write(writer):
        for number in range(4):
            put(table, 0, *[writer * 10 + number] * 3)

    at_once(write, (1, 2))
    assert units(table) in ([13] * 3, [23] * 3)


def test_two_writers_that_decided_on_the_same_version_do_not_both_count(table):
    table.create()
    meeting = threading.Barrier(2)

    def write(writer):
        decided = []

        def meet(files):
            if not decided:
                decided.append(len(files))
                meeting.wait(timeout=30)
            return False

        put(table, 0, *[writer] * 3, skip_if=meet)
        return decided

    assert at_once(write, (1, 2)) == [[0], [0]]
    assert units(table) in ([1] * 3, [2] * 3)


def test_two_writers_of_one_transaction_commit_once(table):
    commits = at_once(lambda number: put(table, number, 7, transaction=("job", 1)), (0, 1, 2))
    assert sorted(commits) == [False, False, True]
    assert units(table) == [7]


def test_a_table_that_another_writer_made_at_the_same_moment_is_there(table, monkeypatch):
    plain = lake.create_table

    def beaten(*arguments):
        plain(*arguments)
        raise CommitFailedError("Protocol changed since last commit")

    monkeypatch.setattr(lake, "create_table", beaten)
    table.create()
    assert table.exists()


def test_a_table_that_could_not_be_made_is_an_error(table, monkeypatch):
    def failing(*_):
        raise CommitFailedError("no such luck")

    monkeypatch.setattr(lake, "create_table", failing)
    with pytest.raises(LakeError, match=r"cannot be made: no such luck"):
        table.create()


def test_many_writers_can_make_one_table_at_once(table):
    at_once(lambda _: table.create(), range(8))
    assert table.exists()


def test_a_reader_sees_only_whole_commits(table):
    put(table, 0, 1, 1, 1)
    done, seen = threading.Event(), []

    def read():
        while not done.is_set():
            seen.append(units(table))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2, 8):
        staged = [table.stage(rows(number), bucket=0) for _ in range(3)]
        table.replace(staged, in_bucket(0))
    done.set()
    reader.join()
    assert seen
    assert all(len(each) == 3 and len(set(each)) == 1 for each in seen)


WRITER = """
import os, signal, sys
import pyarrow as pa
from adapters.lake import table as lake
from adapters.lake.table import Lake, Table
from tests_spec import SPEC
uri, deadly = sys.argv[1], sys.argv[2]
table = Lake(uri).table("shop", SPEC)
if deadly == "staged":
    Table.replace = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
files = [table.stage(pa.table({"item": ["a", "a"], "units": [5, 6]}), bucket=bucket) for bucket in (0, 1)]
table.replace(files, lambda file: True, transaction=("job", 1))
if deadly == "committed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["staged", "committed"])
def test_a_killed_writer_that_runs_again_leaves_neither_partial_nor_double_rows(table, tmp_path, moment):
    put(table, 0, 1)
    (tmp_path / "tests_spec.py").write_text(
        "import pyarrow as pa\nfrom domain.data.tables import TableSpec\n"
        "SPEC = TableSpec('sales', pa.schema([('item', pa.string()), ('units', pa.int64()), ('bucket', pa.int32())]), "
        "('bucket',))\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    uri = table.uri.removesuffix("/shop/sales")

    command = [sys.executable, "-c", WRITER, uri, moment]
    killed = subprocess.run(command, env=environment, cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert units(table) == ([1] if moment == "staged" else [5, 5, 6, 6])
    again = [table.stage(rows(5, 6), bucket=bucket) for bucket in (0, 1)]
    assert table.replace(again, lambda file: True, transaction=("job", 1)) == (moment == "staged")
    assert units(table) == [5, 5, 6, 6]


def test_a_damaged_committed_file_is_named(tmp_path):
    table = Lake(str(tmp_path)).table("shop", SPEC)
    staged = table.stage(rows(1), bucket=0)
    table.replace([staged], in_bucket(0))
    (Path(table.uri) / staged.path).write_bytes(random.Random(0).randbytes(100))
    with pytest.raises(LakeError, match="a committed file cannot be read"):
        table.read()


def unusable_calls(table):
    return {
        "create": table.create,
        "stage": lambda: table.stage(rows(1), bucket=1),
        "replace": lambda: table.replace([], in_bucket(1)),
    }


@pytest.mark.parametrize("call", ["create", "stage", "replace"])
def test_a_lake_that_cannot_be_written_is_a_lake_error_that_names_it(tmp_path, call):
    (tmp_path / "file").write_text("in the way")
    table = Lake(str(tmp_path / "file")).table("shop", SPEC)
    with pytest.raises(LakeError, match=f"{table.uri}: the table cannot be .+: .+") as caught:
        unusable_calls(table)[call]()
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("call", ["version", "files", "read", "replace"])
def test_a_table_with_a_broken_log_is_a_lake_error_that_names_it(tmp_path, call):
    table = Lake(str(tmp_path / "lake")).table("shop", SPEC)
    put(table, 1, 1)
    for path in Path(table.uri, "_delta_log").glob("*.json"):
        path.write_text("{broken")
    with pytest.raises(LakeError, match=f"{table.uri}: the table cannot be .+: .+"):
        ({"version": table.version, "files": table.files, "read": table.read} | unusable_calls(table))[call]()


def test_a_disk_that_fills_up_is_a_lake_error(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    table = Lake(str(tmp_path / "lake")).table("shop", SPEC)
    monkeypatch.setattr("adapters.lake.parquet_parts.pq.write_table", full)
    with pytest.raises(LakeError, match="No space left on device"):
        table.stage(rows(1), bucket=1)


def test_a_flipped_bit_is_refused_with_the_name_of_the_file_and_never_read_as_another_number(table, tmp_path):
    if table.uri.startswith("s3://"):
        pytest.skip("the bytes of a local file are changed")
    numbers = list(range(1000))
    staged = [table.stage(rows(*numbers), bucket=bucket) for bucket in (0, 1)]
    table.replace(staged, lambda file: True)
    path = Path(table.uri, staged[1].path)
    content, seed = path.read_bytes(), random.Random(7)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # The only part without a checksum.
    places = [seed.randrange(4, footer) for _ in range(200)]
    refusals = []
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << seed.randrange(8)]) + content[place + 1 :])
        try:
            assert units(table) == sorted(numbers * 2)
        except LakeError as exc:
            refusals.append(str(exc))
    assert len(refusals) > 20  # The table reads one of the two columns.
    assert all(staged[1].path in text and "put it back from a backup" in text for text in refusals)
