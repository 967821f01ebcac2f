"""Ingest of a Delta table: what its log adds is landed, what its log removes loses its rows, each in one commit."""

import pyarrow as pa
import pytest
from delta_tables import change_log, vector, write_table_by_hand
from deltalake import DeltaTable, write_deltalake

from adapters.sources.new_files import check_inputs, new_files
from domain.config.source import Source
from domain.data.tables import INPUTS, QUARANTINE, landed
from domain.errors import SourceError
from tasks.ingest import ingest_files
from tasks.workers.ingest import reading


def days(store, first=1, count=3, units=1.0):
    return pa.table(
        {
            "store": [store] * count,
            "brand": ["x"] * count,
            "day": [f"2024-01-{day:02d}" for day in range(first, first + count)],
            "units": [units] * count,
            "price": [1.5] * count,
        }
    )


def ingest(run, role="observations", **settings):
    return ingest_files(run, role, Source(**({"path": "t"} | settings)))


def rows(run, role="landed"):
    table = run.table(landed(run.fleet, role)).read()
    columns = (table[name].to_pylist() for name in ("segment", "time", "target"))
    return sorted((segment[6], time.day, target) for segment, time, target in zip(*columns, strict=True))


def expected(*tables):
    return sorted((row["store"], int(row["day"][-2:]), row["units"]) for table in tables for row in table.to_pylist())


@pytest.fixture
def table(run):
    uri = str(run.context.home / "t")
    write_deltalake(uri, days("1"))
    return uri


def test_an_append_lands_only_its_own_files(run, table):
    assert ingest(run).files == 1
    write_deltalake(table, days("2"), mode="append")
    receipt = ingest(run)
    assert (receipt.files, receipt.unchanged, receipt.read) == (2, 1, 3)
    assert rows(run) == expected(days("1"), days("2"))
    stamps = sorted(row["stamp"] for row in run.table(INPUTS).read().to_pylist())
    assert [stamp[:3] for stamp in stamps] == ["v0-", "v1-"]
    version = run.table(landed(run.fleet)).version()
    assert (ingest(run).unchanged, run.table(landed(run.fleet)).version()) == (2, version)


def test_the_same_rows_in_two_files_of_a_table_both_count(run, table):
    write_deltalake(table, days("1"), mode="append")
    receipt = ingest(run)
    assert (receipt.refused, receipt.accepted) == ((), 6)


@pytest.mark.parametrize("change", ["delete", "update", "overwrite", "compact", "all"])
def test_what_the_log_removes_loses_its_rows(run, table, change):
    write_deltalake(
        table, days("2").set_column(2, "day", pa.array(["2024-01-01", "never", "2024-01-03"])), mode="append"
    )
    ingest(run)
    assert run.table(QUARANTINE).read().num_rows == 1
    handle, one, two = DeltaTable(table), days("1"), days("2")
    two = pa.concat_tables([two.slice(0, 1), two.slice(2)])
    if change == "delete":
        handle.delete("store = '2'")
        wanted = expected(one)
    elif change == "update":
        handle.update({"units": "7.0"}, predicate="store = '1'")
        wanted = expected(days("1", units=7.0), two)
    elif change == "overwrite":
        write_deltalake(table, days("3"), mode="overwrite")
        wanted = expected(days("3"))
    elif change == "compact":
        handle.optimize.compact()
        wanted = expected(one, two)
    else:
        handle.delete()
        wanted = []
    receipt = ingest(run)
    assert (rows(run), receipt.refused) == (wanted, ())
    listed = [row["path"] for row in run.table(INPUTS).read().to_pylist()]
    assert sorted(listed) == sorted(DeltaTable(table).file_uris())
    assert run.table(QUARANTINE).read().num_rows == (change in ("update", "compact"))
    if wanted:
        assert ingest(run).unchanged == len(listed)


def test_a_deletion_vector_takes_its_rows_away(run):
    write_table_by_hand(run.context.home / "t", days("1"))
    assert ingest(run).accepted == 3
    change_log(run.context.home / "t", lambda add: add.update(deletionVector=vector([1])))
    assert (ingest(run).read, rows(run)) == (2, [("1", 1, 1.0), ("1", 3, 1.0)])
    assert ingest(run).unchanged == 1


def test_another_version_of_the_source_reads_only_what_differs(run, table):
    write_deltalake(table, days("2"), mode="append")
    assert ingest(run, version=0).files == 1
    assert rows(run) == expected(days("1"))
    receipt = ingest(run)
    assert (receipt.unchanged, receipt.read) == (1, 3)
    ingest(run, version=0)
    assert rows(run) == expected(days("1"))


def test_a_version_is_no_way_of_reading(fleet):
    forecast = fleet.forecast()
    plain, at = (reading(forecast, "observations", Source(path="t", version=version)) for version in (None, 3))
    assert plain == at


def test_a_table_that_never_had_a_row_is_told(run, table):
    DeltaTable(table).delete()
    with pytest.raises(SourceError, match="t: the Delta table has no rows at version 1"):
        ingest(run)


def test_an_emptied_table_may_be_run_as_long_as_the_lake_has_its_rows(run, table, fleet):
    forecast = fleet.forecast(source={"path": "t"}, score={"source": {"path": "t"}})
    lake, home = run.context.lake, run.context.home
    check_inputs(lake, forecast, home)
    ingest(run)
    DeltaTable(table).delete()
    check_inputs(lake, forecast, home)
    assert (ingest(run).files, rows(run)) == (0, [])
    with pytest.raises(SourceError, match="t: the Delta table has no rows at version 1"):
        check_inputs(lake, forecast, home)


def test_a_table_of_rows_to_score_may_be_empty_at_any_time(run, table, fleet):
    DeltaTable(table).delete()
    empty = fleet.forecast(source={"path": "x.csv"}, score={"source": {"path": "t"}})
    (run.context.home / "x.csv").write_text("day\n")
    check_inputs(run.context.lake, empty, run.context.home)
    write_deltalake(table, days("1"), mode="append")
    assert ingest(run, "requests").files == 1
    DeltaTable(table).delete()
    for _ in range(2):
        receipt = ingest(run, "requests")
        assert (receipt.files, receipt.refused, rows(run, "requests")) == (0, (), [])
    with pytest.raises(SourceError, match="no rows at version"):
        ingest_files(run, "requests", Source(path="t"), ["t"])


def test_a_table_in_place_of_plain_files_takes_over_their_rows(run, table):
    """A lake of an earlier version, which read the files of the folder as they are."""
    plain = Source(path="t")
    DeltaTable(table).update({"units": "7.0"})
    (run.context.home / "t/_delta_log").rename(run.context.home / "log")
    ingest_files(run, "observations", plain)
    assert len(rows(run)) == 6
    (run.context.home / "log").rename(run.context.home / "t/_delta_log")
    ingest(run)
    assert rows(run) == expected(days("1", units=7.0))


def test_files_of_a_table_that_are_not_landed_yet_are_new(run, table, fleet):
    scored = fleet.forecast(score={"source": {"path": "t"}})
    lake, home = run.context.lake, run.context.home
    assert len(new_files(lake, scored, home)) == 1
    ingest(run, "requests")
    assert new_files(lake, scored, home) == []
    write_deltalake(table, days("2"), mode="append")
    assert [item.stamp[:3] for item in new_files(lake, scored, home)] == ["v1-"]


def test_a_version_whose_files_were_vacuumed_is_told(run, table):
    write_deltalake(table, days("2"), mode="overwrite")
    DeltaTable(table).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(SourceError, match=r"the data file is gone, though this version .* newer source\.version"):
        ingest(run, version=0)
    ingest(run)
    assert rows(run) == expected(days("2"))
