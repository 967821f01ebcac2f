"""Blocks of JSON lines: the same rows as line by line, or none at all."""

import io
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sources import json_lines
from adapters.sources.kinds import list_inputs
from adapters.sources.reader import read_chunks
from adapters.sources.text import json_blocks
from adapters.sources.text.json_blocks import block_rows, line_blocks
from domain.config.source import Source

KINDS = {"k": {str}, "y": {int, float}}


def block(*lines):
    return "".join(f"{line}\n" for line in lines).encode()


def test_whole_blocks_are_read_with_the_types_that_are_known():
    content = block('{"k": "2024-01-01", "y": 1, "other": [{}]}', '{"y": 0.1, "k": "007"}', '{"k": null}')
    assert block_rows(content, KINDS).to_pydict() == {"k": ["2024-01-01", "007", None], "y": [1.0, 0.1, None]}
    assert block_rows(content.replace(b"\n", b"\r\n").rstrip(), KINDS).num_rows == 3


@pytest.mark.parametrize(
    "lines",
    [
        ['{"k": "a"}', ""],
        ['{"k": "a"} {"k": "b"}', '{"k":', '"c"}'],
        ['{"k": "a"}', '{"k": '],
        ['{"k": "a"}', "7", '{"k": "b"}'],
        ['{"k": 7}'],
        ['{"k": {"deep": 1}}'],
        ['{"k": "a", "k": "b"}'],
        ['{"y": NaN}'],
        ['{"y": true}'],
        ['{"y": 9007199254740993}'],
        ['{"y": 0.5}', '{"y": 123456789012345678901234567890}'],
        ['{"k": "\\ud800"}'],
    ],
)
def test_what_needs_a_look_at_each_line_is_left(lines):
    assert block_rows(block(*lines), KINDS) is None


def test_bytes_that_are_no_text_are_left():
    assert block_rows(b'{"k": "\xff"}\n', KINDS) is None
    assert block_rows(b'{"k": "a"}\n', {"k": {str, int}}) is None
    assert block_rows(b'{"k": "a"}\n', {"k": set()}) is None


def test_blocks_end_with_lines(monkeypatch):
    monkeypatch.setattr(json_blocks, "_BLOCK_BYTES", 5)
    monkeypatch.setattr(json_blocks, "_ENDLESS_BYTES", 12)
    content = b"\xef\xbb\xbfab\ncd\nefghijkl\nm"
    assert list(line_blocks(io.BytesIO(content))) == [b"ab\n", b"cd\n", b"efghijkl\n", b"m"]
    assert list(line_blocks(io.BytesIO(b"x" * 20))) == [b"x" * 13, b"x" * 7]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10),
    st.integers(2**53 - 2, 2**64),
    st.floats(allow_nan=True, width=32),
    st.sampled_from([0.1, 1e300, -0.0, 1e16]),
    st.text(max_size=3),
    st.sampled_from(["NA", "2024-01-01", "1,5", "}\n{", "\ud800"]),
)
LINES = st.one_of(
    st.fixed_dictionaries({}, optional={"k": st.sampled_from(["a", "b"]), "y": st.integers(0, 3), "z": VALUES}).map(
        json.dumps
    ),
    st.fixed_dictionaries({"k": VALUES, "y": VALUES}).map(json.dumps),
    st.sampled_from(["", "{", "}", "[1]", '{"k": "a"} {"k": "b"}', '{"y": 1, "y": 2}', '{"y": 1e400}', '{"y": -0}']),
)


def cells(values):
    """As keys and numbers see them: a whole number is the same with and without a point."""
    return [
        float(v) if isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 2**53 else v for v in values
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=12), st.booleans())
def test_blocks_and_lines_have_the_same_rows(tmp_path_factory, lines, uniform):
    if uniform:
        lines = [json.dumps({"k": "a", "y": 1.5}), *[line for line in lines if line.startswith('{"k": "')]]
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(errors="surrogatepass"))
    source = Source(path=str(path))
    (item,) = list_inputs(source, path.parent).inputs

    def read():
        chunks = list(read_chunks(item, source, [], ["k", "y"]))
        rows = [row for chunk in chunks for row in chunk.rows.tolist()]
        columns = [cells(value for chunk in chunks for value in chunk.table[name].to_pylist()) for name in ("k", "y")]
        return rows, [b for chunk in chunks for b in chunk.broken], repr(columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_blocks, "_BLOCK_BYTES", 40)
        blocks = read()
        patch.setattr(json_lines, "block_rows", lambda *_: None)
        assert blocks == read()


def test_a_table_of_a_block_has_no_other_columns():
    assert block_rows(b'{"k": "a", "x": 1}\n', {"k": {str}}).schema == pa.schema({"k": pa.string()})
