"""Read the number columns of a raw file alike in all its chunks: what their marks mean is judged once, by all rows."""

from collections.abc import Callable, Collection, Iterable, Sequence

import pyarrow as pa

from domain.config.source import Source
from domain.data.number_text import (
    NumberEvidence,
    NumberReading,
    explicit_reading,
    judge,
    number_evidence,
    rewrite,
)
from domain.data.text_marks import NUMBER_MARKS, SPACES, marks_in
from domain.errors import SourceError

__all__ = ["NumberColumns"]

_FIRST_ROWS = 1_000


class NumberColumns:
    """The number columns of one file.

    Most need no judgement: their first rows prove the source's decimal mark, and no value has the other one. The whole
    file is read for the others, before the first of their rows with a mark is used.

    Parameters
    ----------
    scan : reads columns of the whole file, chunk by chunk.
    """

    def __init__(
        self, uri: str, source: Source, numbers: Collection[str], scan: Callable[[Sequence[str]], Iterable[pa.Table]]
    ) -> None:
        self._uri, self._decimal, self._numbers, self._scan = uri, source.decimal, numbers, scan
        automatic = source.thousands == "auto"
        self._explicit = None if automatic else explicit_reading(source.decimal, source.thousands)
        self._readings = dict[str, NumberReading]()
        self._proven = set[str]()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the values of the columns leave open, as far as the file has been read."""
        return tuple(f"column {name!r}: {reading.remark}" for name, reading in self._readings.items() if reading.remark)

    def rewrite(self, table: pa.Table, *, whole: Callable[[], bool]) -> pa.Table:
        """Give the number columns of a chunk a decimal point and no separators. whole : whether it is the only chunk.

        Raises
        ------
        SourceError : the values of a column contradict the source's decimal mark.
        """
        names = table.column_names
        # A name that is there twice is an error of the reader's.
        once = [name for name in names if name in self._numbers and names.count(name) == 1]
        text = [name for name in once if pa.types.is_string(table[name].type)]
        marks = {name: marks_in(table[name], NUMBER_MARKS) for name in text}
        if self._explicit is None:
            open_columns = [name for name in text if self._is_open(name, table[name], marks[name])]
            if open_columns:
                self._judge(open_columns, [table] if whole() else self._scan(open_columns))
        for name in text:
            reading = self._explicit or self._readings.get(name) or NumberReading(self._decimal, spaces="")
            place = table.column_names.index(name)
            table = table.set_column(place, name, rewrite(table[name], reading, marks[name]))
        return table

    def _is_open(self, name: str, text: pa.ChunkedArray, present: str) -> bool:
        """Return True if a chunk of a column has marks whose meaning is not known yet. present : all of its marks."""
        if name in self._readings:
            return False
        marks = "".join(mark for mark in present if mark in f".,{SPACES}")
        if name in self._proven or not marks:
            return bool(marks.replace(self._decimal, ""))
        if marks != self._decimal:
            return True
        first = number_evidence(text.slice(0, _FIRST_ROWS))
        if first.proofs(self._decimal):
            self._proven.add(name)
        return name not in self._proven

    def _judge(self, names: Sequence[str], tables: Iterable[pa.Table]) -> None:
        evidence = dict.fromkeys(names, NumberEvidence())
        for table in tables:
            evidence = {name: known + number_evidence(table[name]) for name, known in evidence.items()}
        self._readings |= {name: judge(known, self._decimal) for name, known in evidence.items()}
        refusals = [(name, self._readings[name].refusal) for name in names if self._readings[name].refusal]
        if refusals:
            name, refusal = refusals[0]
            raise SourceError(f"{self._uri}: column {name!r}: {refusal}")
