"""Object stores other than S3, whose drivers for fsspec are no dependency of ours: they are used where installed.

Each driver has errors of its own. They become OSErrors here, as those of any other storage are.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from domain.errors import SourceError

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

__all__ = ["DRIVERS", "ObjectStore", "is_remote", "open_store"]

DRIVERS = {"gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}
"""Package of the driver, by scheme."""
_SAME = {"gcs": "gs", "abfss": "abfs", "az": "abfs"}
_BUFFER_BYTES = 1 << 20


def is_remote(uri: str) -> bool:
    """Return True for a URI of a storage elsewhere, whatever its scheme."""
    return "://" in uri and not uri.startswith("file://")


def open_store(uri: str) -> "tuple[ObjectStore, str]":
    """Return the store of a URI, configured by the variables of its driver, and the path on it.

    Raises
    ------
    SourceError : the driver is not installed, or finds no access; the message names the package.
    """
    scheme, _, path = uri.partition("://")
    if "@" in path.partition("/")[0]:
        raise SourceError(f"{uri}: give the container alone, {scheme}://CONTAINER/PATH, and the account by variables")
    try:
        import fsspec  # Imported here: a lake in a local folder does without.

        filesystem = fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as exc:
        package = DRIVERS[scheme]
        raise SourceError(f"{uri}: {scheme}:// needs the package {package}; run: pip install {package}") from exc
    except Exception as exc:
        raise SourceError(f"{uri}: {DRIVERS[scheme]} cannot be used: {exc}; check its variables") from exc
    return ObjectStore(filesystem, _SAME.get(scheme, scheme)), path


class ObjectStore:
    """The calls of a file system that only reads, with one kind of errors. scheme : of the URIs of its files."""

    def __init__(self, filesystem: "AbstractFileSystem", scheme: str) -> None:
        self._filesystem, self.protocol = filesystem, (scheme,)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._filesystem, name)

        def guarded(*arguments: Any, **options: Any) -> Any:
            with _as_os_error():
                return call(*arguments, **options)

        return guarded

    def open(self, path: str, _mode: str = "rb") -> BinaryIO:
        with _as_os_error():
            stream = self._filesystem.open(path, "rb")
        return cast("BinaryIO", io.BufferedReader(_Guarded(stream), _BUFFER_BYTES))

    def state(self, info: dict[str, Any]) -> tuple[str, float]:
        """Return what changes with an object's content, and the time of its last change."""
        changed = next((info[key] for key in ("last_modified", "mtime", "updated", "LastModified") if info.get(key)), 0)
        tag = next((info[key] for key in ("etag", "ETag", "generation", "md5Hash") if info.get(key)), changed)
        return str(tag).strip('"'), _seconds(changed)


def _seconds(moment: object) -> float:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.timestamp() if isinstance(moment, datetime) else float(cast("float", moment or 0))


class _Guarded(io.RawIOBase):
    """A stream of an object store with one kind of errors."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _as_os_error():
            content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        with _as_os_error():
            return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as exc:
        raise OSError(f"{type(exc).__name__}: {exc}") from exc
