"""Text that a spreadsheet would run is marked; numbers and all other text stay, and the mark can be taken away."""

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.data.formula_cells import escape_formulas


def escaped(*values):
    return escape_formulas(pa.table({"text": pa.array(values, pa.string())}))["text"].to_pylist()


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        '=HYPERLINK("http://x")',
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "-",
        "--5",
    ],
)
def test_a_formula_becomes_text(cell):
    assert escaped(cell) == [f"'{cell}"]


@pytest.mark.parametrize("cell", ["-5", "+4.9e3", "-.5", "5.", "store=-1", "a=b", "", "O'Neill", "'quoted'", " =1"])
def test_other_cells_stay(cell):
    assert escaped(cell, None) == [cell, None]


def test_only_text_is_touched_and_names_of_columns_are_text():
    rows = pa.table({"=name": [-1.5, None], "number": [-1, 2], "large": pa.array(["=1", None], pa.large_string())})
    result = escape_formulas(rows)
    assert result.column_names == ["'=name", "number", "large"]
    assert result.to_pydict() == {"'=name": [-1.5, None], "number": [-1, 2], "large": ["'=1", None]}
    assert result.schema.types == rows.schema.types


@given(st.lists(st.text("'=+-@\t\r\nx5", max_size=6)))
def test_the_first_apostrophe_taken_away_restores_every_cell(values):
    restored = [re.sub(r"^'('*[=+\-@\t\r\n])", r"\1", value) for value in escaped(*values)]
    assert restored == values


def test_empty_tables_keep_their_columns():
    assert escape_formulas(pa.table({"text": pa.array([], pa.string())})).schema.names == ["text"]
