"""Files by URI, local or on S3, through fsspec: list, inspect, read, write."""

import hashlib
import re
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import pyarrow.fs as pafs
from botocore.exceptions import BotoCoreError
from cachetools import TTLCache

from adapters.lake.local_files import check_location, open_regular
from adapters.lake.object_stores import DRIVERS, ObjectStore, is_remote, open_store
from domain.config.database import without_secrets
from domain.data.shown import shown
from domain.errors import NoFilesError, SourceError

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

__all__ = [
    "STORAGE_ERRORS",
    "TABLE_LOG",
    "RawFile",
    "arrow_filesystem",
    "digest",
    "file_sizes",
    "files_below",
    "get_objects",
    "held_still",
    "is_table",
    "list_files",
    "location",
    "open_file",
    "put_file",
    "put_objects",
    "put_once",
    "put_path",
    "replacing",
    "split_uri",
]

STORAGE_ERRORS = (OSError, BotoCoreError)
"""Errors of a storage that is unreachable or refuses access; those of botocore are not OSErrors."""

TABLE_LOG = "_delta_log"
"""Folder that makes its parent a Delta table."""

_CHUNK_BYTES = 1 << 20
_S3_ATTEMPTS = 12
"""With random pauses that double up to 20 s and average half of that: over a minute in total."""
_AT_ONCE = 16
"""Concurrent requests to a storage."""
_SETTLED_S = 2.0
_PARQUET_END = b"PAR1"
_MOST_LOOKED_AT = 20
_TABLES: TTLCache[tuple[object, str], bool] = TTLCache(maxsize=1_000, ttl=60)
_TABLES_LOCK = threading.Lock()
"""Folders of object stores that were looked at a moment ago, as many files of a request lie in the same."""
_MOST_NAME = 300
"""Characters of a file's path in a message."""


@dataclass(frozen=True)
class RawFile:
    """One raw file: its location and the metadata of its storage.

    stamp : changes whenever the storage reports changed content (size and time, or ETag).
    modified : time of the last change in seconds since the epoch; 0 if the storage does not report it.
    """

    uri: str
    size: int
    stamp: str
    modified: float = 0.0

    @property
    def path_id(self) -> str:
        """Identity of the location, whatever its content: 16 hex digits of the BLAKE2b hash of the URI."""
        return hashlib.blake2b(self.uri.encode(), digest_size=8).hexdigest()


def split_uri(uri: str, home: Path) -> "tuple[AbstractFileSystem, str]":
    """Return the file system of a URI and the path on it; local paths are relative to `home`."""
    if uri.startswith("s3://"):
        return _s3(), uri.removeprefix("s3://")
    if uri.partition("://")[0] in DRIVERS:
        store, path = open_store(uri)
        return cast("AbstractFileSystem", store), path
    if is_remote(uri):
        raise SourceError(
            f"{without_secrets(uri)}: unknown scheme; use a local path, file://, s3://, or {'://, '.join(DRIVERS)}://"
        )
    import fsspec  # Imported here: a lake in a local folder does without.

    return fsspec.filesystem("file"), str((home / uri.removeprefix("file://")).absolute())


def location(place: str, home: Path) -> str:
    """Return the URI of a place as listings have it: an absolute path, or a URI of an object store."""
    filesystem, path = split_uri(place, home)
    return path if _is_local(filesystem) else f"{filesystem.protocol[0]}://{path}"


def _is_local(filesystem: "AbstractFileSystem") -> bool:
    return "file" in filesystem.protocol


def is_table(place: str, home: Path) -> bool:
    """Return True for the folder of a Delta table; False also if the storage cannot tell."""
    filesystem, path = split_uri(place, home)
    try:
        return bool(filesystem.isdir(f"{path.rstrip('/')}/{TABLE_LOG}"))
    except (*STORAGE_ERRORS, ValueError):
        return False


def arrow_filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """Return Arrow's file system for the root of a lake, and the path on it."""
    if uri.startswith("s3://"):
        return pafs.PyFileSystem(pafs.FSSpecHandler(_s3())), uri.removeprefix("s3://")
    return pafs.LocalFileSystem(), uri.removeprefix("file://")


def _s3() -> "AbstractFileSystem":
    """Return S3 as configured by the usual AWS_* variables.

    Listings are never cached, since a cached one would hide new files. Retries outlast an outage of a minute.
    """
    config = {"retries": {"mode": "standard", "max_attempts": _S3_ATTEMPTS}, "connect_timeout": 10, "read_timeout": 60}
    import fsspec  # Imported here: a lake in a local folder does without.

    return fsspec.filesystem("s3", use_listings_cache=False, config_kwargs=config)


def list_files(pattern: str, home: Path, unusable: list[str] | None = None) -> list[RawFile]:
    """Return the files that a path, folder or glob matches, sorted by name.

    Hidden files and those in progress (`.`, `_`) are left out, folders too, unless the pattern spells them out. So are
    files whose names are no text, which no table can store.

    Parameters
    ----------
    unusable : receives a message for each file that is left out because of its name.

    Raises
    ------
    NoFilesError : nothing matches.
    SourceError : only files with such names match, or the place cannot be listed.
    """
    filesystem, path = split_uri(pattern, home)
    try:
        root, infos = _listing(filesystem, path.rstrip("/"))
    except (*STORAGE_ERRORS, ValueError) as exc:
        raise SourceError(f"{pattern}: cannot be listed: {exc}") from exc
    _refuse_table(filesystem, pattern, root, infos)
    visible = {name: info for name, info in infos.items() if not _hidden(name, root)}
    odd = [_odd_name(name) for name in sorted(visible) if not _is_text(name)]
    files = [file for name, info in visible.items() if _is_text(name) and (file := _raw_file(filesystem, info))]
    if not files and odd:
        raise SourceError("\n".join(odd))
    if not files:
        hint = "" if "://" in pattern else f" (looked for {path}; relative paths start at {home})"
        raise NoFilesError(f"{pattern}: no file matches{hint}")
    if unusable is not None:
        unusable += odd
    return sorted(files, key=lambda file: file.uri)


def _refuse_table(filesystem: "AbstractFileSystem", pattern: str, root: str, names: Iterable[str]) -> None:
    """Raise SourceError for files of a Delta table, of which many may be deleted or replaced."""
    logs = (name.partition(f"/{TABLE_LOG}/")[0] for name in names if f"/{TABLE_LOG}/" in name)
    table = next(logs, None) or next(
        (place for place in _places(filesystem, root, names) if _has_log(filesystem, place)), None
    )
    if table is not None:
        raise SourceError(
            f"{pattern}: {table} is a Delta table, and its folder also has files with rows that were deleted or "
            "replaced; give that folder itself as the path, with format: delta if need be, or a place without it"
        )


def _places(filesystem: "AbstractFileSystem", root: str, names: Iterable[str]) -> list[str]:
    """Return folders that may be a table with the files: their own, and those above them.

    Elsewhere, where each takes a request, only those above partitions such as `store=1`, and of files of a table.
    """
    if _is_local(filesystem):
        folders = {Path(name).parent for name in names} | {Path(root)}
        return sorted({str(place) for folder in folders for place in (folder, *folder.parents)})
    above = {_without_partitions(name.rpartition("/")[0]) for name in names if name.lower().endswith(".parquet")}
    return sorted(above)[:_MOST_LOOKED_AT]


def _without_partitions(folder: str) -> str:
    while "=" in folder.rpartition("/")[2]:
        folder = folder.rpartition("/")[0]
    return folder


def _has_log(filesystem: "AbstractFileSystem", folder: str) -> bool:
    if _is_local(filesystem):
        return Path(folder, TABLE_LOG).is_dir()
    with _TABLES_LOCK:
        known = _TABLES.get((filesystem.protocol, folder))
    if known is None:
        try:
            known = bool(filesystem.isdir(f"{folder}/{TABLE_LOG}"))
        except (*STORAGE_ERRORS, ValueError):
            return False  # Without the right to list, as a file may be read alone.
        with _TABLES_LOCK:
            _TABLES[filesystem.protocol, folder] = known
    return known


def files_below(uri: str) -> list[RawFile]:
    """Return all files below a folder, including hidden ones; nothing if the folder does not exist."""
    filesystem, path = split_uri(uri, Path("/"))
    infos = filesystem.find(path, detail=True).values() if filesystem.exists(path) else ()
    return [file for info in infos if (file := _raw_file(filesystem, info))]


def _listing(filesystem: "AbstractFileSystem", path: str) -> tuple[str, Mapping[str, Mapping[str, object]]]:
    """Return the literal part of a path, and the entries below it by name."""
    if _is_local(filesystem):
        # What a folder elsewhere contains is not to be told either.
        check_location(re.split(r"[*?\[]", path, maxsplit=1)[0].rpartition("/")[0] if _is_glob(path) else path)
    # Real names first: `sales[1].csv` is a file, not a pattern.
    if filesystem.isdir(path):
        return path, filesystem.find(path, detail=True)
    if filesystem.exists(path):
        return path, {path: filesystem.info(path)}
    root = re.split(r"[*?\[]", path, maxsplit=1)[0].rpartition("/")[0]
    return root, filesystem.glob(path, detail=True)


def _is_glob(path: str) -> bool:
    return bool(re.search(r"[*?\[]", path)) and not Path(path).exists()


def _hidden(name: str, root: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.removeprefix(root).split("/"))


def _is_text(name: str) -> bool:
    """Return False for a name with bytes that are not UTF-8, which Python has as halves of surrogate pairs."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _odd_name(name: str) -> str:
    return f"{shown(name, _MOST_NAME)}: the name of the file is not UTF-8 text; rename it"


def _raw_file(filesystem: "AbstractFileSystem", info: Mapping[str, object]) -> RawFile | None:
    """Return None for entries that are not files, for deleted files and for broken links; follow other links."""
    name, size = str(info["name"]), int(cast("int", info["size"] or 0))
    if "s3" in filesystem.protocol:
        changed = info.get("LastModified")
        modified = changed.timestamp() if isinstance(changed, datetime) else 0.0
        stamp = f"{size}-{str(info.get('ETag', '')).strip(chr(34))}"
        return RawFile(f"s3://{name}", size, stamp, modified) if info["type"] == "file" else None
    if isinstance(filesystem, ObjectStore):
        tag, modified = filesystem.state(dict(info))
        uri = f"{filesystem.protocol[0]}://{name}"
        return RawFile(uri, size, f"{size}-{tag}", modified) if info["type"] == "file" else None
    try:
        status = Path(name).stat() if Path(name).is_file() else None
    except FileNotFoundError:
        return None
    return status and RawFile(name, status.st_size, f"{status.st_size}-{status.st_mtime_ns}", status.st_mtime)


def open_file(uri: str) -> BinaryIO:
    """Open a file as a binary stream; a local one as `open_regular` does."""
    filesystem, path = split_uri(uri, Path("/"))
    return open_regular(path) if _is_local(filesystem) else cast("BinaryIO", filesystem.open(path, "rb"))


def digest(uri: str) -> str:
    """Return the identity of a file's content: 16 hex digits of the BLAKE2b hash of its bytes."""
    state = hashlib.blake2b(digest_size=8)
    with open_file(uri) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()


@contextmanager
def held_still(uri: str) -> Iterator[None]:
    """Raise SourceError if the file changes before the block ends.

    A half-written line may pass for a complete one, so a local file that ends within a line and has just been modified
    gets a moment to change. A slower writer is indistinguishable from a file that ends without a line break.
    """
    before = _status(uri)
    if before.modified and "://" not in uri and _ends_within_a_line(uri, before.size):
        time.sleep(min(_SETTLED_S, max(0.0, before.modified + _SETTLED_S - time.time())))
        _refuse_changed(uri, before)
    yield
    _refuse_changed(uri, before)


def _refuse_changed(uri: str, before: RawFile) -> None:
    if _status(uri).stamp != before.stamp:
        raise SourceError(f"{uri}: it is still being written, it changed while it was read; run again when it is whole")


def _status(uri: str) -> RawFile:
    filesystem, path = split_uri(uri, Path("/"))
    try:
        file = _raw_file(filesystem, filesystem.info(path))
    except STORAGE_ERRORS as exc:
        raise SourceError(f"{uri}: cannot be read: {exc}") from exc
    if file is None:
        raise SourceError(f"{uri}: cannot be read: it is no file any more")
    return file


def _ends_within_a_line(uri: str, size: int) -> bool:
    if size < len(_PARQUET_END) or uri.lower().endswith(".gz"):
        return False
    with open_file(uri) as stream:
        stream.seek(size - len(_PARQUET_END))
        end = stream.read()
    return not end.endswith((b"\n", b"\r", _PARQUET_END))


def put_objects(root: str, files: Mapping[str, bytes]) -> None:
    """Write objects below an s3:// URI, many at a time; each write is atomic."""
    filesystem = _s3()
    filesystem.pipe({f"{root.removeprefix('s3://').rstrip('/')}/{name}": content for name, content in files.items()})


def get_objects(uris: Sequence[str]) -> list[bytes]:
    """Read whole objects by s3:// URIs, many at a time, with one request per object and none for sizes."""
    paths = [uri.removeprefix("s3://") for uri in uris]
    contents: list[bytes] = _s3().cat_ranges(paths, None, None, on_error="raise", max_concurrency=1)
    return contents


def file_sizes(root: str, names: Sequence[str]) -> list[int | None]:
    """Return sizes in bytes of files below a folder or an s3:// URI; None for missing files."""
    filesystem, folder = arrow_filesystem(root)
    paths = [f"{folder}/{name}" for name in names]
    if not root.startswith("s3://"):
        return [info.size for info in filesystem.get_file_info(paths)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda path: filesystem.get_file_info([path])[0].size, paths))


def put_file(root: str, name: str, content: bytes) -> None:
    """Write a file below a folder, which is created, or below an s3:// URI, with one request."""
    if root.startswith("s3://"):
        put_objects(root, {name: content})
        return
    filesystem, folder = arrow_filesystem(root)
    path = f"{folder}/{name}"
    filesystem.create_dir(path.rpartition("/")[0], recursive=True)
    with filesystem.open_output_stream(path) as stream:
        stream.write(content)


def put_path(root: str, name: str, path: Path) -> None:
    """Copy a local file to a folder or an s3:// URI, atomically."""
    if root.startswith("s3://"):
        _s3().put_file(str(path), f"{root.removeprefix('s3://').rstrip('/')}/{name}")
        return
    target = Path(root.removeprefix("file://")) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as draft:
        shutil.copyfile(path, draft)


def put_once(uri: str, content: bytes) -> None:
    """Write an object to S3 in one attempt, so that an unreachable server is known at once."""
    config = {"retries": {"max_attempts": 0}, "connect_timeout": 5, "read_timeout": 10}
    import fsspec  # Imported here: a lake in a local folder does without.

    fsspec.filesystem("s3", use_listings_cache=False, config_kwargs=config).pipe_file(uri, content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` if the block succeeds, and is removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
