"""Keep spreadsheets from reading text of the data as formulas.

A spreadsheet that opens a CSV file runs a cell such as `=HYPERLINK(...)`, whoever wrote the row that it came from. An
apostrophe in front makes it text. Numbers stay as they are, in text columns too (`-5`, `+4.9e3`): they are no formulas.
Text that already begins with apostrophes before such a character gets one more, so that taking away the first
apostrophe before `=`, `+`, `-`, `@`, a tab or a line break restores every cell.
"""

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["escape_formulas"]

# The full-width forms are taken for the plain ones by spreadsheets in Japanese and Chinese settings.
_FORMULA = r"^'*[=+\-@\t\r\n＝＋－＠]"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def escape_formulas(rows: pa.Table) -> pa.Table:
    """Put an apostrophe before text and names of columns that a spreadsheet would read as a formula."""
    columns = [_escaped(values) if _is_text(values.type) else values for values in rows.columns]
    names = _escaped(pa.chunked_array([pa.array(rows.column_names, pa.string())])).to_pylist()
    return pa.Table.from_arrays(columns, names=names)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind)) or bool(pa.types.is_large_string(kind))


def _escaped(values: pa.ChunkedArray) -> pa.ChunkedArray:
    formula = pc.and_not(pc.match_substring_regex(values, _FORMULA), pc.match_substring_regex(values, _NUMBER))
    if not pc.any(formula).as_py():
        return values
    marked = pc.binary_join_element_wise(pa.scalar("'", values.type), values, pa.scalar("", values.type))
    return pc.if_else(formula, marked, values)
