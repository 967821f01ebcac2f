"""Columns with numbers and texts: a number stays what it is, whatever the marks of the texts mean."""

import json

import pytest
from workbooks import write_xlsx

from adapters.sources.kinds import list_inputs
from adapters.sources.reader import head_rows, read_chunks
from domain.config.source import Source

VALUES = [1.009, "7,5", "1.494,94", 1234, "x", None, 0.5, True]
EXPECTED = ["1.009", "7.5", "1494.94", "1234", "x", None, "0.5", "true"]


def jsonl(folder, values):
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps({"k": value, "y": value}) + "\n" for value in values))
    return path


def xlsx(folder, values):
    return write_xlsx(folder / "a.xlsx", Data=[["k", "y"], *([value, value] for value in values)])


def read(path, numbers=("y",), columns=("k", "y"), **settings):
    source = Source(path=str(path), **settings)
    (item,) = list_inputs(source, path.parent).inputs
    (chunk,) = read_chunks(item, source, columns, numbers=numbers)
    return chunk


@pytest.mark.parametrize("write", [jsonl, xlsx])
def test_a_number_among_texts_is_not_judged(tmp_path, write):
    values = VALUES if write is jsonl else VALUES[:4] + VALUES[6:]
    expected = EXPECTED if write is jsonl else EXPECTED[:4] + EXPECTED[6:]
    chunk = read(write(tmp_path, values), decimal=",")
    assert (chunk.table["y"].to_pylist(), chunk.remarks) == (expected, ())
    as_keys = [None if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    assert chunk.table["k"].to_pylist() == as_keys


@pytest.mark.parametrize("write", [jsonl, xlsx])
@pytest.mark.parametrize("thousands", ["auto", "none", "."])
def test_numbers_are_no_evidence_of_what_texts_mean(tmp_path, write, thousands):
    """Nor are they rejected, as texts with a point may be."""
    path = write(tmp_path, [1.5, 2.25, 1.125, "1,5", 12345.678])
    assert read(path, decimal=",", thousands=thousands).table["y"].to_pylist() == [
        "1.5",
        "2.25",
        "1.125",
        "1.5",
        "12345.678",
    ]


def test_numbers_too_large_for_a_float_are_numbers_too(tmp_path):
    chunk = read(jsonl(tmp_path, [2**53 + 1, 1.009]), decimal=",")
    assert chunk.table["y"].to_pylist() == ["9007199254740993", "1.009"]


def test_the_first_rows_and_folders_have_plain_text(tmp_path):
    path = jsonl(tmp_path / "k=7", VALUES[:2]) if (tmp_path / "k=7").mkdir() is None else None
    source = Source(path=str(tmp_path))
    (item,) = list_inputs(source, tmp_path).inputs
    assert head_rows(item, source, 5)["y"].to_pylist() == ["1.009", "7,5"]
    (chunk,) = read_chunks(item, source, ["k", "y"])
    assert (path.name, chunk.table["k"].to_pylist()) == ("a.jsonl", ["1.009", "7,5"])
    assert "column 'k': 1.009 in the file" in chunk.remarks[0]
