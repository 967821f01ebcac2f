"""Files of any format in a folder, local or in an object store; folders such as `store=1` give them columns."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from adapters.lake.files import digest, held_still, list_files
from adapters.sources.chunk import Chunk
from adapters.sources.formats import format_of
from adapters.sources.place_columns import columns_to_read, folder_columns, with_folder_columns
from adapters.sources.protocol import Listing, SourceInput
from domain.config.source import Source

__all__ = ["FolderSource"]


class FolderSource:
    """The files that a path, folder or glob matches."""

    def listing(self, source: Source, place: str, home: Path, known: Mapping[str, str]) -> Listing:
        unusable = list[str]()
        files = list_files(place, home, unusable)
        inputs = (
            SourceInput(file.uri, file.size, file.stamp, file.modified, columns=folder_columns(file.uri))
            for file in files
        )
        return Listing(tuple(inputs), tuple(unusable))

    def names(self, item: SourceInput, source: Source) -> list[str]:
        return list(dict.fromkeys([*format_of(item.uri, source).names(item.uri, source), *_of_folders(item, source)]))

    def head(self, item: SourceInput, source: Source, rows: int) -> pa.Table:
        head = format_of(item.uri, source).head(item.uri, source, rows)
        return with_folder_columns(head, _of_folders(item, source))[0]

    def chunks(self, item: SourceInput, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        format_ = format_of(item.uri, source)
        of_folders = {name: value for name, value in _of_folders(item, source).items() if name in columns}
        if not of_folders:
            yield from format_.chunks(item.uri, source, columns)
            return
        told: dict[str, None] = {}
        for chunk in format_.chunks(item.uri, source, columns_to_read(format_.names(item.uri, source), columns)):
            table, remarks = with_folder_columns(chunk.table, of_folders)
            told |= dict.fromkeys(remarks)
            yield replace(chunk, table=table, remarks=(*chunk.remarks, *told))

    def content(self, item: SourceInput, source: Source, columns: Sequence[str]) -> str:
        # The same bytes in the folders of two stores are rows of two stores.
        of_folders = {name: value for name, value in _of_folders(item, source).items() if name in columns}
        return _combined(digest(item.uri), of_folders) if of_folders else digest(item.uri)

    def held_still(self, item: SourceInput) -> AbstractContextManager[None]:
        return held_still(item.uri)


def _of_folders(item: SourceInput, source: Source) -> dict[str, str | None]:
    """Return the columns of an input's folders; what the source says of a column counts more."""
    return {name: value for name, value in item.columns.items() if name not in source.constants}


def _combined(content: str, values: Mapping[str, str | None]) -> str:
    text = json.dumps([content, dict(values)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
