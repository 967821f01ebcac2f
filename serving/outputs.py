"""Downloads of output: written once per content to a folder of limited size, read by a limited number at once."""

import hashlib
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from adapters.private_files import private_folder
from serving.problem_details import ProblemError

__all__ = ["CachedFile", "DownloadResponse", "OutputCache"]

Build = Callable[[Path, Callable[[], None]], object]
"""Writes the content to a path, and calls the second argument between its parts."""
_MOST_BUILDS = 4
_BUILD_WAIT_S = 20.0
_LEAST_FREE_BYTES = 1 << 30
_DRAFT, _STALE_DRAFT_S = ".draft", 3600.0


@dataclass(frozen=True)
class CachedFile:
    """A file of the cache, kept until `close`. etag : changes with the content."""

    path: Path
    etag: str
    close: Callable[[], None]


class OutputCache:
    """Files by content, the least recently read ones deleted first. Several gateways may share the folder.

    Parameters
    ----------
    folder : created with mode 0700.
    most_bytes : size of all files.
    most_readers : concurrent downloads of one reader, such as a link, an address or a client.
    """

    def __init__(self, folder: Path, most_bytes: int, most_readers: int = 4) -> None:
        self._folder, self._most_bytes, self._most_readers = folder, most_bytes, most_readers
        self._lock = threading.Lock()
        self._builds: dict[str, threading.Lock] = {}
        self._in_use, self._readers = Counter[str](), Counter[str]()
        self._building = threading.BoundedSemaphore(_MOST_BUILDS)

    def open(self, content: str, readers: tuple[str, ...], build: Build) -> CachedFile:
        """Return the file of a content, which is built if it is not there.

        Parameters
        ----------
        content : names it; the same name must mean the same bytes.
        readers : who reads; each of them has a limit.

        Raises
        ------
        ProblemError
            429 for too many downloads at once, 503 if the disk is nearly full.
        """
        name = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        self._enter(name, readers)
        try:
            path = self._present_or_built(name, build)
        except BaseException:
            self._leave(name, readers)
            raise
        return CachedFile(path, f'"{name}"', lambda: self._leave(name, readers))

    def _enter(self, name: str, readers: tuple[str, ...]) -> None:
        with self._lock:
            for reader in readers:
                if self._readers[reader] >= self._most_readers:
                    raise ProblemError(
                        429,
                        f"{self._most_readers} downloads of this client, link or address are in progress; wait for one",
                        headers={"Retry-After": "5"},
                    )
            self._readers.update(readers)
            self._in_use[name] += 1

    def _leave(self, name: str, readers: tuple[str, ...]) -> None:
        with self._lock:
            for counter, keys in ((self._readers, readers), (self._in_use, (name,))):
                counter.subtract(keys)
                for key in keys:
                    if counter[key] <= 0:
                        del counter[key]
            if name not in self._in_use:
                self._builds.pop(name, None)

    def _present_or_built(self, name: str, build: Build) -> Path:
        path = self._folder / name
        with self._lock:
            lock = self._builds.setdefault(name, threading.Lock())
        with lock:  # The second reader of an output waits for the first one, whose file it gets.
            with suppress(FileNotFoundError):
                os.utime(path)
                return path
            with self._build_slot():
                private_folder(self._folder)
                self._make_room()
                self._check_space()
                draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}{_DRAFT}")
                try:
                    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                    build(draft, self._check_space)
                    draft.chmod(0o600)
                    draft.replace(path)
                finally:
                    draft.unlink(missing_ok=True)
                self._make_room()
        return path

    @contextmanager
    def _build_slot(self) -> Iterator[None]:
        if not self._building.acquire(timeout=_BUILD_WAIT_S):
            problem = f"{_MOST_BUILDS} outputs are being written; ask again"
            raise ProblemError(429, problem, headers={"Retry-After": "10"})
        try:
            yield
        finally:
            self._building.release()

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < _LEAST_FREE_BYTES:
            problem = (
                f"the disk of the gateway has {free >> 20:,} MiB left, and {_LEAST_FREE_BYTES >> 20:,} are kept free"
            )
            raise ProblemError(503, problem, headers={"Retry-After": "60"})

    def _make_room(self) -> None:
        """Delete the files that were read longest ago, but for those that are being read here, until the rest fits."""
        files = sorted(self._files(), key=lambda file: file[1])
        total = sum(size for _, _, size in files)
        for path, modified, size in files:
            if total <= self._most_bytes:
                return
            if path.suffix == _DRAFT and time.time() - modified < _STALE_DRAFT_S:
                continue  # Another gateway writes it.
            with self._lock:
                if path.name in self._in_use:
                    continue
                path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                yield Path(entry.path), status.st_mtime, status.st_size


class DownloadResponse(FileResponse):
    """Sends a file of the cache, in ranges if asked, and gives it back in the end, however the transfer ends."""

    def __init__(self, file: CachedFile, media_type: str, filename: str) -> None:
        super().__init__(file.path, media_type=media_type, filename=filename, headers={"ETag": file.etag})
        self._close = file.close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()
