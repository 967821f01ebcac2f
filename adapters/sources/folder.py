"""Files of any format in a folder, local or in an object store."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from adapters.lake.files import digest, held_still, list_files
from adapters.sources.chunk import Chunk
from adapters.sources.formats import format_of
from adapters.sources.protocol import Listing, SourceInput
from domain.config.fleet import Source

__all__ = ["FolderSource"]


class FolderSource:
    """The files that a path, folder or glob matches."""

    def listing(self, source: Source, place: str, home: Path, known: Mapping[str, str]) -> Listing:
        unusable = list[str]()
        files = list_files(place, home, unusable)
        return Listing(tuple(SourceInput(**asdict(file)) for file in files), tuple(unusable))

    def names(self, item: SourceInput, source: Source) -> list[str]:
        return format_of(item.uri, source).names(item.uri, source)

    def head(self, item: SourceInput, source: Source, rows: int) -> pa.Table:
        return format_of(item.uri, source).head(item.uri, source, rows)

    def chunks(self, item: SourceInput, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        return format_of(item.uri, source).chunks(item.uri, source, columns)

    def content(self, item: SourceInput) -> str:
        return digest(item.uri)

    def held_still(self, item: SourceInput) -> AbstractContextManager[None]:
        return held_still(item.uri)
