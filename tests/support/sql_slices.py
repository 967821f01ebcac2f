"""What holds for slices in every kind of database; tests import these functions and give the fixture `database`."""

from dataclasses import replace

import pytest
from sql_sources import covered, when

from adapters.databases import slices
from adapters.sources.sql_query import _slice_input, _slice_of
from domain.errors import DatabaseError


def test_the_first_reading_takes_all_and_the_second_what_is_new(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1), (2, "a", "2024-01-02", 1.0, 2))
    first = database.slices()
    assert [(part.lower, part.rows) for part in first] == [(None, 2)]
    assert database.slices(first) == first
    database.insert((3, "a", "2024-01-03", 1.0, 3))
    second = database.slices(first)
    assert second[:1] == first
    assert [database.rows(part) for part in second] == [[1, 2], [3]]


def test_rows_that_come_late_or_with_the_same_watermark_are_found_by_counting(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1), (2, "a", "2024-01-02", 1.0, 3))
    first = database.slices()
    database.insert((3, "a", "2024-01-03", 1.0, 3), (4, "a", "2024-01-03", 1.0, 2))
    second = database.slices(first)
    assert second == [replace(first[0], rows=4)]
    assert database.rows(second[0]) == [1, 2, 3, 4]


def test_updated_and_deleted_rows_leave_their_slice(database):
    parts = []
    for day in (1, 2, 3, 4):
        database.insert((day, "a", when(day)[:10], 1.0, day), (10 * day, "a", when(day)[:10], 1.0, when(day, 30)))
        parts = database.slices(parts)
    assert [part.rows for part in parts] == [2, 2, 2, 2]
    database.execute(f"UPDATE sales SET units = 9, changed_at = '{when(9)}' WHERE id = 2")
    database.execute("DELETE FROM sales WHERE id = 30")
    after = database.slices(parts)
    assert [part.rows for part in after] == [2, 1, 1, 2, 1]
    assert covered(database, after) == [1, 2, 3, 4, 10, 20, 40]


def test_an_overlap_limits_what_is_counted_again(database):
    parts = []
    for day in (1, 2, 3):
        database.insert((day, "a", when(day)[:10], 1.0, day))
        parts = database.slices(parts)
    database.execute("DELETE FROM sales WHERE id IN (1, 3)")
    assert [part.rows for part in database.slices(parts, overlap=1)] == [1, 1, 0]
    assert [part.rows for part in database.slices(parts, overlap=0)] == [1, 1, 1]


def test_large_slices_are_cut_and_rows_of_one_watermark_stay_together(database, monkeypatch):
    monkeypatch.setattr(slices, "SLICE_ROWS", 3)
    database.insert(*((number, "a", "2024-01-01", 1.0, 1 + number // 5) for number in range(20)))
    parts = database.slices()
    assert len(parts) > 2
    assert covered(database, parts) == list(range(20))
    assert [len(database.rows(part)) for part in parts] == [part.rows for part in parts]
    assert all(part.rows % 5 == 0 for part in parts)


def test_a_slice_that_could_not_be_read_is_listed_again(database):
    parts = []
    for day in (1, 2, 3):
        database.insert((day, "a", when(day)[:10], 1.0, day))
        parts = database.slices(parts)
    again = database.slices([parts[0], parts[2]])
    assert sorted(again, key=lambda part: part.upper) == parts


def test_slices_that_do_not_fit_together_are_replaced(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1), (2, "a", "2024-01-02", 1.0, 2))
    [whole] = database.slices()
    wrong = [whole, replace(whole, lower=None, rows=1)]
    assert database.slices(wrong) == [whole]


def test_a_query_that_has_lost_all_rows_changes_nothing(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    parts = database.slices()
    database.execute("DELETE FROM sales")
    with pytest.raises(DatabaseError, match="no rows any more; nothing was changed"):
        database.slices(parts)
    with pytest.raises(DatabaseError, match="the query has no rows"):
        database.slices()


def test_rows_without_a_watermark_are_refused(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    database.execute("INSERT INTO sales (id) VALUES (2), (3)")
    with pytest.raises(DatabaseError, match="changed_at: has no value in 2 rows, which would never be read"):
        database.slices()


@pytest.mark.parametrize(
    ("watermark", "message"), [("units", "is of type"), ("nothing", "the query has no such column")]
)
def test_a_column_that_orders_nothing_is_refused(database, watermark, message):
    database.insert((1, "a", "2024-01-01", 1.5, 1))
    with pytest.raises(DatabaseError, match=f"source.watermark: {watermark}: {message}"):
        database.slices(watermark=watermark)


@pytest.mark.parametrize("watermark", ["id", "day", "store"])
def test_numbers_dates_and_texts_are_watermarks_too(database, watermark):
    database.insert(
        (9, "a9", "2024-01-01", 1.0, 1), (10, "a'; DROP TABLE sales; --".replace("'", "''"), "2024-01-09", 1.0, 1)
    )
    parts = database.slices(watermark=watermark)
    database.insert((100, "b$1", "2024-02-01", 1.0, 1))
    parts = database.slices(parts, watermark=watermark)
    assert [database.rows(part, watermark=watermark) for part in parts] == [[9, 10], [100]]
    database.insert((101, "c", "2024-02-02", 1.0, 1))
    assert [part.rows for part in database.slices(parts, watermark=watermark)] == [2, 1, 1]


@pytest.mark.parametrize(("type_", "kinds"), [("TIMESTAMPTZ", "postgresql duckdb"), ("numeric(20, 2)", "postgresql")])
def test_watermarks_of_other_types_are_exact(database, type_, kinds):
    if database.kind not in kinds:
        pytest.skip(f"{database.kind} has no {type_}")
    column = "changed_at" if "TIME" in type_ else "units"
    query = f"SELECT id, CAST({column} AS {type_}) AS mark FROM sales"
    database.insert((1, "a", "2024-01-01", 0.07, "2024-01-01 00:00:00.123456"))
    parts = database.slices(query=query, watermark="mark")
    database.insert((2, "a", "2024-01-01", 0.08, "2024-01-01 00:00:00.123457"))
    parts = database.slices(parts, query=query, watermark="mark")
    assert [database.rows(part, query=query, watermark="mark") for part in parts] == [[1], [2]]
    assert database.slices(parts, query=query, watermark="mark") == parts


def test_odd_texts_are_bounds_like_others(database):
    names = ["", "a,b]", "a]#(", "naïve\n; --", "z%2A*"]
    parts = []
    for number, name in enumerate(sorted(names, key=str.encode)):
        database.insert((number, name, "2024-01-01", 1.0, 1))
        parts = database.slices(parts, watermark="store")
        inputs = [_slice_input("sqlite:///x", "store", part, database.home) for part in parts]
        assert [_slice_of(item.uri, item.stamp, "sqlite:///x", "store") for item in inputs] == parts
    assert [database.rows(part, watermark="store") for part in parts] == [[0], [1], [2], [3], [4]]


def test_the_query_may_be_written_as_anybody_does(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1), (2, "b", "2024-01-01", 1.0, 1))
    query = "WITH s AS (SELECT * FROM sales) SELECT id, changed_at FROM s WHERE store = 'a' -- only this one?\n;;  \n"
    assert database.slices(query=query)[0].rows == 1


def test_a_query_cannot_write(database):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    file = database.home / "written.csv"
    for query in (
        "SELECT * FROM sales) AS q; DROP TABLE sales; --",
        f"SELECT * FROM sales) AS q; COPY (SELECT 1) TO '{file}'; SELECT * FROM (SELECT 1",
        "DELETE FROM sales RETURNING *",
        "WITH gone AS (DELETE FROM sales RETURNING *) SELECT * FROM gone",
    ):
        with pytest.raises(DatabaseError):
            database.read(query)
    assert not file.exists()
    assert database.slices()[0].rows == 1
