"""Texts of files that count as no value, such as NA, and may be one all the same, such as the code of Namibia."""

import re
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from adapters.sources.formats import format_of
from adapters.sources.parquet_file import ParquetFormat
from adapters.sources.protocol import SourceInput
from adapters.sources.reader import head_rows
from domain.config.source import Source

__all__ = ["null_text_remarks", "null_texts", "values_among_null_texts"]

_CODE = re.compile(r"[A-Z]{2,4}")


def null_texts(item: SourceInput, source: Source, rows: int, names: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """Count the texts that count as no value among the first rows, by column. names : of columns; all by default."""
    if item.kind != "files" or isinstance(format_of(item.uri, source), ParquetFormat):
        return {}
    raw = head_rows(item, source.model_copy(update={"null_values": []}), rows)
    texts = pa.array([text for text in source.null_values if text.strip()], pa.string())
    counts = {}
    for name in dict.fromkeys(raw.column_names):
        if (names and name not in names) or raw.column_names.count(name) > 1 or not pa.types.is_string(raw[name].type):
            continue
        found = raw[name].filter(pc.is_in(raw[name], texts)).value_counts().to_pylist()
        if found:
            counts[name] = {item["values"]: item["counts"] for item in found}
    return counts


def null_text_remarks(item: SourceInput, source: Source, head: pa.Table, keys: Sequence[str]) -> Iterator[str]:
    """Remarks on keys without a value, where the file has a text. head : the first rows."""
    blank = [name for name in keys if name in head.column_names and head[name].null_count]
    for name, counts in null_texts(item, source, head.num_rows, blank).items() if blank else ():
        texts = ", ".join(f"{text!r} ({count:,})" for text, count in counts.items())
        yield (
            f"column {name!r}: {texts} of the first {head.num_rows:,} rows counts as no value; leave the text out of "
            "source.null_values if it is one"
        )


def values_among_null_texts(head: pa.Table, texts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the texts that are codes like all other values of each column that has them: `NA` among `DE` and `US`."""
    columns: dict[str, list[str]] = {}
    for name, counts in texts.items():
        for text in counts:
            columns.setdefault(text, []).append(name)
    return [text for text, names in columns.items() if all(_is_code_among(text, head[name]) for name in names)]


def _is_code_among(text: str, values: pa.ChunkedArray) -> bool:
    others = pc.unique(values.drop_null()).to_pylist()
    codes = [other for other in others if _CODE.fullmatch(str(other)) and len(str(other)) == len(text)]
    return bool(_CODE.fullmatch(text)) and bool(codes) and len(codes) == len(others)
