"""Reading of queries from the databases that are files."""

import datetime as dt

import pytest
from sql_slices import *  # noqa: F403 - the tests
from sql_sources import duckdb_database, sqlite_database

from domain.errors import DatabaseError


@pytest.fixture(params=["sqlite", "duckdb"])
def database(request, tmp_path):
    if request.param == "duckdb":
        pytest.importorskip("duckdb")
    return {"sqlite": sqlite_database, "duckdb": duckdb_database}[request.param](tmp_path)


def test_a_file_that_is_missing_is_not_made(database):
    database.address.target  # noqa: B018
    (database.home / database.url.rpartition("/")[2]).unlink()
    with pytest.raises(DatabaseError, match="no such file"):
        database.slices()
    assert list(database.home.iterdir()) == []


def test_sqlite_gives_exact_texts(tmp_path):
    database = sqlite_database(tmp_path)
    row = database.read(
        "SELECT 9007199254740993 AS id, 0.1 + 0.2 AS sum, 0.5 AS half, NULL AS absent, 'ä\n\"x''' AS text, "
        "x'00' AS blob, '01' AS code, 1e300 * 10 AS large, -7 AS negative"
    ).to_pylist()[0]
    assert (row["id"], row["half"], row["absent"], row["blob"]) == ("9007199254740993", "0.5", None, None)
    assert (row["text"], row["code"], row["negative"]) == ("ä\n\"x'", "01", "-7")
    assert float(row["sum"]) == 0.1 + 0.2
    assert float(row["large"]) == 1e301


def test_sqlite_columns_of_several_kinds_are_read_to_the_end(tmp_path):
    database = sqlite_database(tmp_path)
    database.execute("CREATE TABLE mixed (v)")
    database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
        "INSERT INTO mixed SELECT CASE WHEN i < 100000 THEN NULL WHEN i < 150000 THEN i ELSE 'x' || i END FROM n"
    )
    values = database.read("SELECT v FROM mixed")["v"].to_pylist()
    assert (len(values), values[0], values[100_000], values[-1]) == (200_000, None, "100001", "x200000")


def test_duckdb_types_keep_their_values(tmp_path):
    pytest.importorskip("duckdb")
    database = duckdb_database(tmp_path)
    table = database.read(
        "SELECT 9007199254740993::BIGINT AS id, 12345678901234567890.12::DECIMAL(38, 2) AS amount, 2::HUGEINT AS huge, "
        "'infinity'::TIMESTAMP AS never, '2024-03-31 01:30:00+02'::TIMESTAMPTZ AS zoned, '2024-03-31'::DATE AS day, "
        "'a'::ENUM('a', 'b') AS kind, gen_random_uuid() AS key, [1, 2] AS list, {'a': 1} AS struct, "
        "'{}'::JSON AS json, true AS flag, NULL::DOUBLE AS nothing, 'x'::BLOB AS blob"
    )
    row = table.to_pylist()[0]
    assert {"list", "struct", "json", "blob"}.isdisjoint(row)
    assert (row["id"], row["amount"], row["huge"]) == (9007199254740993, "12345678901234567890.12", "2")
    assert row["zoned"] == dt.datetime(2024, 3, 30, 23, 30, tzinfo=dt.UTC)
    assert (row["day"], row["kind"], row["flag"]) == (dt.date(2024, 3, 31), "a", True)
    assert (row["never"], row["nothing"], len(row["key"])) == (None, None, 36)
