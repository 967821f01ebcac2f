"""What every kind of source does: list its inputs, and read one of them.

An input is a file, a data file of one version of a table, or a slice of a query between two watermarks. The ledger is
the same for all: an input is landed once, again when its stamp changes, and loses its rows when the source says that it
is no part of it any more. A new kind is one module with these functions, and a line in `kinds`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from adapters.lake.files import RawFile
from adapters.sources.chunk import Chunk
from domain.config.source import Source

__all__ = ["FileFormat", "Listing", "SourceInput", "SourceKind", "ledger_stamp", "listed_stamp"]


@dataclass(frozen=True)
class SourceInput(RawFile):
    """One input of a source. Its `uri` names it in the ledger and in messages, and never holds a secret.

    kind : name of the kind that reads it, in `kinds`.
    columns : columns that the place of the input gives all its rows, such as partition values; text, or None for null.
    details : whatever else its kind needs to read it again, such as the watermarks of a slice.
    """

    kind: str = "files"
    columns: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    details: Mapping[str, str] = field(default_factory=dict, hash=False)


def ledger_stamp(stamp: str, how: str) -> str:
    """Stamp of an input in the ledger. how : digest of how the fleet reads it; another reading counts as new."""
    return f"{stamp}-{how}"


def listed_stamp(stamp: str) -> str:
    """Stamp of an input in a listing, from that of the ledger."""
    return stamp.rpartition("-")[0]


@dataclass(frozen=True)
class Listing:
    """The inputs of a source at one moment.

    unusable : a message for each input that can never be read, such as a file whose name is no text.
    owned : prefixes of URIs for which the listing is the whole truth: an input of the ledger below one of them that is
    not listed has left the source, and loses its rows. A file that vanished from a plain folder keeps them.
    """

    inputs: tuple[SourceInput, ...]
    unusable: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()

    def gone(self, uris: Sequence[str]) -> set[str]:
        """Return those of the ledger's inputs that are no part of the source any more."""
        listed = {item.uri for item in self.inputs}
        return {uri for uri in uris if uri not in listed and uri.startswith(self.owned)}


class SourceKind(Protocol):
    """One kind of source. Every failure is a SourceError that names the input and the cause."""

    def listing(self, source: Source, place: str, home: Path, known: Mapping[str, str]) -> Listing:
        """List the inputs at a place: the source's path, or a path that a request gives in place of it.

        known : stamps by URI of the inputs whose rows are in the lake, as an earlier listing gave them. A kind that
        reads on from where it stopped finds there where that was, and lists those inputs as well.
        """
        ...

    def names(self, item: SourceInput, source: Source) -> list[str]:
        """Names of the columns, without reading the rows."""
        ...

    def head(self, item: SourceInput, source: Source, rows: int) -> pa.Table:
        """The first rows with all columns; a column that no fleet can use may be null."""
        ...

    def chunks(self, item: SourceInput, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        """Read the columns, as far as the input has them, in chunks of bounded memory; others may come along.

        At least one chunk, even if it has no rows.
        """
        ...

    def content(self, item: SourceInput, source: Source, columns: Sequence[str]) -> str:
        """Identity of the content: 16 characters. Inputs of equal content count once, whatever their places.

        columns : those that are read, of which some may come from the place.
        """
        ...

    def held_still(self, item: SourceInput) -> AbstractContextManager[None]:
        """Raise SourceError if the input changes before the block ends."""
        ...


class FileFormat(Protocol):
    """How one format of files is read; `SourceKind` says what each function returns."""

    @property
    def suffixes(self) -> Sequence[str]:
        """Ends of file names that tell the format, in lower case and without `.gz`."""
        ...

    @property
    def packed(self) -> bool:
        """Whether the files are compressed in themselves, so that text of the rows would be several times larger."""
        ...

    def names(self, uri: str, source: Source) -> list[str]: ...

    def head(self, uri: str, source: Source, rows: int) -> pa.Table: ...

    def chunks(self, uri: str, source: Source, columns: Sequence[str]) -> Iterator[Chunk]: ...
