"""Reading of queries from a real PostgreSQL."""

import datetime as dt
import resource

import psycopg
import pytest
from postgres_server import PASSWORD
from sql_slices import *  # noqa: F403 - the tests
from sql_sources import Database

from adapters.databases.query import open_query
from domain.errors import DatabaseBusyError, DatabaseError

pytestmark = pytest.mark.server


def test_types_keep_their_values(database, server):
    server.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')", "shop")
    server.execute("CREATE DOMAIN amount AS numeric(12, 3)", "shop")
    table = database.read(
        "SELECT 9007199254740993::bigint AS id, 1::smallint AS small, 12345678901234567890.12::numeric AS exact, "
        "1.500::amount AS domain, 1.50::money AS money, 'ok'::mood AS mood, "
        "'6ecd8c99-4036-403d-bf84-cf8400f67836'::uuid AS key, 'x  '::char(4) AS padded, true AS flag, "
        "'2024-03-31 01:30:00+02'::timestamptz AS zoned, '2024-03-31 01:30:00'::timestamp AS local, "
        "'2024-03-31'::date AS day, 'infinity'::timestamptz AS never, '-infinity'::date AS always, "
        "'294276-12-31'::timestamp AS late, '0044-03-15 BC'::date AS ides, NULL::text AS nothing, "
        "E'ä\\n\"\\'; --' AS text, 0.1::float8 + 0.2 AS sum, 4000000000::oid AS oid, '12:30'::time AS clock, "
        "ARRAY[1, 2] AS list, '{}'::json AS json, '{}'::jsonb AS jsonb, 'x'::bytea AS blob, '(1,2)'::point AS point, "
        "'1 day'::interval AS span, ROW(1, 2) AS record"
    )
    row = table.to_pylist()[0]
    assert {"list", "json", "jsonb", "blob", "point", "record"}.isdisjoint(row)
    assert (row["id"], row["small"], row["exact"]) == (9007199254740993, 1, "12345678901234567890.12")
    assert (row["domain"], row["money"], row["mood"], row["padded"]) == ("1.500", "1.50", "ok", "x")
    assert (row["key"], row["flag"], row["oid"]) == ("6ecd8c99-4036-403d-bf84-cf8400f67836", True, "4000000000")
    assert row["zoned"] == dt.datetime(2024, 3, 30, 23, 30, tzinfo=dt.UTC)
    assert (row["local"], row["day"]) == (dt.datetime(2024, 3, 31, 1, 30), dt.date(2024, 3, 31))
    assert [row[name] for name in ("never", "always", "late", "ides", "nothing")] == [None] * 5
    assert (row["text"], row["sum"], row["clock"]) == ("ä\n\"'; --", 0.1 + 0.2, "12:30:00")


def test_all_reads_of_a_connection_see_one_moment(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    with open_query(database.address, "SELECT * FROM sales", 60) as query:
        count = f"SELECT count(*) FROM {query.source}"
        before = query.reader.fetch(count)
        database.insert((2, "a", "2024-01-01", 1.0, 1))
        assert query.reader.fetch(count) == before == [(1,)]


def test_a_statement_that_takes_too_long_is_ended(database):
    with (
        pytest.raises(DatabaseError, match="statement timeout"),
        open_query(database.address, "SELECT 1 AS a", 0.2) as query,
    ):
        query.reader.fetch("SELECT pg_sleep(20)")


def test_rows_come_in_bounded_memory(database):
    with open_query(
        database.address, "SELECT n, repeat('x', 100) AS t FROM generate_series(1, 5000000) AS n", 60
    ) as query:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows = sum(batch.num_rows for batch in query.reader.batches(f"SELECT n, t FROM {query.source}"))
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert rows == 5_000_000
    assert grown_kib < 200 << 10, "all rows together have 600 MB"


def test_a_column_name_that_comes_twice_is_refused(database):
    with pytest.raises(DatabaseError, match="the query has column id twice; rename one with AS"):
        database.read("SELECT id, id FROM sales")


def test_a_server_that_is_away_may_come_back(database, monkeypatch, server):
    monkeypatch.setenv("SOURCE", server.url("shop").replace(str(server.port), "1"))
    away = Database("postgresql", "env:SOURCE", database.home, database.execute)
    with pytest.raises(DatabaseBusyError) as caught:
        away.slices()
    assert PASSWORD not in str(caught.value)


def test_late_commits_are_found_by_the_next_reading(database, server):
    """A transaction that began before a reading and ends after it has rows with an old watermark."""
    database.insert((1, "a", "2024-01-01", 1.0, 5))
    with psycopg.connect(server.url("shop")) as writer:
        writer.execute("INSERT INTO sales VALUES (2, 'a', '2024-01-02', 1.0, '2024-01-04 00:00:00')")
        first = database.slices()
        assert [part.rows for part in first] == [1]
        writer.commit()
    assert [part.rows for part in database.slices(first)] == [2]


@pytest.mark.parametrize(("value", "type_"), [("infinity", "timestamptz"), ("NaN", "numeric"), ("infinity", "date")])
def test_a_watermark_after_which_nothing_is_newer_is_refused(database, value, type_):
    with pytest.raises(DatabaseError, match=r"source\.watermark: mark: is infinite in some rows"):
        database.slices(query=f"SELECT CAST('{value}' AS {type_}) AS mark", watermark="mark")
    assert database.slices(query="SELECT 'infinity pool' AS mark", watermark="mark")[0].rows == 1
