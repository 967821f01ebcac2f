"""What holds for ingest from every kind of database; tests import these functions and give the fixture `database`."""

from datetime import UTC, datetime

import pytest

from adapters.compute.dask import InlineWorkers
from adapters.lake.table import Lake
from adapters.sources.kinds import list_inputs
from adapters.sources.sampling import check_fleet
from adapters.sources.scaffold import scaffold_file
from domain.config.fleet import parse_fleet
from domain.config.yaml_text import parse_yaml
from domain.data.tables import INPUTS, QUARANTINE, landed, observations
from domain.errors import SourceError
from domain.scaffold.source_profile import UserOptions
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.scoring_request import _ranks
from tasks.workers.run_context import RunContext

QUERY = "SELECT store, day, units, id, changed_at FROM sales"


@pytest.fixture
def run(database):
    return sql_run(database)


def sql_run(database, lake="lake", **source):
    fleet = {
        "name": "shop",
        "task": "forecast",
        "source": {"path": database.url, "query": QUERY, "watermark": "changed_at"} | source,
        "segment_by": ["store"],
        "time": {"column": "day", "frequency": "D"},
        "target": {"column": "units"},
        "horizon": 3,
        "candidates": ["seasonal_naive"],
        "partition": {"buckets": 4, "min_rows": 2},
    }
    fleet["source"] = {key: value for key, value in fleet["source"].items() if value is not None}
    context = RunContext(parse_fleet(fleet, "shop.yaml"), Lake(str(database.home / lake)), "run-1", database.home)
    return Run(context, InlineWorkers())


def ingest(run, role="observations"):
    return ingest_files(run, role, run.fleet.source)


def landed_rows(run, role="landed"):
    table = run.table(landed(run.fleet, role)).read().sort_by([("segment", "ascending"), ("time", "ascending")])
    return [(row["segment"], row["time"].day, row["target"]) for row in table.to_pylist()]


def test_the_second_run_reads_only_what_is_new(database, run):
    database.insert((1, "a", "2024-01-01", 1.5, 1), (2, "b", "2024-01-02", 2.5, 2))
    first = ingest(run)
    assert (first.files, first.unchanged, first.read, first.accepted) == (1, 0, 2, 2)
    assert (ingest(run).unchanged, ingest(run).read) == (1, 0)
    database.insert((3, "a", "2024-01-03", 3.5, 3))
    second = ingest(run)
    assert (second.files, second.unchanged, second.read) == (2, 1, 1)
    assert landed_rows(run) == [("store=a", 1, 1.5), ("store=a", 3, 3.5), ("store=b", 2, 2.5)]
    ledger = sorted(row["path"] for row in run.table(INPUTS).read().to_pylist())
    shown = database.address.shown
    assert all(path.startswith(f"{shown}#changed_at(") for path in ledger)
    assert all("of the reader" not in path and "reader" not in path for path in ledger)


def test_late_updated_and_deleted_rows_replace_their_slice_and_every_row_is_there_once(database, run):
    for day in (1, 2, 3):
        database.insert(
            (day, "a", f"2024-01-{day:02}", float(day), day), (10 + day, "b", f"2024-01-{day:02}", 1.0, day)
        )
        ingest(run)
    database.execute("UPDATE sales SET units = 99, changed_at = '2024-01-09 00:00:00' WHERE id = 2")
    database.execute("DELETE FROM sales WHERE id = 13")
    database.insert((20, "c", "2024-01-01", 7.0, 1))
    receipt = ingest(run)
    assert (receipt.files, receipt.unchanged, receipt.read) == (4, 0, 6)
    assert landed_rows(run) == [
        *(("store=a", 1, 1.0), ("store=a", 2, 99.0), ("store=a", 3, 3.0)),
        *(("store=b", 1, 1.0), ("store=b", 2, 1.0), ("store=c", 1, 7.0)),
    ]
    assert ingest(run).unchanged == 4


def test_without_a_watermark_the_whole_query_is_one_input_that_is_replaced_when_a_row_changes(database):
    run = sql_run(database, watermark=None)
    database.insert((1, "a", "2024-01-01", 1.0, 1), (2, "a", "2024-01-02", 2.0, 1))
    assert ingest(run).read == 2
    assert (ingest(run).unchanged, ingest(run).read) == (1, 0)
    database.execute("UPDATE sales SET units = 5 WHERE id = 2")
    receipt = ingest(run)
    assert (receipt.files, receipt.read) == (1, 2)
    assert landed_rows(run) == [("store=a", 1, 1.0), ("store=a", 2, 5.0)]


def test_a_query_without_a_watermark_that_has_lost_all_rows_changes_nothing(database):
    run = sql_run(database, watermark=None)
    with pytest.raises(SourceError, match=r"the query has no rows$"):
        ingest(run)
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    ingest(run)
    database.execute("DELETE FROM sales")
    with pytest.raises(SourceError, match="the query has no rows any more; nothing was changed"):
        ingest(run)
    assert landed_rows(run) == [("store=a", 1, 1.0)]


@pytest.mark.parametrize("readings", [{3}, {1, 3}, {1, 2, 3}])
def test_of_several_versions_of_a_row_the_newest_counts_however_the_slices_were_read(database, run, readings):
    database.insert((0, "a", "2024-01-02", 7.0, 1))
    for version in (1, 2, 3):
        database.insert((version, "a", "2024-01-01", 10.0 * version, version))
        if version in readings:
            ingest(run)
    partition_observations(run)
    rows = run.table(observations(run.fleet)).read().sort_by("time")
    assert rows["target"].to_pylist() == [30.0, 7.0]


def test_another_query_or_another_watermark_replaces_all_rows(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1), (2, "b", "2024-01-02", 2.0, 2))
    ingest(sql_run(database))
    doubled = sql_run(database, query="SELECT store, day, 2 * units AS units, id, changed_at FROM sales")
    ingest(doubled)
    assert landed_rows(doubled) == [("store=a", 1, 2.0), ("store=b", 2, 4.0)]
    by_id = sql_run(database, watermark="id")
    ingest(by_id)
    assert landed_rows(by_id) == [("store=a", 1, 1.0), ("store=b", 2, 2.0)]
    whole = sql_run(database, watermark=None)
    ingest(whole)
    assert landed_rows(whole) == [("store=a", 1, 1.0), ("store=b", 2, 2.0)]
    assert len(whole.table(landed(whole.fleet)).files()) == 1


def test_an_overlap_and_a_timeout_are_no_reason_to_read_again(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    ingest(sql_run(database))
    assert ingest(sql_run(database, overlap=0, timeout=60)).unchanged == 1


def test_rows_of_the_same_content_in_two_slices_are_no_copies(database, run):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    ingest(run)
    database.insert((2, "a", "2024-01-01", 1.0, 2))
    receipt = ingest(run)
    assert (receipt.refused, receipt.accepted) == ((), 1)
    assert landed_rows(run) == [("store=a", 1, 1.0)] * 2


def test_rejected_rows_are_kept_with_their_reasons(database, run):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    database.execute(
        "INSERT INTO sales (id, store, day, changed_at) VALUES (2, 'b', '2024-01-01', '2024-01-01 00:00:00')"
    )
    receipt = ingest(run)
    assert (receipt.read, receipt.accepted, receipt.rejected) == (2, 1, 1)
    row = run.table(QUARANTINE).read().to_pylist()[0]
    assert row["path"].startswith(database.address.shown)


def test_a_query_that_lacks_a_column_is_refused_by_its_name(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    run = sql_run(database, query="SELECT store, day, changed_at FROM sales")
    with pytest.raises(SourceError, match="no column units"):
        ingest(run)


def test_a_failure_in_the_middle_keeps_what_was_there(database, run, monkeypatch):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    ingest(run)
    database.insert((2, "a", "2024-01-02", 2.0, 2))
    database.execute("ALTER TABLE sales RENAME TO gone")
    with pytest.raises(SourceError, match="sales"):
        ingest(run)
    assert landed_rows(run) == [("store=a", 1, 1.0)]
    database.execute("ALTER TABLE gone RENAME TO sales")
    assert ingest(run).read == 1


def test_text_with_odd_characters_and_large_ids_stay_exact(database):
    database.insert(
        (9007199254740993, 'ä "x"\\;,%s {} --', "2024-01-01", 1.0, 1), (9007199254740992, "b", "2024-01-01", 1.0, 1)
    )
    run = sql_run(database, query="SELECT CAST(id AS VARCHAR(30)) AS store, day, units, changed_at FROM sales")
    ingest(run)
    assert [row[0] for row in landed_rows(run)] == ["store=9007199254740992", "store=9007199254740993"]
    whole = sql_run(database, query="SELECT id AS store, day, units, changed_at FROM sales", lake="other")
    ingest(whole)
    assert [row[0] for row in landed_rows(whole)] == ["store=9007199254740992", "store=9007199254740993"]
    named = sql_run(database, lake="third")
    ingest(named)
    assert "%" in landed_rows(named)[1][0]


def test_exact_numbers_are_no_thousands(database):
    database.insert(*((day, "a", f"2024-01-{day:02}", 1.009 + day, 1) for day in range(1, 9)))
    number = {"postgresql": "CAST(units AS numeric(12, 3))", "duckdb": "CAST(units AS DECIMAL(12, 3))"}
    query = f"SELECT store, day, {number.get(database.kind, 'units')} AS units, changed_at FROM sales"
    run = sql_run(database, query=query)
    ingest(run)
    assert [row[2] for row in landed_rows(run)] == [pytest.approx(1.009 + day, abs=1e-12) for day in range(1, 9)]


def test_times_keep_their_instants(database):
    if database.kind == "sqlite":
        pytest.skip("SQLite has no times")
    database.insert((1, "a", "2024-01-01", 1.0, "2024-01-01 05:30:00"))
    query = "SELECT store, CAST('2024-01-01 05:30:00+05:30' AS TIMESTAMPTZ) AS day, units, changed_at FROM sales"
    run = sql_run(database, query=query)
    run = Run(
        RunContext(
            run.fleet.model_copy(update={"time": run.fleet.time.model_copy(update={"frequency": "h"})}),
            *(run.context.lake, "run-1", database.home),
        ),
        InlineWorkers(),
    )
    ingest(run)
    assert run.table(landed(run.fleet)).read()["time"].to_pylist() == [datetime(2024, 1, 1, tzinfo=UTC)]


def test_scoring_input_is_a_source_like_any_other(database, run):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    receipt = ingest(run, "requests")
    assert receipt.accepted == 1
    database.insert((2, "a", "2024-01-02", 1.0, 2))
    assert ingest(run, "requests").read == 1


def test_a_slice_that_is_read_again_is_no_newer_than_those_after_it(database):
    run = sql_run(database, watermark="id")
    for id_ in (-3, -1, 9, 10):
        database.insert((id_, "a", "2024-01-01", 1.0, 1))
        if id_ != -3:
            ingest(run, "requests")
    database.execute("DELETE FROM sales WHERE id = -3")
    assert ingest(run, "requests").read == 1
    paths = {row["input_id"]: row["path"] for row in run.table(INPUTS).read().to_pylist()}
    ranks = _ranks(run)
    assert [paths[id_].partition("#")[2] for id_ in sorted(ranks, key=ranks.get)] == [
        "id(*,-1]",
        "id(-1,9]",
        "id(9,10]",
    ]


def test_check_reads_the_query_without_writing(database, run):
    database.insert(*((day, "a", f"2024-01-{day:02}", 1.0, day) for day in range(1, 20)))
    findings = check_fleet(run.fleet, database.home, 1)
    assert not [finding for finding in vars(findings).values() if "cannot be read" in str(finding)]
    assert "19" in str(findings)
    assert not (database.home / "lake").exists()


@pytest.mark.parametrize("place", ["postgresql://h/d", "sqlite:///in.db", "duckdb:///in.duckdb", "env:SOURCE", "in.*"])
def test_nobody_but_the_fleet_file_names_a_database(database, run, place):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    if place == run.fleet.source.path:
        assert list_inputs(run.fleet.source, database.home, place).inputs[0].kind == "sql"
        return
    try:
        inputs = list_inputs(run.fleet.source, database.home, place).inputs
    except SourceError:
        return
    assert {item.kind for item in inputs} == {"files"}


def test_a_column_of_lists_is_refused_where_it_is_used_and_ignored_elsewhere(database):
    if database.kind == "sqlite":
        pytest.skip("SQLite has no lists")
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    listed = "ARRAY[1, 2]" if database.kind == "postgresql" else "[1, 2]"
    run = sql_run(database, query=f"SELECT store, day, units, {listed} AS tags, changed_at FROM sales")
    assert ingest(run).accepted == 1
    run = sql_run(database, query=f"SELECT {listed} AS store, day, units, changed_at FROM sales")
    with pytest.raises(SourceError, match=r"column store is of type .*; a value for each row is needed"):
        ingest(run)


def test_new_writes_a_fleet_file_for_a_query(database):
    days = [f"2024-{1 + number // 28:02}-{1 + number % 28:02}" for number in range(84)]
    database.insert(
        *(
            (number, store, day, 10.001 + number % 7, f"{day} 01:00:00")
            for number, day in enumerate(days)
            for store in ("a", "b")
        )
    )
    query = "SELECT store, day, units, changed_at FROM sales"
    options = UserOptions(name="shop", query=query, watermark="changed_at")
    written = scaffold_file(database.url, options, database.home, 1)
    fleet = parse_fleet(parse_yaml(written.text), "shop.yaml")
    assert (fleet.source.path, fleet.source.query, fleet.source.watermark) == (database.url, query, "changed_at")
    assert (fleet.segment_by, fleet.time.column, fleet.target.column) == (["store"], "day", "units")
    assert not written.findings.errors


@pytest.mark.parametrize(
    ("data", "query", "message"),
    [
        ("postgresql://u:hunter2@h/d", None, "a database is read by a query"),
        ("postgresql://u:hunter2@h/d", "SELECT 1", "a password has no place here"),
        ("sales.csv", "SELECT 1", "a query needs the address of a database"),
    ],
)
def test_new_explains_how_a_database_is_given(tmp_path, data, query, message):
    with pytest.raises(SourceError, match=message) as caught:
        scaffold_file(data, UserOptions(query=query), tmp_path, 1)
    assert "hunter2" not in str(caught.value)
