"""Texts that count as no value, in every format that has texts."""

import json

import pytest
from workbooks import write_xlsx

from adapters.sources.kinds import list_inputs
from adapters.sources.reader import head_rows
from adapters.sources.text.null_texts import null_text_remarks
from domain.config.source import Source

ROWS = [("NA", 1), ("DE", 2), ("NA", 3)]


def csv(path):
    path.write_text("".join(f"{country},{units}\n" for country, units in [("country", "units"), *ROWS]))


def jsonl(path):
    path.write_text("".join(json.dumps({"country": country, "units": units}) + "\n" for country, units in ROWS))


def xlsx(path):
    write_xlsx(path, Data=[["country", "units"], *map(list, ROWS)])


@pytest.mark.parametrize("write", [csv, jsonl, xlsx])
def test_keys_that_count_as_no_value_are_told(tmp_path, write):
    path = tmp_path / f"a.{write.__name__}"
    write(path)
    source = Source(path=str(path))
    (item,) = list_inputs(source, tmp_path).inputs
    (remark,) = null_text_remarks(item, source, head_rows(item, source, 10), ["country"])
    assert remark.startswith("column 'country': 'NA' (2) of the first 3 rows counts as no value")
