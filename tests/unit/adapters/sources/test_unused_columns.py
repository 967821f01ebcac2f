"""Columns that a fleet does not use never matter, whatever their type."""

import datetime as dt
import decimal
import uuid

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from adapters.lake.table import Lake
from adapters.sources.sampling import check_fleet
from adapters.sources.scaffold import scaffold_file
from domain.config.fleet import parse_fleet
from domain.config.source import Source
from domain.scaffold.source_profile import UserOptions
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.workers.run_context import RunContext

N = 120
UNUSED = {
    "dictionary of text": pa.array(["x", "y", None] * 40).dictionary_encode(),
    "dictionary of numbers": pa.array([1, 2, None] * 40).dictionary_encode(),
    "null": pa.nulls(N),
    "half": pa.array([1.0, None, 3.5] * 40, pa.float16()),
    "list": pa.array([[1, 2], [], None] * 40),
    "large list of text": pa.array([["a"], None, ["b"]] * 40, pa.large_list(pa.string())),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": 2, "b": None}] * 40),
    "map": pa.array([[("a", 1)], None, []] * 40, pa.map_(pa.string(), pa.int64())),
    "bytes": pa.array([b"\xff\xfe", None, b"a"] * 40),
    "fixed bytes": pa.array([b"abcd", None, b"\xff\xff\xff\xff"] * 40, pa.binary(4)),
    "time": pa.array([dt.time(1, 2), None, dt.time(3)] * 40),
    "duration": pa.array([dt.timedelta(1), None, dt.timedelta(2)] * 40),
    "decimal": pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("2.25")] * 40, pa.decimal256(60, 2)),
    "boolean": pa.array([True, None, False] * 40),
    "nanoseconds": pa.array([1, None, 3] * 40, pa.timestamp("ns", "Asia/Kolkata")),
    "uuid": pa.array([uuid.UUID(int=number).bytes for number in range(N)], pa.uuid()),
    "dictionary of dates": pa.array([dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)] * 40).dictionary_encode(),
}


def used():
    weeks = pd.date_range("2022-01-03", periods=60, freq="7D").date.tolist()
    return pa.table({"week": weeks * 2, "store": ["a"] * 60 + ["b"] * 60, "sales": [100.0 + n % 7 for n in range(N)]})


def fleet(path="a.parquet"):
    content = {
        "name": "types",
        "task": "forecast",
        "source": {"path": path},
        "segment_by": ["store"],
        "time": {"column": "week", "frequency": "W"},
        "target": {"column": "sales"},
        "horizon": 4,
        "candidates": ["ses"],
    }
    return parse_fleet(content, "types.yaml")


@pytest.mark.parametrize("kind", UNUSED)
def test_a_column_of_any_type_is_harmless_in_check_new_and_ingest(tmp_path, workers, kind):
    pq.write_table(used().append_column("extra", UNUSED[kind]), tmp_path / "a.parquet")
    findings = check_fleet(fleet(), tmp_path, 2)
    assert (findings.sources[0].accepted, findings.errors) == (N, 0)
    assert findings.sources[0].unused == ("extra",)
    written = scaffold_file("a.parquet", UserOptions(segment_by=("store",), target="sales"), tmp_path, 2)
    content = yaml.safe_load(written.path.read_text(encoding="utf-8"))
    assert (content["task"], content["time"]["column"], content["time"]["frequency"]) == ("forecast", "week", "W")
    run = Run(RunContext(fleet(), Lake(str(tmp_path / "lake")), "run", tmp_path), workers)
    assert ingest_files(run, "observations", Source(path="a.parquet")).accepted == N


def test_all_at_once_and_without_being_named(tmp_path):
    table = used()
    for kind, values in UNUSED.items():
        table = table.append_column(kind, values)
    pq.write_table(table, tmp_path / "a.parquet")
    assert check_fleet(fleet(), tmp_path, 2).errors == 0
    content = yaml.safe_load(scaffold_file("a.parquet", UserOptions(), tmp_path, 2).path.read_text(encoding="utf-8"))
    assert content["time"]["column"] == "week"


def test_files_that_store_a_column_in_other_types_are_scaffolded_as_text(tmp_path):
    weeks = [str(day.date()) for day in pd.date_range("2022-01-03", periods=60, freq="7D")]
    typed = used().slice(0, 60).append_column("price", pa.nulls(60))
    text = pa.table({"price": [1.0] * 60, "store": ["b"] * 60, "sales": list(range(60)), "week": weeks})
    (tmp_path / "in").mkdir()
    for name, table in (("1", typed), ("2", text)):
        pq.write_table(table, tmp_path / "in" / f"{name}.parquet")
    written = scaffold_file("in", UserOptions(target="sales"), tmp_path, 2)
    content = yaml.safe_load(written.path.read_text(encoding="utf-8"))
    assert (content["segment_by"], content["time"]["column"]) == (["store"], "week")
    assert written.findings.sources[0].accepted == 120
