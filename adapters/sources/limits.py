"""Limits of one raw file, so that no file can take the memory of a worker, or its time, whatever it decodes to.

They are far above what data look like. What exceeds one is refused as a whole, with the figure and the way out.
"""

from domain.errors import SourceError

__all__ = [
    "MOST_BROKEN_BYTES",
    "MOST_BROKEN_ROWS",
    "MOST_COLUMNS",
    "MOST_GZIP_INFLATION",
    "MOST_HEADER_BYTES",
    "MOST_PARQUET_INFLATION",
    "MOST_ROW_GROUPS",
    "MOST_VALUE_BYTES",
    "check_columns",
    "check_inflation",
    "check_row_groups",
    "check_value",
]

MOST_COLUMNS = 20_000
MOST_ROW_GROUPS = 10_000
MOST_HEADER_BYTES = 1 << 20
MOST_VALUE_BYTES = 1 << 20
"""Bytes of one value in a column that the fleet reads."""
MOST_BROKEN_ROWS = 100_000
MOST_BROKEN_BYTES = 64 << 20
"""Rows with another number of columns than the header, and their text, between two good rows."""
MOST_GZIP_INFLATION = 200
MOST_PARQUET_INFLATION = 1_000
"""Decoded bytes per stored byte. Rows of a store compress to a tenth, columns of a few values further in Parquet."""


def check_columns(uri: str, count: int) -> None:
    """Raise SourceError if a file has too many columns."""
    if count > MOST_COLUMNS:
        raise SourceError(
            f"{uri}: {count:,} columns; at most {MOST_COLUMNS:,} are read: check the separator, or give each value a "
            "row of its own in place of a column"
        )


def check_row_groups(uri: str, count: int) -> None:
    """Raise SourceError if a Parquet file has too many row groups, each of which takes the time of many rows."""
    if count > MOST_ROW_GROUPS:
        raise SourceError(
            f"{uri}: {count:,} row groups; at most {MOST_ROW_GROUPS:,} are read: write the file with larger ones"
        )


def check_value(uri: str, column: str, size: int, most: int = MOST_VALUE_BYTES) -> None:
    """Raise SourceError if a column has too long a value."""
    if size > most:
        raise SourceError(
            f"{uri}: column {column} has a value of {size:,} bytes; at most {most:,} are read: check the "
            "separator and the quotes"
        )


def check_inflation(uri: str, decoded: int, stored: int, most: int, surely_fine: int) -> None:
    """Raise SourceError if a file decodes to over `most` times its size, as only a bomb does.

    surely_fine : decoded bytes below which the ratio does not matter.
    """
    if decoded > surely_fine and decoded > most * max(stored, 1):
        raise SourceError(
            f"{uri}: {stored:,} bytes decode to {decoded:,} or more; over {most:,} times as many are refused as a "
            "decompression bomb: if the content is right, store it uncompressed"
        )
