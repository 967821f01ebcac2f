"""JSON Lines: exact values, broken lines by row, nested values where they matter."""

import gzip
import json

import pyarrow as pa
import pytest

from adapters.sources import json_lines, limits, text_stream
from adapters.sources.kinds import list_inputs
from adapters.sources.reader import column_names, head_rows, read_chunks
from domain.config.source import Source
from domain.errors import SourceError


def put(path, *rows, encoding="utf-8"):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def chunks(path, columns=("store", "units"), **settings):
    source = Source(path=str(path), **settings)
    (item,) = list_inputs(source, path.parent).inputs
    return list(read_chunks(item, source, list(columns)))


def values(chunks, name="units"):
    return [value for chunk in chunks for value in chunk.table[name].to_pylist()]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.JSONL"])
def test_objects_are_rows(tmp_path, name):
    path = put(tmp_path / name, {"store": "a", "units": 1}, {"units": 2.5, "store": "b"}, {"store": None})
    (chunk,) = chunks(path)
    assert (values([chunk], "store"), values([chunk])) == (["a", "b", None], [1.0, 2.5, None])
    assert chunk.table.schema.types == [pa.string(), pa.float64()]
    assert (chunk.rows.tolist(), chunk.broken) == ([0, 1, 2], ())


@pytest.mark.parametrize(
    ("values_in", "kind", "values_out"),
    [
        ([1, 2, 2**53 + 1], pa.int64(), [1, 2, 2**53 + 1]),
        ([2**63, 1], pa.string(), ["9223372036854775808", "1"]),
        ([2**53 + 1, 0.5], pa.string(), ["9007199254740993", "0.5"]),
        ([1, 0.5, None], pa.float64(), [1.0, 0.5, None]),
        ([True, None], pa.bool_(), [True, None]),
        (["007", 7, "NA", True], pa.string(), ["007", "7", None, "true"]),
        (["1,5", "", "é\u2028x"], pa.string(), ["1,5", None, "é\u2028x"]),
        ([None, None], pa.string(), [None, None]),
        (["2024-01-01", "2024-01-02T10:00:00+05:30"], pa.string(), ["2024-01-01", "2024-01-02T10:00:00+05:30"]),
    ],
)
def test_values_stay_exact(tmp_path, values_in, kind, values_out):
    (chunk,) = chunks(put(tmp_path / "a.jsonl", *({"v": value} for value in values_in)), ["v"])
    assert (chunk.table.schema.field("v").type, values([chunk], "v")) == (kind, values_out)


def test_a_broken_line_is_set_aside_and_the_others_are_read(tmp_path):
    odd = ['{"store": "b", "un', "[1, 2]", "7", '{"store": "\\ud800"}', "[" * 100_000, '{"units": ' + "9" * 5000 + "}"]
    path = put(tmp_path / "a.jsonl", {"store": "a", "units": 1}, *odd, "", "  ", {"store": "c", "units": 3})
    (chunk,) = chunks(path)
    assert (values([chunk]), chunk.rows.tolist()) == ([1, 3], [0, 9])
    assert [row for row, _ in chunk.broken] == [1, 2, 3, 4, 5, 6]
    assert chunk.broken[0][1] == '{"store": "b", "un'
    assert chunk.broken_because == "the line is no JSON object"


def test_a_line_may_lack_a_column_and_a_file_may_not(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "_CHUNK_ROWS", 2)
    path = put(tmp_path / "a.jsonl", *[{"store": "a"}] * 3, {"store": "b", "units": 4})
    assert values(chunks(path)) == [None, None, None, 4]
    with pytest.raises(SourceError, match=r"a\.jsonl: no column price; the file has store, units"):
        chunks(path, ["price", "store", "units"])


def test_nested_values_are_refused_where_they_are_used_and_ignored_elsewhere(tmp_path):
    path = put(
        tmp_path / "a.jsonl", {"store": "a", "units": 1, "tags": ["x"], "more": {"deep": 1}}, {"store": {"id": 7}}
    )
    assert values(chunks(path, ["units"])) == [1, None]
    with pytest.raises(SourceError, match=r"column store holds an object or a list in line 2"):
        chunks(path)
    source = Source(path=str(path))
    (item,) = list_inputs(source, tmp_path).inputs
    head = head_rows(item, source, 5)
    assert column_names(item, source) == head.column_names == ["store", "units", "tags", "more"]
    assert [pa.types.is_nested(kind) for kind in head.schema.types] == [True, False, True, True]
    assert head_rows(item, source, 1).num_rows == 1


def test_limits_apply(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="the file is empty"):
        chunks(put(tmp_path / "empty.jsonl"))
    long = put(tmp_path / "long.jsonl", {"store": "x" * 9_000_000})
    with pytest.raises(SourceError, match="line 1 has over 8,388,608 characters"):
        chunks(long)
    with pytest.raises(SourceError, match="column store has a value of 2,000,000 bytes"):
        chunks(put(tmp_path / "value.jsonl", {"store": "x" * 2_000_000, "units": 1}))
    monkeypatch.setattr(limits, "MOST_BROKEN_ROWS", 3)
    with pytest.raises(SourceError, match="over 3 lines are no JSON objects; one object per line"):
        chunks(put(tmp_path / "list.jsonl", "[", *(f'{{"store": {n}}},' for n in range(9)), "]"))
    monkeypatch.setattr(text_stream, "_SURELY_FINE_BYTES", 1000)
    with pytest.raises(SourceError, match="decompression bomb"):
        chunks(put(tmp_path / "bomb.jsonl.gz", *[{"store": "a" * 1000, "units": 1}] * 5000))


def test_another_encoding_is_read_if_the_source_says_so_and_told_if_not(tmp_path):
    path = put(tmp_path / "a.jsonl", '{"store": "Köln", "units": 1}', encoding="cp1252")
    assert values(chunks(path, encoding="cp1252"), "store") == ["Köln"]
    with pytest.raises(SourceError, match=r"set source\.encoding"):
        chunks(path)
    assert values(chunks(put(tmp_path / "b.jsonl", {"store": "ü", "units": 1}, encoding="utf-8-sig")), "store") == ["ü"]


def test_a_list_of_all_rows_is_no_json_lines(tmp_path):
    with pytest.raises(SourceError, match=r"a\.jsonl: no line is a JSON object; one object per line is needed"):
        chunks(put(tmp_path / "a.jsonl", '[{"store": "a", "units": 1}]'))


def test_a_number_is_one_key_with_and_without_a_point(tmp_path):
    (chunk,) = chunks(put(tmp_path / "a.jsonl", *({"v": value} for value in (7, 7.0, "7", 7.5))), ["v"])
    assert values([chunk], "v") == ["7", "7", "7", "7.5"]
