"""Wide files: their columns become rows as the file is read, and `myriad new` proposes it."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from workbooks import write_xlsx

from adapters.sources import melted
from adapters.sources.kinds import list_inputs
from adapters.sources.reader import column_names, head_rows, read_chunks
from adapters.sources.scaffold import scaffold_file
from domain.config.fleet import parse_fleet
from domain.config.source import Source
from domain.config.yaml_text import parse_yaml
from domain.errors import SourceError
from domain.scaffold.source_profile import UserOptions

MELT = {"keep": ["shop"], "name": "month", "value": "sales"}


def read(path, melt=MELT, columns=("shop", "month", "sales"), **settings):
    source = Source.model_validate({"path": str(path), "melt": melt, **settings})
    (item,) = list_inputs(source, path.parent).inputs
    return list(read_chunks(item, source, list(columns), numbers=["sales"])), column_names(item, source), source, item


def rows(chunks):
    return [tuple(row.values()) for chunk in chunks for row in chunk.table.to_pylist()]


def test_each_cell_with_a_value_is_a_row_with_the_number_of_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("shop,total,2024-01,2024-02\na,3,1,2\nb,4, ,4\nc,,,\n")
    chunks, names, source, item = read(path, MELT | {"ignore": ["total"]})
    assert rows(chunks) == [("a", "2024-01", "1"), ("a", "2024-02", "2"), ("b", "2024-02", "4")]
    assert np.concatenate([chunk.rows for chunk in chunks]).tolist() == [0, 0, 1]
    assert names == ["shop", "month", "sales"]
    assert head_rows(item, source, 2).to_pylist()[1] == {"shop": "a", "month": "2024-02", "sales": "2"}


def test_what_a_number_means_is_judged_by_all_columns_together(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("shop;01.01.2024;01.02.2024\nKöln;1.234;0,5\nBonn;2.000;1.000,5\n".encode("cp1252"))
    chunks, *_ = read(path, delimiter=";", decimal=",", encoding="cp1252")
    assert [float(value) for _, _, value in rows(chunks)] == [1234, 0.5, 2000, 1000.5]
    assert rows(chunks)[0][:2] == ("Köln", "01.01.2024")


def test_a_large_file_is_melted_in_parts_and_keeps_its_broken_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(melted, "_MOST_CELLS", 6)
    path = tmp_path / "a.csv"
    lines = [f"s{number},{number},{number + 0.5}" for number in range(10)]
    path.write_text("\n".join(["shop,2024-01,2024-02", *lines[:4], "x,1,2,3", *lines[4:]]))
    chunks, *_ = read(path)
    assert [chunk.table.num_rows for chunk in chunks] == [6, 6, 6, 2]
    assert [row for chunk in chunks for row, _ in chunk.broken] == [4]
    numbers = np.concatenate([chunk.rows for chunk in chunks])
    assert numbers.tolist() == np.repeat([0, 1, 2, 3, 5, 6, 7, 8, 9, 10], 2).tolist()
    assert rows(chunks)[-1] == ("s9", "2024-02", "9.5")


def test_columns_of_folders_and_constants_stay(tmp_path):
    (tmp_path / "country=de").mkdir()
    path = tmp_path / "country=de" / "a.csv"
    path.write_text("shop,2024-01\na,1\n")
    chunks, *_ = read(path, columns=("shop", "month", "sales", "country", "kind"), constants={"kind": "k"})
    assert rows(chunks) == [("a", "2024-01", "1", "de", "k")]


@pytest.mark.parametrize(
    ("header", "melt", "message"),
    [
        ("shop,sales,2024-01", MELT, "column 'sales' is in the file; give source.melt.value another name"),
        ("shop,2024-01,2024-01", MELT, "column 2024-01 is there more than once"),
        ("shop,place", MELT | {"ignore": ["place"]}, "leaves no column to turn into rows; the file has shop, place"),
        ("store,2024-01", MELT, "no column shop, which source.melt.keep names; the file has store, 2024-01"),
    ],
)
def test_a_file_that_cannot_be_melted_is_refused_with_the_way_out(tmp_path, header, melt, message):
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n{','.join(['1'] * len(header.split(',')))}\n")
    with pytest.raises(SourceError, match=message.replace(".", r"\.")):
        read(path, melt)


def numbers(seed):
    return (100 + 20 * np.sin(np.arange(60) / 6 * np.pi) + np.random.default_rng(seed).normal(0, 3, 60)).round(2)


MONTHS = [date(2019 + number // 12, number % 12 + 1, 1) for number in range(60)]
SHOPS = {"Köln": numbers(1), "Bonn": numbers(2), "Essen": numbers(3), "Ulm": numbers(4)}


def by_month(form):
    return [["Ort", *(form(month) for month in MONTHS), "Gesamt"]] + [
        [shop, *values.tolist(), float(values.sum().round(2))] for shop, values in SHOPS.items()
    ]


def by_shop(form):
    return [["Datum", *SHOPS]] + [
        [form(month), *(float(values[number]) for values in SHOPS.values())] for number, month in enumerate(MONTHS)
    ]


def german(folder, table):
    text = [[str(cell).replace(".", ",") if isinstance(cell, float) else str(cell) for cell in row] for row in table]
    (folder / "t.csv").write_bytes("\r\n".join(";".join(row) for row in text).encode("cp1252"))
    return "t.csv"


def excel(folder, table):
    write_xlsx(folder / "t.xlsx", Daten=[["Umsätze"], *table])
    return "t.xlsx"


def parquet(folder, table):
    columns = list(zip(*table[1:], strict=True))
    pq.write_table(pa.table([pa.array(column) for column in columns], names=table[0]), folder / "t.parquet")
    return "t.parquet"


@pytest.mark.parametrize("shape", [by_month, by_shop])
@pytest.mark.parametrize(
    ("store", "form"),
    [(german, "%d.%m.%Y"), (german, "%m/%Y"), (excel, None), (excel, "%d.%m.%Y"), (parquet, "%Y-%m")],
)
def test_new_reads_a_wide_file_as_it_is(tmp_path, shape, store, form):
    data = store(tmp_path, shape(lambda day: day.strftime(form) if form else day))
    written = scaffold_file(data, UserOptions(), tmp_path, 2)
    fleet = parse_fleet(parse_yaml(written.text), "t.yaml")
    assert (fleet.task, fleet.clock.frequency, fleet.target.column) == ("forecast", "M", "value")
    assert "become rows by melt" in " ".join(written.text.replace("\n# ", " ").split())
    (facts,) = written.findings.sources
    assert (facts.rows, facts.accepted) == (240, 240)
    assert written.findings.segments.count == 4
    source = fleet.source
    (item,) = list_inputs(source, tmp_path).inputs
    chunks = read_chunks(item, source, [*fleet.segment_by, "value"], numbers=["value"])
    values = [
        (shop, float(value)) for chunk in chunks for shop, value in zip(*chunk.table.to_pydict().values(), strict=True)
    ]
    for shop, expected in SHOPS.items():
        assert [value for name, value in values if name == shop] == expected.tolist()


def test_new_names_the_value_as_asked_and_tells_of_a_row_with_totals(tmp_path):
    data = german(tmp_path, [*by_month(lambda day: f"{day:%d.%m.%Y}"), ["Gesamt", *[9.5] * 61]])
    written = scaffold_file(data, UserOptions(target="Umsatz"), tmp_path, 2)
    fleet = parse_fleet(parse_yaml(written.text), "t.yaml")
    assert (fleet.target.column, fleet.source.melt.value, fleet.source.melt.ignore) == ("Umsatz", "Umsatz", ["Gesamt"])
    assert "'Gesamt' seems to be the total of the others" in " ".join(written.text.replace("\n# ", " ").split())


def test_the_setting_at_its_default_is_in_no_dump():
    assert "melt" not in Source(path="a.csv").model_dump()


@pytest.mark.parametrize(
    ("melt", "message"),
    [({"keep": ["a"], "name": "a"}, "another name"), ({"name": "value"}, "different"), ({"kep": []}, "kep")],
)
def test_a_contradiction_is_refused(melt, message):
    content = {"name": "a", "task": "forecast", "source": {"path": "a.csv", "melt": melt}, "segment_by": ["a"]}
    content |= {"time": {"column": "t", "frequency": "M"}, "target": {"column": "value"}, "horizon": 3}
    with pytest.raises(Exception, match=message):
        parse_fleet(content | {"candidates": ["ses"]}, "a.yaml")
