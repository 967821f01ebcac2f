"""Sheets of workbooks: what the program showed, as far as it is a value."""

import zipfile
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from workbooks import Error, Formula, write_ods, write_xlsx

from adapters.sources import excel, workbook_guard
from adapters.sources.kinds import list_inputs
from adapters.sources.reader import column_names, head_rows, read_chunks
from domain.config.source import Source
from domain.errors import SourceError

DATA = Path(__file__).parents[3] / "data"
DAY = datetime(2024, 1, 5)
ROWS = [["day", "store", "units"], [date(2024, 1, 5), "a", 1.5], [date(2024, 1, 6), "b", 2]]


def chunks(path, columns=("day", "store", "units"), **settings):
    source = Source(path=str(path), **settings)
    (item,) = list_inputs(source, path.parent).inputs
    return list(read_chunks(item, source, list(columns)))


def rows(path, *arguments, **settings):
    return [tuple(row.values()) for chunk in chunks(path, *arguments, **settings) for row in chunk.table.to_pylist()]


@pytest.mark.parametrize("name", ["a.xlsx", "a.XLSX", "a.xlsm", "a.ods", "a.xls"])
def test_a_sheet_is_a_table(tmp_path, name):
    (write_ods if name.endswith("ods") else write_xlsx)(tmp_path / name, Data=ROWS)
    assert rows(tmp_path / name) == [(date(2024, 1, 5), "a", 1.5), (date(2024, 1, 6), "b", 2.0)]
    source = Source(path=name)
    (item,) = list_inputs(source, tmp_path).inputs
    assert column_names(item, source) == ["day", "store", "units"]
    head = head_rows(item, source, 1)
    assert (head.num_rows, head.schema.types) == (1, [pa.date32(), pa.string(), pa.float64()])


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
        (["007", 7, 2.5, True], pa.string(), ["007", "7", "2.5", "true"]),
        (
            [date(2024, 1, 5), datetime(2024, 1, 6, 13, 30)],
            pa.timestamp("us"),
            [datetime(2024, 1, 5), datetime(2024, 1, 6, 13, 30)],
        ),
        ([date(2024, 1, 5), "soon"], pa.string(), ["2024-01-05", "soon"]),
        ([Formula(3.5), 1], pa.float64(), [3.5, 1.0]),
        ([True, False], pa.bool_(), [True, False]),
        (["NA", "", "x"], pa.string(), [None, None, "x"]),
        ([10**15 + 1, 1], pa.float64(), [10**15 + 1, 1]),
    ],
)
def test_cells_have_the_values_that_are_shown(tmp_path, cells, kind, values):
    path = write_xlsx(tmp_path / "a.xlsx", Data=[["n", "v"], *([1, cell] for cell in cells)])
    (chunk,) = chunks(path, ["v"])
    assert (chunk.table.schema.field("v").type, chunk.table["v"].to_pylist()) == (kind, values)


def test_errors_and_formulas_without_values_are_no_value_and_told(tmp_path):
    names = zip("CDE", "vwx", strict=True)
    header = "".join(f'<c r="{place}3" t="inlineStr"><is><t>{name}</t></is></c>' for place, name in names)
    first = '<c r="C4" t="e"><v>#N/A</v></c><c r="D4"><f>A1</f></c><c r="E4"><v>1</v></c>'
    cells = f'<row r="3">{header}</row><row r="4">{first}</row>'
    cells += '<row r="5"><c r="C5"><v>7</v></c><c r="D5"><f>A1</f><v>8</v></c></row>'
    path = write_xlsx(tmp_path / "a.xlsx", Data=[], raw={"Data": cells})
    (chunk,) = chunks(path, ["v", "w"])
    assert chunk.table.to_pydict() == {"v": [None, 7.0], "w": [None, 8.0]}
    assert [remark[:40] for remark in chunk.remarks] == [
        "column 'v': 1 cells with errors such as ",
        "column 'w': 1 formulas were saved withou",
    ]
    assert chunks(path, ["w"])[0].remarks == chunk.remarks[1:]
    (other,) = chunks(write_xlsx(tmp_path / "b.xlsx", Data=[["v"], [Error("#DIV/0!")], [1]]), ["v"])
    assert [remark[:24] for remark in other.remarks] == ["column 'v': 1 cells with"]


def test_blank_rows_and_columns_without_names_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(excel, "_CHUNK_ROWS", 1)
    path = write_xlsx(
        tmp_path / "a.xlsx", Data=[[], ["store", None, "units"], ["a", "note", 1], [], ["b", None, 2, "far"]]
    )
    parts = chunks(path, ["store", "units"])
    assert [(int(chunk.rows[0]), *chunk.table.to_pylist()[0].values()) for chunk in parts] == [
        (0, "a", 1.0),
        (2, "b", 2.0),
    ]
    source = Source(path=str(path))
    assert column_names(list_inputs(source, tmp_path).inputs[0], source) == ["store", "units"]
    (empty,) = chunks(write_xlsx(tmp_path / "b.xlsx", Data=[["store", "units"]]), ["store", "units"])
    assert (empty.table.num_rows, empty.table.column_names) == (0, ["store", "units"])


def test_the_sheet_must_be_clear(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", hidden=["Lists"], Data=ROWS, Lists=[["x"], [1]])
    assert len(rows(path)) == 2
    assert rows(path, ["x"], sheet="Lists") == [(1.0,)]
    several = write_xlsx(tmp_path / "b.xlsx", **{"A & B": ROWS, "C": [["x"], [1]]})
    with pytest.raises(SourceError, match=r"b\.xlsx: the workbook has the sheets A & B, C; set source\.sheet"):
        rows(several)
    assert len(rows(several, sheet="A & B")) == 2
    with pytest.raises(SourceError, match="no sheet 'D'; the workbook has A & B, C"):
        rows(several, sheet="D")


def test_a_title_above_the_header_is_named_with_the_way_out(tmp_path):
    write_xlsx(tmp_path / "a.xlsx", Data=[["Report"], [], ["day", "store", "units"], [date(2024, 1, 1), "a", 1]])
    with pytest.raises(SourceError, match=r"no column day, store, units; the file has Report; .*source\.skip_rows: 2"):
        rows(tmp_path / "a.xlsx")
    assert len(rows(tmp_path / "a.xlsx", skip_rows=2)) == 1


def test_what_is_no_workbook_or_no_table_is_told(tmp_path):
    for content, message in (
        (b"", "the file is empty"),
        (b"a,b\n", "is no workbook"),
        (b"PK\x03\x04" + b"x" * 99, "damaged"),
    ):
        (tmp_path / "a.xlsx").write_bytes(content)
        with pytest.raises(SourceError, match=message):
            rows(tmp_path / "a.xlsx")
    with pytest.raises(SourceError, match="the sheet is empty"):
        rows(write_xlsx(tmp_path / "b.xlsx", Data=[]))
    with pytest.raises(SourceError, match="no column units; the file has day, store"):
        rows(write_xlsx(tmp_path / "c.xlsx", Data=[["day", "store"], [1, 2]]))


def test_a_cell_far_away_takes_no_memory(tmp_path):
    raw = '<row r="1"><c r="A1"><v>5</v></c></row><row r="1048576"><c r="XFD1048576"><v>5</v></c></row>'
    with pytest.raises(SourceError, match="17,179,869,184 cells between the first and the last one"):
        rows(write_xlsx(tmp_path / "a.xlsx", Data=[], raw={"Data": raw}))


def test_a_text_that_is_stored_once_and_used_everywhere_takes_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(workbook_guard, "_MOST_TEXT_BYTES", 1 << 20)
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 200))
    with pytest.raises(SourceError, match="the texts of the sheet have"):
        rows(write_xlsx(tmp_path / "a.xlsx", Data=[], raw={"Data": cells}, texts=["x" * 30_000]), ["x"])


def test_bombs_of_archives_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(workbook_guard, "_SURELY_FINE_BYTES", 1000)
    path = write_xlsx(tmp_path / "a.xlsx", Data=[], raw={"Data": " " * 5_000_000})
    with pytest.raises(SourceError, match="decompression bomb"):
        rows(path)
    # A part that claims to be small, which the reader would not believe.
    content = bytearray(write_xlsx(tmp_path / "b.xlsx", Data=ROWS).read_bytes())
    with zipfile.ZipFile(tmp_path / "b.xlsx") as archive:
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    place = content.rindex(size.to_bytes(4, "little"))
    content[place : place + 4] = (10).to_bytes(4, "little")
    (tmp_path / "b.xlsx").write_bytes(content)
    with pytest.raises(SourceError, match="cannot be read"):
        rows(tmp_path / "b.xlsx")


def test_an_old_workbook_that_takes_too_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("adapters.compute.child_process.call_in_child", lambda *_, **__: None)
    with pytest.raises(SourceError, match="takes over 2,147,483,648 bytes of memory"):
        rows(write_ods(tmp_path / "a.ods", Data=ROWS))


@pytest.mark.parametrize("name", ["old-workbook.xls", "old-workbook-1904.xls"])
def test_a_workbook_of_the_old_format_has_its_own_dates_whatever_day_they_are_counted_from(name):
    """Written by xlwt: a hidden sheet, dates, percent, and an error; days are counted from 1900 and from 1904."""
    columns = ["day", "store", "units", "at", "share", "mixed"]
    table = pa.concat_tables(chunk.table for chunk in chunks(DATA / name, columns, decimal=","))
    assert table["day"].to_pylist() == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    assert table["at"].to_pylist() == [datetime(2024, 2, day, 12, 30) for day in (28, 29)] + [
        datetime(2024, 3, 1, 12, 30)
    ]
    assert (table["store"].to_pylist(), table["units"].to_pylist()) == (["007", "7", "Köln"], [1000.5, 1001.5, 1002.5])
    assert (table["share"].to_pylist(), table["mixed"].to_pylist()) == ([0.0, 0.125, 0.25], ["1.494,94", None, "1.009"])
