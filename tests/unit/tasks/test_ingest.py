"""Ingest: each file exactly once, whatever happens to it; rows balance."""

import gzip
import os
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from adapters.compute.progress import subscribed
from adapters.lake import files
from adapters.lake.table import Lake, Table
from adapters.sources import folder
from domain.config.source import Source
from domain.data.tables import INPUTS, QUARANTINE, landed, observations
from domain.errors import SourceError
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.workers import ingest as worker
from tasks.workers.ingest import reading
from tasks.workers.run_context import RunContext

HEADER = "store,brand,day,units,price\n"


def lines(store, count=3, first=1):
    return "".join(f"{store},x,2024-01-{first + number:02d},{number + 1},1.5\n" for number in range(count))


def put(run, name, content, stamp_ns=None):
    path = run.context.home / "in" / name
    path.write_bytes(content if isinstance(content, bytes) else (HEADER + content).encode())
    if stamp_ns:
        os.utime(path, ns=(stamp_ns, stamp_ns))
    return path


def ingest(run, role="observations", **source):
    return ingest_files(run, role, Source(**({"path": "in"} | source)))


def rows(run, role="landed"):
    table = run.table(landed(run.fleet, role)).read()
    return sorted(
        zip(table["segment"].to_pylist(), table["time"].to_pylist(), table["target"].to_pylist(), strict=True)
    )


def inputs(run):
    return {row["path"].rsplit("/", 1)[-1]: row for row in run.table(INPUTS).read().to_pylist()}


def quarantine(run):
    table = run.table(QUARANTINE).read().to_pylist()
    return sorted((row["path"].rsplit("/", 1)[-1], row["reason"], row["row"]) for row in table)


def assert_balanced(run):
    """Every row that was read is an observation or in the quarantine."""
    partition_observations(run)
    read = sum(row["rows_read"] for row in inputs(run).values())
    kept = run.table(observations(run.fleet)).read().num_rows
    assert read == kept + sum(1 for _, reason, _ in quarantine(run) if reason not in ("unreadable_file", "copied_file"))


def with_fleet(run, fleet):
    return Run(RunContext(fleet, run.context.lake, "run-2", run.context.home), run.workers)


def test_each_file_lands_exactly_once(run):
    put(run, "a.csv", lines(1))
    put(run, "b.csv", lines(2) + "3,x,never,1,1\n4\n")
    receipt = ingest(run)
    assert (receipt.files, receipt.unchanged, receipt.refused) == (2, 0, ())
    assert (receipt.read, receipt.accepted, receipt.rejected) == (8, 6, 2)
    assert receipt.reasons == {"unparsable": 2}
    assert len(rows(run)) == 6
    assert quarantine(run) == [("b.csv", "unparsable", 3), ("b.csv", "unparsable", 4)]
    assert {name: row["rows_read"] for name, row in inputs(run).items()} == {"a.csv": 3, "b.csv": 5}
    assert_balanced(run)


def test_an_unchanged_file_is_skipped_and_a_new_one_is_not(run):
    put(run, "a.csv", lines(1))
    ingest(run)
    version, before = run.table(landed(run.fleet)).version(), inputs(run)
    receipt = ingest(run)
    assert (receipt.files, receipt.unchanged, receipt.read) == (1, 1, 0)
    assert run.table(landed(run.fleet)).version() == version
    assert inputs(run) == before
    put(run, "b.csv", lines(2))
    receipt = ingest(run)
    assert (receipt.files, receipt.unchanged, receipt.read) == (2, 1, 3)
    assert len(rows(run)) == 6


def test_a_touched_file_with_the_same_content_changes_no_row(run):
    put(run, "a.csv", lines(1) + "2,x,never,1,1\n")
    ingest(run)
    before, rejected = rows(run), quarantine(run)
    os.utime(run.context.home / "in/a.csv", ns=(1, 1))
    ingest(run)
    assert (rows(run), quarantine(run)) == (before, rejected)
    assert len(inputs(run)) == 1
    assert ingest(run).unchanged == 1
    assert_balanced(run)


def test_a_changed_file_replaces_its_own_rows(run):
    put(run, "a.csv", lines(1) + "1,x,never,1,1\n")
    put(run, "b.csv", lines(2) + "2,x,never,1,1\n")
    ingest(run)
    assert_balanced(run)
    first = inputs(run)
    put(run, "a.csv", lines(1, count=5, first=10), stamp_ns=5)
    receipt = ingest(run)
    assert (receipt.unchanged, receipt.read) == (1, 5)
    assert [segment for segment, _, _ in rows(run)] == ["store=1/brand=x"] * 5 + ["store=2/brand=x"] * 3
    assert quarantine(run) == [("b.csv", "unparsable", 3)]
    second = inputs(run)
    assert second["b.csv"] == first["b.csv"]
    assert second["a.csv"]["input_id"] != first["a.csv"]["input_id"]
    assert second["a.csv"]["rows_read"] == 5
    assert_balanced(run)


def test_a_renamed_file_takes_its_rows_along(run):
    path = put(run, "a.csv", lines(1) + "1,x,never,1,1\n")
    ingest(run)
    before = rows(run)
    path.rename(path.with_name("b.csv"))
    put(run, "a.csv.part.csv", lines(2))
    receipt = ingest(run)
    assert (receipt.read, receipt.refused) == (7, ())
    assert rows(run) == before + [row for row in rows(run) if "store=2" in row[0]]
    assert sorted(inputs(run)) == ["a.csv.part.csv", "b.csv"]
    assert quarantine(run) == [("b.csv", "unparsable", 3)]
    assert ingest(run).unchanged == 2
    assert_balanced(run)


def test_a_renamed_file_takes_its_rows_along_when_the_fleet_reads_it_another_way(run, fleet):
    path = put(run, "a.csv", lines(1))
    ingest(with_fleet(run, fleet.forecast(features={})))
    path.rename(path.with_name("b.csv"))
    ingest(run)
    assert run.table(landed(run.fleet)).read()["x_price"].to_pylist() == [1.5] * 3


def test_names_that_are_rotated_or_swapped_double_and_lose_nothing(run):
    first, second = put(run, "a.csv", lines(1)), put(run, "b.csv", lines(2))
    ingest(run)
    before, content = rows(run), (first.read_bytes(), second.read_bytes())
    put(run, "a.csv", content[1], stamp_ns=5)
    put(run, "b.csv", content[0], stamp_ns=5)
    assert ingest(run).refused == ()
    assert rows(run) == before
    (run.context.home / "in/a.csv").rename(run.context.home / "in/c.csv")
    put(run, "a.csv", lines(3))
    assert ingest(run).refused == ()
    assert rows(run) == before + [row for row in rows(run) if "store=3" in row[0]]
    assert_balanced(run)


def test_a_moved_file_with_something_unreadable_in_its_place_counts_once(run):
    path = put(run, "a.csv", lines(1))
    ingest(run)
    before = rows(run)
    path.rename(path.with_name("b.csv"))
    put(run, "a.csv", b"", stamp_ns=5)
    assert "a.csv: the file is empty" in ingest(run).refused[0]
    assert rows(run) == before
    assert inputs(run)["a.csv"]["rows_read"] == 0
    assert_balanced(run)


@pytest.mark.parametrize("role", ["observations", "actuals"])
def test_a_copy_is_refused_while_its_original_is_there(run, role):
    table = "landed" if role == "observations" else "actuals"
    put(run, "b.csv", lines(1) + "1,x,never,1,1\n")
    ingest(run, role)
    before = rows(run, table)
    copy = put(run, "a.csv", lines(1) + "1,x,never,1,1\n")
    home = run.context.home
    for _ in range(2):
        receipt = ingest(run, role)
        assert receipt.refused == (f"{home}/in/a.csv: same content as {home}/in/b.csv; it counts once",)
        assert (receipt.unchanged, receipt.read) == (1, 0)
        assert rows(run, table) == before
        assert quarantine(run) == [("a.csv", "copied_file", -1), ("b.csv", "unparsable", 3)]
        assert (inputs(run)["a.csv"]["rows_read"], inputs(run)["a.csv"]["error"]) == (0, receipt.refused[0])
    (home / "in/b.csv").unlink()
    assert ingest(run, role).refused == ()
    assert rows(run, table) == before
    assert list(inputs(run)) == [copy.name]
    assert quarantine(run) == [("a.csv", "unparsable", 3)]


def test_of_two_new_files_with_one_content_the_first_by_path_counts(run):
    put(run, "b.csv", lines(1))
    put(run, "a.csv", lines(1))
    (error,) = ingest(run).refused
    assert error.split("/in/")[-1] == "a.csv; it counts once"
    assert len(rows(run)) == 3
    assert_balanced(run)


def test_a_file_that_becomes_a_copy_loses_the_rows_that_it_no_longer_holds(run):
    put(run, "a.csv", lines(1))
    put(run, "b.csv", lines(2) + "2,x,never,1,1\n")
    ingest(run)
    put(run, "b.csv", lines(1), stamp_ns=5)
    assert len(ingest(run).refused) == 1
    assert {segment for segment, _, _ in rows(run)} == {"store=1/brand=x"}
    assert quarantine(run) == [("b.csv", "copied_file", -1)]
    assert_balanced(run)


def test_files_to_score_and_files_without_rows_may_be_copies(run):
    for name in ("a.csv", "b.csv"):
        put(run, name, "")
    assert ingest(run).refused == ()
    for name in ("a.csv", "b.csv"):
        put(run, name, lines(1), stamp_ns=5)
    assert ingest(run, "requests").refused == ()
    assert len(rows(run, "requests")) == 6


def test_rows_of_a_deleted_file_stay(run):
    put(run, "a.csv", lines(1))
    put(run, "b.csv", lines(2))
    ingest(run)
    (run.context.home / "in/b.csv").unlink()
    put(run, "c.csv", lines(3))
    ingest(run)
    assert len(rows(run)) == 9
    assert sorted(inputs(run)) == ["a.csv", "b.csv", "c.csv"]


def test_a_move_that_stopped_before_its_last_commit_is_made_up_for(run, monkeypatch):
    path = put(run, "a.csv", lines(1))
    ingest(run)
    path.rename(path.with_name("b.csv"))
    ingest_until_the_last_commit(run, monkeypatch)
    ingest(run)
    assert len(rows(run)) == 3
    assert list(inputs(run)) == ["b.csv"]
    assert_balanced(run)


def test_inputs_say_when_a_file_was_modified(run):
    put(run, "a.csv", lines(1), stamp_ns=1_700_000_000_250_000_000)
    ingest(run)
    assert inputs(run)["a.csv"]["modified_at"] == datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC)


def test_an_unreadable_file_stops_no_other_and_is_retried_when_mended(run):
    put(run, "a.csv", lines(1))
    put(run, "b.csv.gz", gzip.compress((HEADER + lines(2)).encode())[:-9], stamp_ns=5)
    receipt = ingest(run)
    assert (receipt.files, receipt.read) == (2, 3)
    assert "b.csv.gz: cannot be read" in receipt.refused[0]
    assert quarantine(run) == [("b.csv.gz", "unreadable_file", -1)]
    assert "cannot be read" in inputs(run)["b.csv.gz"]["error"]
    assert_balanced(run)
    again = ingest(run)
    assert (again.unchanged, len(again.refused)) == (1, 1)
    assert len(quarantine(run)) == 1
    put(run, "b.csv.gz", gzip.compress((HEADER + lines(2)).encode()), stamp_ns=5)
    assert ingest(run).read == 3
    assert quarantine(run) == []
    assert inputs(run)["b.csv.gz"]["error"] == ""
    assert len(rows(run)) == 6
    assert_balanced(run)


def test_neither_another_encoding_nor_a_name_that_is_no_text_stops_the_other_files(run):
    put(run, "a.csv", lines(1))
    put(run, "b.csv", (HEADER + lines(2)).encode("utf-16"))
    with open(os.fsencode(run.context.home / "in") + b"/c\xff.csv", "wb") as odd:  # noqa: PTH123 - a path of bytes
        odd.write((HEADER + lines(3)).encode())
    for _ in range(2):
        receipt = ingest(run)
        assert (receipt.files, len(rows(run))) == (2, 3)
        assert ["c\\udcff.csv: the name" in message for message in receipt.refused] == [True, False]
        assert "b.csv: cannot be read" in receipt.refused[1]
        assert_balanced(run)


def test_an_error_that_nobody_foresaw_refuses_its_file_alone(run, monkeypatch, caplog):
    def read(item, *arguments, **options):
        if item.uri.endswith("b.csv"):
            raise AttributeError("no such thing")
        return read_chunks(item, *arguments, **options)

    read_chunks = worker.read_chunks
    monkeypatch.setattr(worker, "read_chunks", read)
    put(run, "a.csv", lines(1))
    put(run, "b.csv", lines(2))
    receipt = ingest(run)
    assert (receipt.files, len(rows(run))) == (2, 3)
    assert receipt.refused[0].endswith("b.csv: cannot be read: AttributeError: no such thing")
    assert "Traceback" in caplog.text
    assert_balanced(run)


def test_a_good_file_that_becomes_unreadable_keeps_its_rows_until_it_is_mended(run):
    put(run, "a.csv", lines(1))
    good = put(run, "b.csv", lines(2) + "2,x,never,1,1\n", stamp_ns=5).read_bytes()
    ingest(run)
    before, details = rows(run), inputs(run)["b.csv"]
    put(run, "b.csv", b"", stamp_ns=6)
    for _ in range(2):
        assert "b.csv: the file is empty" in ingest(run).refused[0]
        assert rows(run) == before
        assert quarantine(run) == [("b.csv", "unparsable", 3), ("b.csv", "unreadable_file", -1)]
        found = inputs(run)["b.csv"]
        assert found["error"]
        assert (found["rows_read"], found["input_id"]) == (details["rows_read"], details["input_id"])
    assert_balanced(run)
    put(run, "b.csv", good, stamp_ns=5)
    assert ingest(run).refused == ()
    assert quarantine(run) == [("b.csv", "unparsable", 3)]
    assert rows(run) == before
    assert inputs(run)["b.csv"]["error"] == ""


def test_why_a_file_was_refused_is_forgotten_when_it_is_gone_but_never_its_rows(run):
    put(run, "a.csv", lines(1))
    put(run, "b.csv", lines(2), stamp_ns=5)
    ingest(run)
    before = rows(run)
    broken = [put(run, "b.csv", b"", stamp_ns=6), put(run, "c.csv", b""), put(run, "copy.csv", lines(1))]
    assert len(ingest(run).refused) == 3
    for path in broken:
        path.unlink()
    assert ingest(run).refused == ()
    assert quarantine(run) == []
    assert {name: row["error"] for name, row in inputs(run).items()} == {"a.csv": "", "b.csv": ""}
    assert rows(run) == before
    assert_balanced(run)


def while_reading(monkeypatch, action):
    """Do something to a file after its content was read, before it is landed."""
    real = folder.digest

    def digest(uri):
        found = real(uri)
        if uri.endswith("b.csv"):
            action()
        return found

    monkeypatch.setattr(folder, "digest", digest)


def test_a_file_that_is_written_to_while_it_is_read_waits_for_the_next_run(run, monkeypatch):
    put(run, "a.csv", lines(1))
    put(run, "b.csv", lines(2, count=1), stamp_ns=5)
    ingest(run)
    path = put(run, "b.csv", lines(2, count=2), stamp_ns=6)
    while_reading(monkeypatch, lambda: path.write_text(path.read_text() + lines(2, count=1, first=3)))
    receipt = ingest(run)
    assert receipt.refused == (
        f"{path}: it is still being written, it changed while it was read; run again when it is whole",
    )
    assert (len(rows(run)), inputs(run)["b.csv"]["rows_read"]) == (4, 1)
    assert quarantine(run) == [("b.csv", "unreadable_file", -1)]
    assert_balanced(run)
    monkeypatch.undo()
    assert (ingest(run).read, ingest(run).unchanged) == (3, 2)
    assert len(rows(run)) == 6
    assert quarantine(run) == []
    assert_balanced(run)


def test_a_file_that_grows_from_run_to_run_counts_each_of_its_rows_once(run):
    path = put(run, "b.csv", "")
    for day in range(1, 5):
        with path.open("a") as writer:
            writer.write(lines(2, count=1, first=day))
        assert ingest(run).read == day
        assert len(rows(run)) == day
        assert_balanced(run)


def test_a_file_without_permission_or_behind_a_broken_disk_is_refused_alone(run, monkeypatch):
    put(run, "a.csv", lines(1))
    put(run, "b.csv", lines(2))
    real = files.open_file
    for error in (PermissionError(13, "Permission denied"), OSError(5, "Input/output error")):

        def refuse(uri, error=error):
            if uri.endswith("b.csv"):
                raise error
            return real(uri)

        monkeypatch.setattr(files, "open_file", refuse)
        (refused,) = ingest(run).refused
        assert refused.endswith(f"/in/b.csv: cannot be read: {error}")
        assert len(rows(run)) == 3
    monkeypatch.undo()
    assert ingest(run).read == 3


def test_a_folder_of_another_shape_every_day_lands_what_fits_and_names_what_does_not(run):
    """Columns come in another order, with more, and with other types; a needed one is missing."""
    put(run, "a.csv", b"price,units,day,brand,store,promo\n1.5,4,2024-01-01,x,1,yes\n")
    pq.write_table(
        pa.table(
            {"day": [date(2024, 1, 2)], "units": [5], "price": [2], "store": [1], "brand": ["x"], "tags": [["new"]]}
        ),
        run.context.home / "in/b.parquet",
    )
    put(run, "c.csv", b"store,brand,day,units\n1,x,2024-01-03,6\n")
    receipt = ingest(run)
    assert [error.split("/in/")[-1] for error in receipt.refused] == [
        "c.csv: no column price; the file has store, brand, day, units"
    ]
    assert [(segment, target) for segment, _, target in rows(run)] == [
        ("store=1/brand=x", 4.0),
        ("store=1/brand=x", 5.0),
    ]


def test_nothing_but_unreadable_files_is_an_error_that_names_them_all(run):
    put(run, "a.csv", b"")
    put(run, "b.parquet", b"PAR1")
    put(run, "c.csv", b"store,day\n1,2024-01-01\n")
    with pytest.raises(SourceError) as caught:
        ingest(run)
    for text in ("a.csv: the file is empty", "b.parquet: cannot be read", "c.csv: no column brand, price, units"):
        assert text in str(caught.value)
    assert rows(run) == []
    assert not run.table(INPUTS).exists()


def test_a_pattern_without_files_is_an_error(run):
    with pytest.raises(SourceError, match="no file matches"):
        ingest(run)


def test_a_header_without_rows_counts_as_ingested(run):
    put(run, "a.csv", "")
    assert ingest(run).read == 0
    assert ingest(run).unchanged == 1


def test_roles_keep_their_rows_and_ledgers_apart(run):
    put(run, "a.csv", lines(1))
    ingest(run)
    (run.context.home / "in/a.csv").write_text("store,brand,day,price\n1,x,2024-02-01,2\n1,x,never,2\n")
    assert ingest(run, "requests").read == 2
    assert rows(run, "requests")[0][2] is None
    assert len(rows(run)) == 3
    assert sorted(row["role"] for row in run.table(INPUTS).read().to_pylist()) == ["observations", "requests"]
    assert {row["stage"] for row in run.table(QUARANTINE).read().to_pylist()} == {"requests"}


def test_a_file_is_read_again_when_the_fleet_reads_it_another_way(run, fleet):
    put(run, "a.csv", lines(1))
    ingest(run)
    static = with_fleet(run, fleet.forecast(features={"known": []}))
    assert ingest(static).unchanged == 0
    assert ingest(static).unchanged == 1
    other = with_fleet(run, fleet.forecast(features={"known": ["price"]}, horizon=9))
    assert ingest(other).unchanged == 0
    assert other.table(landed(other.fleet)).read()["x_price"].to_pylist() == [1.5] * 3
    assert ingest(with_fleet(run, fleet.forecast(horizon=4))).unchanged == 1
    assert len(rows(run)) == 3


def test_a_new_feature_is_filled_for_files_that_landed_before(run, fleet):
    plain = with_fleet(run, fleet.forecast(features={}))
    put(run, "a.csv", lines(1))
    ingest(plain)
    partition_observations(plain)
    ingest(run)
    partition_observations(run)
    assert run.table(observations(run.fleet)).read()["x_price"].to_pylist() == [1.5] * 3


def test_numbers_that_can_be_read_in_two_ways_are_warned_of_once(run):
    for store in (1, 2):
        put(run, f"{store}.csv", "".join(f"{store},x,2024-01-0{day},1.{100 + day},1.5\n" for day in (1, 2)))
    told = []
    with subscribed(told.append):
        ingest(run)
    (note,) = [progress.note for progress in told if progress.note.startswith("warning")]
    assert "1.csv: look at column 'units'" in note
    assert {target for _, _, target in rows(run)} == {1.101, 1.102}


def test_a_file_whose_thousands_would_become_decimals_is_refused(run):
    put(run, "1.csv", lines(1))
    values = [f"{value:,}".replace(",", ".") for value in range(905, 1105, 10)]
    put(run, "2.csv", "".join(f"2,x,2024-02-{day + 1:02d},{value},2\n" for day, value in enumerate(values)))
    receipt = ingest(run)
    assert "source.thousands: '.'" in receipt.refused[0]
    assert {segment for segment, _, _ in rows(run)} == {segment for segment, _, _ in rows(run) if "store=1" in segment}
    ingest(run, decimal=",", thousands=".")
    assert sorted(target for segment, _, target in rows(run) if "store=2" in segment) == list(range(905, 1105, 10))


def test_a_younger_setting_at_its_default_does_not_mean_to_read_files_again(fleet):
    clock = {"column": "day", "frequency": "D"}
    shop, source = fleet.forecast(time=clock | {"zone": "UTC"}), Source(path="in")
    # Without a zone, dates are no longer those of UTC: such files are read once more.
    assert reading(fleet.forecast(time=clock), "observations", source) != "b0b971f6"
    assert reading(shop, "observations", source) == "b0b971f6"
    assert reading(shop, "observations", Source(path="in", thousands="none")) != "b0b971f6"


def test_inputs_that_were_scored_keep_their_identity(fleet):
    source = Source(path="in")
    one, other = fleet.regression(), fleet.regression(features={"known": ["distance"]})
    assert reading(one, "requests", source) == reading(other, "requests", source)
    assert reading(one, "observations", source) != reading(other, "observations", source)


def ingest_until_the_last_commit(run, monkeypatch):
    real = Table.replace

    def stop(table, *args, **options):
        if table.spec.name == "landed":
            raise KeyboardInterrupt
        return real(table, *args, **options)

    monkeypatch.setattr(Table, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        ingest(run)
    monkeypatch.undo()


def test_reading_another_way_that_stopped_before_its_last_commit_is_made_up_for(run, fleet, monkeypatch):
    put(run, "a.csv", lines(1))
    ingest(with_fleet(run, fleet.forecast(features={})))
    ingest_until_the_last_commit(run, monkeypatch)
    assert ingest(run).read == 3
    assert run.table(landed(run.fleet)).read()["x_price"].to_pylist() == [1.5] * 3


def test_an_ingest_that_stopped_before_its_last_commit_is_made_up_for(run, monkeypatch):
    put(run, "a.csv", lines(1))
    ingest(run)
    put(run, "a.csv", lines(1, count=2), stamp_ns=5)
    ingest_until_the_last_commit(run, monkeypatch)
    assert len(rows(run)) == 3
    assert ingest(run).read == 2
    assert len(rows(run)) == 2
    assert_balanced(run)


def test_many_chunks_of_one_file_land_together(run, monkeypatch):
    monkeypatch.setattr("adapters.sources.parquet_file.CHUNK_ROWS", 2)
    put(run, "a.csv", lines(1, count=5))
    pq.write_table(pacsv.read_csv(run.context.home / "in/a.csv"), run.context.home / "in/b.parquet")
    (run.context.home / "in/a.csv").unlink()
    assert ingest(run).read == 5
    assert len(rows(run)) == 5
    assert ingest(run).unchanged == 1
    assert_balanced(run)


def test_the_whole_path_works_with_input_and_lake_on_s3(s3, fleet, workers, tmp_path):
    root, storage = f"lake/{uuid.uuid4().hex}", fsspec.filesystem("s3")
    run = Run(RunContext(fleet.forecast(), Lake(f"s3://{root}/lake"), "run-1", tmp_path), workers)
    storage.pipe(f"{root}/in/a.csv", (HEADER + lines(1) + "1,x,never,1,1\n" + lines(1)).encode())
    storage.pipe(f"{root}/in/b.csv.gz", gzip.compress((HEADER + lines(2)).encode()))
    storage.pipe(f"{root}/in/c.csv", b"")
    receipt = ingest(run, path=f"s3://{root}/in")
    assert (receipt.files, receipt.read, len(receipt.refused)) == (3, 10, 1)
    assert ingest(run, path=f"s3://{root}/in").unchanged == 2
    summary = partition_observations(run)
    assert (summary.segments, summary.landed, summary.accepted, summary.rejected) == (2, 9, 6, 3)
    assert_balanced(run)
    storage.pipe(f"{root}/in/a.csv", (HEADER + lines(1, count=1)).encode())
    storage.pipe(f"{root}/in/c.csv", (HEADER + lines(3)).encode())
    assert ingest(run, path=f"s3://{root}/in").read == 4
    summary = partition_observations(run)
    assert (summary.segments, summary.accepted, summary.rejected) == (3, 7, 0)
    assert_balanced(run)


def test_a_run_for_others_reads_nothing_outside_its_folders(run):
    put(run, "a.csv", lines("s1"))
    outside = run.context.home / "elsewhere.csv"
    outside.write_text(HEADER + lines("s2"))
    (run.context.home / "in" / "b.csv").symlink_to(outside)
    confined = Run(replace(run.context, roots=(str(run.context.home / "in"),)), run.workers)
    receipt = ingest(confined)
    assert (receipt.read, len(receipt.refused)) == (3, 1)
    assert "b.csv: leads to a place outside the allowed folders" in receipt.refused[0]
    # Its owner may read it.
    assert ingest(run).read == 3


def test_a_broken_line_of_json_is_rejected_and_its_file_is_not(run):
    row = '{"store": "1", "brand": "x", "day": "2024-01-01", "units": 1, "price": 1.5, "more": {"a": [1]}}'
    path = run.context.home / "in/a.jsonl"
    path.write_text(f"{row}\n{row[:20]}\n{row.replace('-01-01', '-01-02')}\n")
    receipt = ingest(run)
    assert (receipt.refused, receipt.read, receipt.accepted, receipt.rejected) == ((), 3, 2, 1)
    assert quarantine(run) == [("a.jsonl", "unparsable", 1)]
    (rejected,) = run.table(QUARANTINE).read().to_pylist()
    assert (rejected["detail"], rejected["content"]) == ("the line is no JSON object", row[:20])
    assert_balanced(run)
