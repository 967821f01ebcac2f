"""Frames come in as plain Arrow columns, and go out as the kind that was asked for."""

import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from domain.errors import RequestError, SourceError
from myriad.frames import from_arrow, to_arrow, write_rows

ROWS = pa.table({"store": ["1", "2"], "units": [1.5, 2.5]})


def test_a_pandas_frame_keeps_its_named_index_and_loses_an_unnamed_one():
    frame = pd.DataFrame({"units": [1.0, 2.0]}, index=pd.Index(["1", "2"], name="store"))
    assert to_arrow(frame).column_names == ["store", "units"]
    assert to_arrow(frame.reset_index()).column_names == ["store", "units"]


def test_categories_and_periods_become_values():
    frame = pd.DataFrame(
        {"store": pd.Categorical(["a", "b"]), "month": pd.period_range("2024-01", periods=2, freq="M"), 7: [1, 2]}
    )
    table = to_arrow(frame)
    assert pa.types.is_string(table.schema.field("store").type) or pa.types.is_large_string(table["store"].type)
    assert pa.types.is_timestamp(table.schema.field("month").type)
    assert table.column_names[2] == "7"


@pytest.mark.parametrize("frame", [ROWS, ROWS.to_batches()[0], ROWS.to_pandas()], ids=["table", "batch", "pandas"])
def test_frames_of_several_libraries_are_taken(frame, tmp_path):
    write_rows(to_arrow(frame), tmp_path / "data" / "rows.parquet")
    assert pq.read_table(tmp_path / "data" / "rows.parquet").to_pylist() == ROWS.to_pylist()


class Polars:
    """In place of a lazy frame of polars, which the tests do not install."""

    __module__ = "polars.lazyframe"

    def collect(self):
        return self

    def to_arrow(self):
        return ROWS


def test_a_lazy_frame_is_collected():
    # The stand-in of `collect` has `collect` itself, as no frame of polars does.
    assert to_arrow(Polars()).to_pylist() == ROWS.to_pylist()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"a": []}), "has no rows"),
        (pd.DataFrame({"a": [1, "x", object()]}), "one type"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "a name of its own"),
        (pd.Series([1]), "Series"),
        ([1, 2], "builtins.list: not a frame"),
    ],
)
def test_what_is_no_frame_is_refused(frame, words):
    with pytest.raises(SourceError, match=words):
        to_arrow(frame)


def test_kinds_of_frames():
    assert from_arrow(ROWS, "arrow") is ROWS
    assert from_arrow(ROWS, "pandas")["store"].tolist() == ["1", "2"]
    with pytest.raises(RequestError, match="choose one of pandas, arrow, polars"):
        from_arrow(ROWS, "numpy")


def test_polars_that_is_missing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(RequestError, match="polars is not installed"):
        from_arrow(ROWS, "polars")
