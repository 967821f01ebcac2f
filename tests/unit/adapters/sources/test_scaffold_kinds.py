"""`myriad new` for every kind of source: what it writes passes `myriad check` and reads all rows."""

import json
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from workbooks import write_xlsx

from adapters.sources.fleet_files import load_fleet
from adapters.sources.sampling import check_fleet
from adapters.sources.scaffold import scaffold_file
from domain.scaffold.source_profile import UserOptions

DAYS = [str(day.date()) for day in pd.date_range("2024-01-01", periods=60)]


def table(places=("Köln", "Graz")):
    rows = [(day, place, 5.5 + i % 7) for place in places for i, day in enumerate(DAYS)]
    return pa.Table.from_pylist([{"day": day, "place": place, "units": units} for day, place, units in rows])


def delta(folder):
    write_deltalake(folder / "data", table(("old",)))
    DeltaTable(folder / "data").delete()
    write_deltalake(folder / "data", table(), mode="append", partition_by=None)
    return "data"


def hive(folder):
    for place in ("Köln", "Graz"):
        (folder / f"data/place={place}").mkdir(parents=True)
        pq.write_table(table([place]).drop_columns(["place"]), folder / f"data/place={place}/a.parquet")
    return "data"


def json_lines(folder):
    rows = [json.dumps(row | {"tags": ["x"]}) for row in table().to_pylist()]
    (folder / "data.jsonl").write_text("\n".join([*rows, '{"day": "20']))
    return "data.jsonl"


def excel(folder):
    rows = [[date.fromisoformat(row["day"]), row["place"], row["units"]] for row in table().to_pylist()]
    write_xlsx(folder / "data.xlsx", Notes=[["see Rows"]], Rows=[["Sales 2024"], [], ["day", "place", "units"], *rows])
    return "data.xlsx"


@pytest.mark.parametrize(("kind", "broken"), [(excel, 0), (delta, 0), (hive, 0), (json_lines, 1)])
def test_the_fleet_file_of_a_kind_passes_the_check(tmp_path, kind, broken):
    place = kind(tmp_path)
    written = scaffold_file(place, UserOptions(), tmp_path, 2)
    fleet = load_fleet(str(written.path), tmp_path)
    assert fleet.source.skip_rows == (2 if kind is excel else 0)
    assert (fleet.source.path, fleet.segment_by, fleet.target.column) == (place, ["place"], "units")
    findings = check_fleet(fleet, tmp_path, 2)
    assert findings.errors == 0
    (source,) = findings.sources
    rejected = {"unparsable: the line is no JSON object": 1} if broken else {}
    assert (source.whole, source.accepted, source.rejected) == (True, 120, rejected)
    if broken:
        assert "1 rows are rejected: the line is no JSON object." in written.text.replace("\n# ", " ")


def test_ids_that_one_file_has_as_inexact_floats_are_left_out_and_told(tmp_path):
    """Not a regression on two meters that have become one."""
    meters = [1234567890123456789, 1234567890123456790, 42]
    (tmp_path / "data").mkdir()
    for name, kind, days in (("2022", pa.int64(), DAYS[:40]), ("2023", pa.float64(), DAYS[40:])):
        rows = [(meter, day, 5.5 + i % 7) for meter in meters for i, day in enumerate(days)]
        ids = pa.array([float(row[0]) for row in rows] if kind == pa.float64() else [row[0] for row in rows], kind)
        columns = {"meter": ids, "day": [row[1] for row in rows], "kwh": [row[2] for row in rows]}
        pq.write_table(pa.table(columns), tmp_path / f"data/{name}.parquet")
    written = scaffold_file("data", UserOptions(), tmp_path, 2)
    fleet = load_fleet(str(written.path), tmp_path)
    assert (fleet.task, fleet.segment_by, fleet.target.column) == ("forecast", ["meter"], "kwh")
    assert "40 rows have it as a float so large that its exact id is lost" in " ".join(written.text.split("\n# "))
