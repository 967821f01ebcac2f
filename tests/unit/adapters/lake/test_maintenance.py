"""Upkeep of a lake, local and on a real S3 server: what is read stays the same, and what nobody reads goes."""

import json
import os
import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import fsspec
import pyarrow as pa
import pytest

from adapters.lake import maintenance as upkeep
from adapters.lake.checkpoints import Checkpoints
from adapters.lake.table import Lake
from adapters.lake.uploads import keep_upload, place_of
from domain.data.tables import OUTCOMES, PREDICTIONS, VERDICTS, TableSpec
from domain.errors import RequestError
from tasks.maintain import maintain_fleet

WEEK = timedelta(days=7)
NOW = timedelta(0)


@pytest.fixture(params=["local", "s3"])
def lake(request, tmp_path):
    if request.param == "s3":
        request.getfixturevalue("s3")
        return Lake(f"s3://lake/upkeep-{uuid.uuid4().hex}")
    return Lake(str(tmp_path))


def rows(*segments):
    schema = PREDICTIONS.file_schema
    columns = {name: pa.nulls(len(segments), schema.field(name).type) for name in schema.names}
    return pa.table(columns | {"segment": pa.array(segments, pa.string())}, schema=schema)


def predictions(lake, jobs=4, parts=2):
    """One file a part and job, as scoring leaves them."""
    table = lake.table("shop", PREDICTIONS)
    for job in range(jobs):
        staged = [table.stage(rows(f"s={job}"), part=f"bucket-{part}") for part in range(parts)]
        table.replace(staged, lambda file: False, transaction=(f"job-{job}", 1))
    return table


def content(table):
    return sorted(table.read(["segment", "part"]).to_pylist(), key=str)


def test_small_files_of_a_part_become_one_and_rows_stay(lake):
    table = predictions(lake)
    before, newest = content(table), max(file.committed_ms for file in table.files())
    told = upkeep.compact_table(lake, "shop", PREDICTIONS, dry_run=True)
    assert (told.merged, told.into, len(table.files())) == (8, 2, 8)
    done = upkeep.compact_table(lake, "shop", PREDICTIONS, dry_run=False)
    assert (done.merged, done.into) == (8, 2)
    files = table.files()
    assert [file.rows for file in files] == [4, 4]
    assert content(table) == before
    # Whoever asks whether predictions are newer than observations gets the same answer as before.
    assert max(file.committed_ms for file in files) == newest
    assert all(table.has_transaction(f"job-{job}", 1) for job in range(4))
    assert upkeep.compact_table(lake, "shop", PREDICTIONS, dry_run=False) == upkeep.TableMaintenance("predictions")


def test_a_writer_that_comes_first_wins(lake, monkeypatch):
    table = predictions(lake)
    stage = type(table).stage

    def beside(self, rows_, **partition):
        staged = stage(self, rows_, **partition)
        if partition["part"] == "bucket-0":
            other = stage(table, rows("s=late"), part="bucket-9")
            table.replace([other], lambda file: False)
        return staged

    monkeypatch.setattr(type(table), "stage", beside)
    assert upkeep.compact_table(lake, "shop", PREDICTIONS, dry_run=False).busy
    assert len(content(table)) == 9


def test_files_that_no_version_has_go_and_young_ones_stay(lake):
    table = predictions(lake)
    upkeep.compact_table(lake, "shop", PREDICTIONS, dry_run=False)
    waiting = table.stage(rows("s=new"), part="bucket-0")
    before = content(table)
    assert upkeep.vacuum_table(table.uri, "predictions", WEEK, dry_run=False).removed == 0
    assert table.replace([waiting], lambda file: False)
    orphan = table.stage(rows("s=lost"), part="bucket-0")
    time.sleep(1.1)  # S3 tells times in whole seconds.
    told = upkeep.vacuum_table(table.uri, "predictions", NOW, dry_run=True)
    assert told.removed == 9
    assert lake.holds("shop", orphan)
    version = table.version()
    done = upkeep.vacuum_table(table.uri, "predictions", NOW, dry_run=False)
    # Versions of tables stand for what is in them: another one would be partitioned, trained and scored again.
    assert table.version() == version
    assert (done.removed, done.freed_bytes) == (told.removed, told.freed_bytes)
    assert done.freed_bytes > 0
    assert not lake.holds("shop", orphan)
    assert content(table) == sorted([*before, {"segment": "s=new", "part": "bucket-0"}], key=str)
    assert upkeep.vacuum_table(table.uri, "predictions", NOW, dry_run=False).removed == 0


def test_journals_of_runs_that_nobody_went_on_with_go(lake):
    journal = Checkpoints(f"{lake.folder('shop')}/_journal", "train", "abc")
    journal.write("1", b"{}")
    assert upkeep.drop_checkpoints(lake, "shop", WEEK, dry_run=False) == 0
    assert journal.names()
    time.sleep(1.1)
    assert upkeep.drop_checkpoints(lake, "shop", NOW, dry_run=True) == 1
    assert upkeep.drop_checkpoints(lake, "shop", NOW, dry_run=False) == 1
    assert not journal.names()


def test_what_a_journal_names_stays_until_its_run_has_committed_it(lake):
    table = predictions(lake)
    kept, lost = (table.stage(rows("s=x"), part="bucket-0") for _ in range(2))
    journal = Checkpoints(f"{lake.folder('shop')}/_journal", "score-first", "abc")
    journal.write("bucket-0", json.dumps({"files": [asdict(kept)]}, default=str).encode())
    time.sleep(1.1)
    journals = upkeep.read_checkpoints(lake, "shop")
    assert journals.files == {kept.path}
    assert (journals.of("score"), journals.of("train")) == (True, False)
    assert upkeep.vacuum_table(table.uri, "predictions", NOW, kept=journals.files, dry_run=False).removed == 1
    assert (lake.holds("shop", kept), lake.holds("shop", lost)) == (True, False)
    # The run would have to look at every part again if the version changed below it.
    done = maintain_fleet(lake, "shop", 24)
    assert [(one.waits, one.merged) for one in done.tables] == [(True, 0)]
    assert table.replace([kept], lambda file: False)
    assert {"segment": "s=x", "part": "bucket-0"} in content(table)


def test_what_is_committed_while_it_looks_stays(lake, monkeypatch):
    """As by a run that took longer than the retention."""
    table = predictions(lake)
    late, lost = (table.stage(rows("s=late"), part="bucket-0") for _ in range(2))
    time.sleep(1.1)
    plain = upkeep._delete

    def committed_meanwhile(*arguments):
        table.replace([late], lambda file: False)
        return plain(*arguments)

    monkeypatch.setattr(upkeep, "_delete", committed_meanwhile)
    assert upkeep.vacuum_table(table.uri, "predictions", NOW, dry_run=False).removed == 1
    assert {"segment": "s=late", "part": "bucket-0"} in content(table)
    assert not lake.holds("shop", lost)


def test_verdicts_of_many_promotions_become_one_file_a_partition(lake):
    table = lake.table("shop", VERDICTS)
    schema, names = VERDICTS.file_schema, VERDICTS.partition_by
    for promotion in range(3):
        columns = {name: pa.nulls(1, schema.field(name).type) for name in schema.names}
        made = pa.table(columns | {"segment": pa.array([f"s={promotion}"])}, schema=schema)
        table.replace([table.stage(made, **dict.fromkeys(names, "bucket-0"))], lambda file: False)
    done = maintain_fleet(lake, "shop", 24)
    assert [(one.table, one.merged, one.into) for one in done.tables] == [("verdicts", 3, 1)]
    assert sorted(table.read(["segment"])["segment"].to_pylist()) == ["s=0", "s=1", "s=2"]


def test_files_that_clients_have_sent_go_once_they_are_old(lake, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    sent = keep_upload(lake, "shop", "a.csv", tmp_path / "a.csv")
    assert upkeep.drop_sent(lake, "shop", WEEK, dry_run=False) == 0
    time.sleep(1.1)
    assert upkeep.drop_sent(lake, "shop", NOW, dry_run=True) == 1
    place = place_of(lake, "shop", sent.uri)
    storage = fsspec.filesystem("s3" if place.startswith("s3://") else "file", use_listings_cache=False)
    assert storage.exists(place)
    assert upkeep.drop_sent(lake, "shop", NOW, dry_run=False) == 1
    assert not storage.exists(place)
    assert keep_upload(lake, "shop", "a.csv", tmp_path / "a.csv") == sent


def test_uploads_that_nobody_finished_are_aborted(s3):
    lake = Lake(f"s3://lake/upkeep-{uuid.uuid4().hex}")
    client = boto3.client("s3")
    keys = [f"{lake.folder('shop').removeprefix('s3://lake/')}/predictions/data/{name}" for name in ("a", "b")]
    elsewhere = f"upkeep-elsewhere-{uuid.uuid4().hex}/a"
    for key in (*keys, elsewhere):
        begun = client.create_multipart_upload(Bucket="lake", Key=key)
        client.upload_part(Bucket="lake", Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x" * 100)

    def pending():
        found = client.list_multipart_uploads(Bucket="lake").get("Uploads", [])
        return {upload["Key"] for upload in found}

    assert upkeep.abort_uploads(lake.folder("shop"), WEEK, dry_run=False) == 0
    assert {*keys, elsewhere} <= pending()
    time.sleep(1.1)
    assert upkeep.abort_uploads(lake.folder("shop"), NOW, dry_run=False) == 2
    assert not pending() & set(keys)
    assert elsewhere in pending()


def test_a_fleet_is_kept_up_table_by_table(lake):
    table = predictions(lake)
    outcomes = lake.table("shop", OUTCOMES)
    outcomes.create()
    assert upkeep.fleet_tables(lake, "shop") == ["outcomes", "predictions"]
    before = content(table)
    done = maintain_fleet(lake, "shop", 24)
    assert [(one.table, one.merged, one.into, one.removed) for one in done.tables] == [("predictions", 8, 2, 0)]
    assert content(table) == before
    assert list(maintain_fleet(lake, "shop", 24).tables) == []
    # A reader that opened an older version still finds its files.
    storage = fsspec.filesystem("s3" if lake.uri.startswith("s3://") else "file", use_listings_cache=False)
    assert len(storage.ls(f"{table.uri}/data")) == 10


def test_a_retention_that_a_run_may_outlast_is_refused(tmp_path):
    with pytest.raises(RequestError, match="retention: 3 hours is not allowed; give at least 24"):
        maintain_fleet(Lake(str(tmp_path)), "shop", 3)


def test_old_files_are_known_by_their_age(tmp_path):
    lake = Lake(str(tmp_path))
    table = predictions(lake)
    young, old = (table.stage(rows("s=x"), part="bucket-0") for _ in range(2))
    past = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    os.utime(Path(table.uri, old.path), (past, past))
    assert upkeep.vacuum_table(table.uri, "predictions", WEEK, dry_run=False).removed == 1
    assert lake.holds("shop", young)
    assert not lake.holds("shop", old)


def test_a_table_with_columns_of_a_newer_version_is_not_merged(lake):
    predictions(lake)
    wider = TableSpec("predictions", PREDICTIONS.schema.append(pa.field("later", pa.float64())), ("part",))
    table = lake.table("shop", wider)
    new = rows("s=new").append_column("later", pa.array([1.0]))
    table.replace([table.stage(new, part="bucket-0")], lambda file: False)
    assert upkeep.compact_table(lake, "shop", PREDICTIONS, dry_run=False) == upkeep.TableMaintenance(
        "predictions", newer=True
    )
    assert table.read(["later"])["later"].drop_null().to_pylist() == [1.0]


def test_what_somebody_else_has_put_there_stays(tmp_path):
    lake = Lake(str(tmp_path))
    notes = Path(predictions(lake).uri, "notes.txt")
    notes.write_text("ours")
    upkeep.vacuum_table(str(notes.parent), "predictions", NOW, dry_run=False)
    assert notes.read_text() == "ours"
