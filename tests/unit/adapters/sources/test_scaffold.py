import csv
import gzip
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from adapters.sources.fleet_files import load_fleet
from adapters.sources.sampling import Limits, check_fleet
from adapters.sources.scaffold import fleet_name, scaffold_file
from cli import app as cli
from domain.errors import FleetError, SourceError
from domain.scaffold.source_profile import UserOptions

DAYS = [str(day.date()) for day in pd.date_range("2024-01-01", periods=60)]


def rows(separator=",", decimal=".", header=("day", "Ort", "Menge"), days=DAYS):
    lines = [[day, place, f"{5 + i % 7}{decimal}{i % 10}"] for place in ("Köln", "Graz") for i, day in enumerate(days)]
    return "\n".join(separator.join(line) for line in [header, *lines]) + "\n"


def write(folder, data, **options):
    return scaffold_file(data, UserOptions(**options), folder, 2)


def content(written):
    return yaml.safe_load(written.path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        ("a.csv", rows().encode(), {}),
        ("a.csv", b"\xef\xbb\xbf" + rows().encode(), {}),
        ("a.csv.gz", gzip.compress(rows().encode()), {}),
        ("a.tsv", rows("\t").encode(), {}),
        ("a.txt", rows("\t").encode(), {"delimiter": "\t"}),
        ("a.csv", rows(";", ",").encode("cp1252"), {"delimiter": ";", "decimal": ",", "encoding": "cp1252"}),
        ("a.csv", rows("\t").encode("utf-16"), {"delimiter": "\t", "encoding": "utf-16"}),
        ("a.csv", rows("|").replace("\n", "\r\n").encode(), {"delimiter": "|"}),
    ],
)
def test_files_are_read_as_they_are_written(tmp_path, name, content, source):
    (tmp_path / name).write_bytes(content)
    written = write(tmp_path, name)
    fleet = load_fleet("a", tmp_path)
    assert fleet.source.model_dump(exclude_defaults=True) == {"path": name} | source
    assert (fleet.segment_by, fleet.target.column, fleet.time.column) == (["Ort"], "Menge", "day")
    findings = written.findings
    assert (findings.sources[0].accepted, findings.segments.count, findings.problems) == (120, 2, ())
    assert {c.name: (c.low, c.high) for c in findings.columns}["Menge"] == ("5.000", "11.80")


def test_parquet_with_nested_columns_and_long_texts(tmp_path):
    frame = pd.DataFrame({"day": pd.to_datetime(DAYS), "units": range(60)})
    table = pa.Table.from_pandas(frame).append_column("tags", pa.array([["x"]] * 60))
    table = table.append_column("note", pa.array([f"{i} " + "word " * 30 for i in range(60)]))
    pq.write_table(table, tmp_path / "a.parquet")
    written = write(tmp_path, "a.parquet")
    assert content(written)["source"] == {"path": "a.parquet", "constants": {"series": "all"}}
    assert "Ignored: 'tags', 'note'" in written.text.replace("\n# ", " ")
    assert written.findings.segments.count == 1


def test_a_folder_of_files_with_others_beside_them(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "README.md").write_text("hello")
    for month in (1, 2):
        days = [str(day.date()) for day in pd.date_range(f"2024-0{month}-01", periods=28)]
        (tmp_path / "raw" / f"{month}.csv").write_text(rows(days=days))
    written = write(tmp_path, "raw", name="shop")
    assert content(written)["source"] == {"path": "raw/*.csv"}
    assert "All 112 rows of 2 files were read." in written.text
    (tmp_path / "raw" / "3.parquet").write_bytes(b"")
    with pytest.raises(SourceError, match=r"several formats \(csv, parquet\)"):
        write(tmp_path, "raw", name="other")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("raw/Sales 2024.csv.gz", "sales-2024"),
        ("raw/m3/train/*.csv", "m3"),
        ("s3://lake/raw/shop/", "shop"),
        ("2024.csv", "fleet-2024"),
        ("Größe.v2.csv", "groe-v2"),
        ("東京.csv", "fleet"),
        ("data", "data"),
    ],
)
def test_a_fleet_is_named_after_its_data(data, name):
    assert fleet_name(data) == name


def test_a_fleet_file_is_overwritten_by_force_only(tmp_path):
    (tmp_path / "a.csv").write_text(rows())
    first = write(tmp_path, "a.csv")
    first.path.write_text("mine")
    with pytest.raises(FleetError, match=r"a\.yaml: exists already; give --force"):
        write(tmp_path, "a.csv")
    assert first.path.read_text() == "mine"
    scaffold_file("a.csv", UserOptions(), tmp_path, 2, force=True)
    assert first.path.read_text() == first.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("day,Ort,Menge\n", "have no rows"),
        ("2024-01-01,5,7\n2024-01-02,6,8\n", "the first row (2024-01-01, 5, 7) looks like data"),
        (rows(days=DAYS[:1]), "nothing plausible"),
    ],
)
def test_data_without_a_fleet_are_an_error_and_nothing_is_written(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises((SourceError, FleetError)) as caught:
        write(tmp_path, "a.csv")
    assert message in str(caught.value) or message == "nothing plausible"
    assert not (tmp_path / "fleets").exists()


def test_a_fleet_that_the_check_refuses_is_not_written(tmp_path):
    (tmp_path / "a.csv").write_text(rows(days=DAYS[:5]))
    with pytest.raises(FleetError, match=r"partition\.min_rows: all 2 segments have fewer rows than 6"):
        write(tmp_path, "a.csv")
    assert not (tmp_path / "fleets").exists()


def test_a_sample_of_many_rows_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr("adapters.sources.scaffold.Limits", lambda: Limits(rows=60))
    (tmp_path / "a.csv").write_text(rows())
    written = write(tmp_path, "a.csv")
    assert "A sample of 60 rows from 1 file was read." in written.text


def test_the_command_prints_its_choices_and_the_next_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MYRIAD_HOME", raising=False)
    (tmp_path / "menge.csv").write_text(rows())
    result = CliRunner().invoke(cli.app, ["new", "menge.csv"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "wrote fleets/menge.yaml"
    assert any(line.split() == ["segment_by", "Ort"] for line in lines)
    assert lines[-2:] == ["next:  myriad check menge", "       myriad run menge"]
    refused = CliRunner().invoke(cli.app, ["new", "menge.csv"])
    assert refused.exit_code == 2
    assert "--force" in refused.output
    document = json.loads(CliRunner().invoke(cli.app, ["new", "menge.csv", "--force", "--json"]).stdout)
    assert document["fleet"]["segment_by"] == ["Ort"]
    assert document["next"][0] == "myriad check menge"
    assert check_fleet(load_fleet("menge", tmp_path), tmp_path, 1).errors == 0


@pytest.mark.parametrize(
    "name", ["a\nb", "a\r\nb", "q'uo\"te", "- x: #", "\x1b[31m", "\u202eevil", "store (nr)", "null"]
)
def test_a_column_with_an_odd_name_is_written_so_that_it_can_be_read(tmp_path, name):
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "a.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([name, "day", "units"])
        days = [f"2024-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(60)]
        writer.writerows([key, day, 5.5 + place % 7] for key in ("aa", "bb", "cc") for place, day in enumerate(days))
    written = scaffold_file("in", UserOptions(), tmp_path, 1)
    assert load_fleet(str(written.path), tmp_path).segment_by == [name]


def marked(values, separator=","):
    """One segment of days with these values, quoted where the separator is in them."""
    lines = [f'{day}{separator}k{separator}"{value}"' for day, value in zip(DAYS, values, strict=False)]
    return "\n".join([separator.join(("day", "Ort", "Menge")), *lines]) + "\n"


US = [f"{value:,}" for value in range(705, 1300, 10)]
GERMAN = [text.replace(",", ".") for text in US]


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (marked(US), {"thousands": ","}),
        (marked(GERMAN, ";"), {"delimiter": ";", "decimal": ",", "thousands": "."}),
        (marked(GERMAN), {"decimal": ",", "thousands": "."}),
        (marked([f"{text},5" for text in GERMAN], ";"), {"delimiter": ";", "decimal": ",", "thousands": "."}),
        (marked([f"{text}.25" for text in US]), {"thousands": ","}),
        (marked([text.replace(",", " ") for text in US]), {}),
    ],
)
def test_the_marks_of_numbers_are_written_down_and_read_in_the_same_way(tmp_path, text, source):
    (tmp_path / "a.csv").write_text(text)
    written = write(tmp_path, "a.csv")
    assert content(written)["source"] == {"path": "a.csv"} | source | {"constants": {"series": "all"}}
    low, high = {column.name: (column.low, column.high) for column in written.findings.columns}["Menge"]
    assert (float(low.replace(",", "")), float(high.replace(",", ""))) == pytest.approx((705, 1295), abs=1)
    assert written.findings.sources[0].accepted == 60
    assert all(choice.key != "source" for choice in written.scaffold.open)


@pytest.mark.parametrize(
    ("text", "source", "high"),
    [
        (marked([f"{value}.{value}" for value in range(101, 161)]), {}, "160.2"),
        (marked([f"{value},{value}" for value in range(101, 161)]), {"thousands": ","}, "160,160"),
        (marked([f"{v},{v}" for v in range(101, 161)], ";"), {"delimiter": ";", "decimal": ","}, "160.2"),
    ],
)
def test_marks_that_no_value_tells_are_to_be_reviewed(tmp_path, text, source, high):
    (tmp_path / "a.csv").write_text(text)
    written = write(tmp_path, "a.csv")
    assert content(written)["source"] == {"path": "a.csv"} | source | {"constants": {"series": "all"}}
    assert {column.name: column.high for column in written.findings.columns}["Menge"] == high
    (choice,) = (choice for choice in written.scaffold.open if choice.key == "source")
    assert "no value tells" in choice.why


@pytest.mark.parametrize(
    ("before", "source"),
    [
        ("Customer: ACME\nExport,2024-01-05\n\n", {"skip_rows": 3}),
        ("Bericht\n", {"skip_rows": 1}),
        ("\n\n", {}),
    ],
)
def test_lines_before_the_header_are_found_and_skipped(tmp_path, before, source):
    (tmp_path / "a.csv").write_text(before + rows())
    written = write(tmp_path, "a.csv")
    assert content(written)["source"] == {"path": "a.csv"} | source
    assert (written.findings.sources[0].accepted, written.findings.problems) == (120, ())


def test_a_title_before_semicolons_and_decimal_commas(tmp_path):
    (tmp_path / "a.csv").write_text("Umsatz Stand 5.1.\n\n" + rows(";", ","))
    assert content(write(tmp_path, "a.csv"))["source"] == {
        "path": "a.csv",
        "delimiter": ";",
        "skip_rows": 2,
        "decimal": ",",
    }


def test_a_delimiter_too_many_and_an_open_quote_are_to_be_reviewed(tmp_path):
    header, *lines = rows().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([header, *(f"{line}," for line in lines)]) + "\n")
    (choice,) = (choice for choice in write(tmp_path, "a.csv").scaffold.open if choice.key == "source")
    assert "one delimiter more than the header" in choice.why
    (tmp_path / "b.csv").write_text(rows().replace("Graz", '"Graz', 1))
    (choice,) = (choice for choice in write(tmp_path, "b.csv").scaffold.open if choice.key == "source")
    assert "59 line breaks between quotes" in choice.why


def test_an_encoding_that_shows_late_is_found(tmp_path):
    days = [str(day.date()) for day in pd.date_range("1990-01-01", periods=12_000)]
    text = rows(days=days).replace("Köln", "Koeln").encode() + "2023-01-01,Zürich,5.0\n".encode("cp1252")
    (tmp_path / "a.csv").write_bytes(text)
    written = write(tmp_path, "a.csv")
    assert content(written)["source"] == {"path": "a.csv", "encoding": "cp1252"}
    assert "The text is not UTF-8" in written.text


def test_the_code_of_a_country_is_a_value_among_other_codes(tmp_path):
    text = rows().replace("Köln", "NA").replace("Graz", "DE")
    (tmp_path / "a.csv").write_text(text)
    written = write(tmp_path, "a.csv")
    assert "NA" not in content(written)["source"]["null_values"]
    assert "'NA' is a value" in written.text.replace("\n# ", " ")
    assert (written.findings.segments.count, written.findings.sources[0].accepted) == (2, 120)
    # Among names it is none, and neither if numbers have it as well.
    for name, other in (("b.csv", text.replace("DE", "Graz")), ("c.csv", text.replace(",5.0", ",NA"))):
        (tmp_path / name).write_text(other)
        written = write(tmp_path, name, segment_by=("Ort",))
        assert "null_values" not in content(written)["source"]
        assert any("'NA' (60) of the first 120 rows" in problem.message for problem in written.findings.problems)
