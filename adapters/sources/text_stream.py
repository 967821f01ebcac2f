"""Files of text as uncompressed bytes."""

import gzip
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

from adapters.lake.files import open_file
from adapters.sources import limits
from domain.errors import SourceError

__all__ = ["text_bytes"]

_SURELY_FINE_BYTES = 32 << 20
_PACKED = {b"\x1f\x8b\x08": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}
"""First bytes of compressed content; none of them begins a text."""


@contextmanager
def text_bytes(uri: str) -> Iterator[BinaryIO]:
    """Open a file; one whose name ends in .gz is decompressed, until its content is too large for its size."""
    with ExitStack() as stack:
        stream = stack.enter_context(open_file(uri))
        if uri.lower().endswith(".gz"):
            stream = cast("BinaryIO", stack.enter_context(_BoundedGzip(uri, stream)))
        else:
            _refuse_packed(uri, stream)
        yield stream


def _refuse_packed(uri: str, stream: BinaryIO) -> None:
    """Raise SourceError for compressed content, which would be taken for text of another encoding."""
    start = stream.read(max(map(len, _PACKED)))
    stream.seek(0)
    packer = next((name for mark, name in _PACKED.items() if start.startswith(mark)), None)
    if packer == "gzip":
        raise SourceError(f"{uri}: the content is compressed by gzip; give the file a name that ends in .gz")
    if packer is not None:
        raise SourceError(f"{uri}: the content is compressed by {packer}, which is not read; unpack it")


class _BoundedGzip(gzip.GzipFile):
    def __init__(self, uri: str, stored: BinaryIO) -> None:
        super().__init__(fileobj=stored, mode="rb")
        self._uri, self._stored = uri, stored

    def read(self, size: int | None = -1) -> bytes:
        return self._checked(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._checked(super().read1(size))

    def _checked(self, content: bytes) -> bytes:
        limits.check_inflation(
            self._uri, self.tell(), self._stored.tell(), limits.MOST_GZIP_INFLATION, _SURELY_FINE_BYTES
        )
        return content
