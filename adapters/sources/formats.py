"""Formats of files by name, and which of them a file has."""

from collections.abc import Mapping

from adapters.sources.csv_file import CsvFormat
from adapters.sources.excel import ExcelFormat
from adapters.sources.json_lines import JsonLinesFormat
from adapters.sources.parquet_file import ParquetFormat
from adapters.sources.protocol import FileFormat
from domain.config.source import Source
from domain.errors import SourceError

__all__ = ["FORMATS", "format_by_name", "format_of", "is_packed"]

FORMATS: Mapping[str, FileFormat] = {
    "csv": CsvFormat(),
    "parquet": ParquetFormat(),
    "jsonl": JsonLinesFormat(),
    "excel": ExcelFormat(),
}

_OTHER_PACKERS = (".zip", ".zst", ".bz2", ".xz", ".lz4", ".7z", ".rar", ".tar")


def format_by_name(uri: str) -> str | None:
    """Return the format that the name of a file tells; None if it tells none."""
    name = uri.lower().removesuffix(".gz")
    return next((key for key, format_ in FORMATS.items() if name.endswith(tuple(format_.suffixes))), None)


def format_of(uri: str, source: Source) -> FileFormat:
    """Return the format in which a source's file is read.

    Raises SourceError if neither the source nor the name of the file tells it.
    """
    name = source.format if source.format in FORMATS else format_by_name(uri)
    if name is None:
        if uri.lower().endswith(_OTHER_PACKERS):
            raise SourceError(f"{uri}: of compressed files only .gz is read; unpack it, or compress it with gzip")
        known = " or ".join([", ".join(list(FORMATS)[:-1]), list(FORMATS)[-1]])
        raise SourceError(f"{uri}: the name does not tell the format; set source.format to {known}")
    return FORMATS[name]


def is_packed(uri: str) -> bool:
    """Return True for a file whose rows would be several times larger as text."""
    name = format_by_name(uri)
    return uri.lower().endswith(".gz") or (name is not None and FORMATS[name].packed)
