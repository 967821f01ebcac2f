"""Inputs of scoring requests, whatever their kind: looked at before a job is accepted, and only below the roots."""

import json

import pyarrow as pa
import pytest
from delta_tables import change_log, write_table_by_hand
from deltalake import write_deltalake
from workbooks import write_xlsx

from adapters.sources.precheck import refusals
from domain.config.source import Source

ROW = {"store": "1", "brand": "x", "day": "2024-01-01", "price": 1.5}


def write(kind, path, row=ROW):
    if kind == "delta":
        write_deltalake(path, pa.Table.from_pylist([row]))
    elif kind == "jsonl":
        path.write_text(json.dumps(row) + "\n")
    else:
        write_xlsx(path, Data=[list(row), list(row.values())])
    return str(path)


@pytest.mark.parametrize("kind", ["delta", "jsonl", "xlsx"])
def test_an_input_of_a_kind_is_accepted_with_its_columns_and_below_the_roots(tmp_path, fleet, kind):
    shop, root = fleet.forecast(), tmp_path / "in"
    root.mkdir()
    good = write(kind, root / f"good.{kind}")
    bad = write(kind, root / f"bad.{kind}", {name: ROW[name] for name in ("store", "brand", "day")})
    outside = write(kind, tmp_path / f"outside.{kind}")
    (root / f"link.{kind}").symlink_to(outside)
    places = [good, bad, outside, str(root / f"link.{kind}")]
    reasons = refusals(places, shop, Source(path="in"), tmp_path, [str(root)])
    assert sorted(reasons) == [1, 2, 3]
    assert "no column price; the file has store, brand, day" in reasons[1]
    assert "outside the allowed folders" in reasons[2]
    assert "outside the allowed folders" in reasons[3]


def test_a_table_whose_log_names_files_elsewhere_is_refused(tmp_path, fleet):
    write_table_by_hand(tmp_path / "t", pa.table({name: [value] for name, value in ROW.items()}))
    assert refusals([str(tmp_path / "t")], fleet.forecast(), Source(path="t"), tmp_path, [str(tmp_path)]) == {}
    change_log(tmp_path / "t", lambda add: add.update(path="/etc/hostname"))
    reasons = refusals([str(tmp_path / "t")], fleet.forecast(), Source(path="t"), tmp_path, [str(tmp_path)])
    assert "names /etc/hostname, which is outside of the table" in reasons[0]


def test_a_data_file_of_a_table_is_no_input(tmp_path, fleet):
    write("delta", tmp_path / "t")
    (place,) = (tmp_path / "t").glob("*.parquet")
    reasons = refusals([str(place)], fleet.forecast(), Source(path="t"), tmp_path, [str(tmp_path)])
    assert "is a Delta table" in reasons[0]
