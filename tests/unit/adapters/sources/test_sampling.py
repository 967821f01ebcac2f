import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.sources.sampling import Limits, check_fleet

HEADER = "store,brand,day,units,price,note"


def write(folder, name, rows=30, store=1, header=HEADER):
    lines = [f"{store},a,2024-01-{day + 1:02d},{5 + day % 3},{1 + day % 4 / 10},hello" for day in range(rows)]
    folder.mkdir(exist_ok=True)
    text = "\n".join([header, *lines]) + "\n"
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


AS_REGRESSION = {
    "segment_by": ["store"],
    "target": {"column": "units"},
    "row_key": ["day"],
    "features": {"known": ["price"]},
}


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "in"


def test_everything_is_read_within_the_limits(fleet, tmp_path, raw):
    paths = [write(raw, f"{store}.csv", store=store) for store in range(5)]
    paths.append(write(raw, "5.csv.gz", store=5))
    findings = check_fleet(fleet.forecast(), tmp_path, 2)
    source = findings.sources[0]
    assert (source.files, source.read_files, source.whole) == (6, 6, True)
    assert source.size_bytes == sum(path.stat().st_size for path in paths)
    assert (source.rows, source.accepted, source.unused) == (180, 180, ("note",))
    assert (findings.segments.count, findings.segments.rows_min) == (6, 30)
    assert findings.errors == 0


def test_nothing_is_written(fleet, tmp_path, raw):
    write(raw, "1.csv")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    check_fleet(fleet.forecast(), tmp_path, 2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("limits", [Limits(rows=60), Limits(files=2), Limits(size_bytes=1_500)])
def test_a_limit_leaves_a_sample_of_files_spread_over_the_names(fleet, tmp_path, raw, limits):
    for store in range(8):
        write(raw, f"{store}.csv", store=store)
    findings = check_fleet(fleet.forecast(), tmp_path, 2, limits)
    source = findings.sources[0]
    assert (source.files, source.whole) == (8, False)
    assert (source.read_files, source.rows, findings.segments.count) == (2, 60, 2)
    stores = next(column for column in findings.columns if column.name == "store")
    assert stores.examples == ("0", "4")


def test_the_estimate_of_a_sample_is_for_all_rows(fleet, tmp_path, raw):
    for number in range(8):
        write(raw, f"{number}.csv", rows=31)

    def lake(limits):
        return check_fleet(fleet.regression(**AS_REGRESSION), tmp_path, 2, limits).estimate.lake_bytes

    assert lake(Limits(files=2)) == pytest.approx(lake(Limits()), rel=0.02)
    assert lake(Limits(rows=20)) == pytest.approx(lake(Limits()), rel=0.02)


def test_a_file_that_is_too_long_is_cut(fleet, tmp_path, raw):
    write(raw, "1.csv")
    source = check_fleet(fleet.forecast(), tmp_path, 2, Limits(rows=7)).sources[0]
    assert (source.rows, source.whole) == (7, False)


def test_rows_that_just_fit_are_all_there_is(fleet, tmp_path, raw):
    write(raw, "1.csv")
    assert check_fleet(fleet.forecast(), tmp_path, 2, Limits(rows=30)).sources[0].whole


def test_missing_files_are_an_error_that_names_the_path(fleet, tmp_path):
    findings = check_fleet(fleet.forecast(), tmp_path, 2)
    assert findings.errors == 1
    assert (findings.problems[0].key, findings.problems[0].severity) == ("source", "error")
    assert "in: no file matches" in findings.problems[0].message


def test_a_damaged_file_is_an_error_and_the_others_are_checked(fleet, tmp_path, raw):
    write(raw, "1.csv")
    (raw / "2.csv.gz").write_bytes(b"no gzip")
    (raw / "3.csv").write_bytes(b"")
    findings = check_fleet(fleet.forecast(), tmp_path, 2)
    messages = [problem.message for problem in findings.problems if problem.key == "source"]
    assert len(messages) == 1
    assert "2.csv.gz: cannot be read" in messages[0]
    assert "3.csv: the file is empty" in messages[0]
    assert findings.segments.count == 1


def test_a_file_that_breaks_off_is_an_error(fleet, tmp_path, raw):
    write(raw, "1.csv")
    path = write(raw, "2.csv.gz", rows=30)
    path.write_bytes(path.read_bytes()[:-12])
    findings = check_fleet(fleet.forecast(), tmp_path, 2)
    assert [p.key for p in findings.problems if p.severity == "error"] == ["source"]
    assert "2.csv.gz: cannot be read" in findings.problems[0].message


def test_a_column_that_only_some_files_have_is_reported_and_the_rest_is_read(fleet, tmp_path, raw):
    write(raw, "1.csv")
    write(raw, "2.csv", store=2, header=HEADER.replace("price", "cost"))
    findings = check_fleet(fleet.forecast(), tmp_path, 2)
    assert [p.key for p in findings.problems if p.severity == "error"] == ["features.known"]
    assert "in 1 of 2 files (2.csv)" in findings.problems[0].message
    assert findings.segments.count == 1


def test_without_a_needed_column_the_others_are_still_checked(fleet, tmp_path, raw):
    write(raw, "1.csv", header=HEADER.replace("price", "cost"))
    findings = check_fleet(fleet.forecast(), tmp_path, 2)
    assert [column.name for column in findings.columns] == ["store", "brand", "day", "units"]
    assert findings.segments is None
    assert findings.errors == 1


def test_rows_of_another_length_are_counted(fleet, tmp_path, raw):
    path = write(raw, "1.csv")
    path.write_text(path.read_text() + "1,a\n")
    source = check_fleet(fleet.forecast(), tmp_path, 2).sources[0]
    assert (source.rows, source.accepted) == (31, 30)
    assert list(source.rejected) == ["unparsable: the row has another number of columns than the header"]


def test_parquet_with_a_nested_column_that_is_not_used(fleet, tmp_path, raw):
    raw.mkdir()
    days = [f"2024-01-{day + 1:02d}" for day in range(30)]
    table = pa.table({"store": [1] * 30, "brand": ["a"] * 30, "day": days, "units": [1.5] * 30, "price": [2.0] * 30})
    table = table.append_column("tags", pa.array([["x"]] * 30))
    pq.write_table(table, raw / "1.parquet")
    findings = check_fleet(fleet.forecast(), tmp_path, 2)
    assert findings.sources[0].unused == ("tags",)
    assert {column.name: column.type for column in findings.columns}["units"] == "number"


def test_scoring_and_test_sources_are_checked_too(fleet, tmp_path, raw):
    write(raw, "1.csv", rows=20)
    write(tmp_path / "next", "1.csv", rows=23)
    scored = {"source": {"path": "next"}}
    findings = check_fleet(fleet.forecast(score=scored, test=scored), tmp_path, 2)
    assert [source.role for source in findings.sources] == ["source", "score.source", "test.source"]
    assert (findings.score.covered, findings.test.covered) == (1.0, 1.0)
    assert "price" in findings.sources[2].unused


def test_numbers_that_can_be_read_in_two_ways_are_a_warning(fleet, tmp_path, raw):
    lines = [f"1,a,2024-01-{day + 1:02d},1.{100 + day},1.5,x" for day in range(30)]
    raw.mkdir()
    (raw / "a.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    (warning,) = (p for p in check_fleet(fleet.forecast(), tmp_path, 2).problems if "look at" in p.message)
    assert (warning.severity, warning.key) == ("warning", "source")
    assert "column 'units': every point" in warning.message
