"""Open files of this machine: regular ones only, and for requests only those below the allowed folders.

A link is followed, but the rules hold for the place that it leads to. They are checked on the file that is open, so
that a link which changes in between gains nothing. The file systems of the kernel are refused even where the reader
has the right to them: `/proc/self/environ` is a regular file with the secrets of the process.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from domain.errors import SourceError

__all__ = ["check_location", "confined_to", "open_regular"]

_KERNEL = ("/proc", "/sys", "/dev")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - not a temporary file of ours; a file system for data, although below /dev
_roots: ContextVar[tuple[str, ...]] = ContextVar("roots", default=())


@contextmanager
def confined_to(roots: Sequence[str]) -> Iterator[None]:
    """Within the block, local files must lie at or below one of these folders after links are resolved; none: anywhere.

    Roots on other storages have no links, and are passed over; with no local root among them no local file is allowed.
    """
    token = _roots.set(tuple(roots))
    try:
        yield
    finally:
        _roots.reset(token)


def check_location(path: str) -> str:
    """Return the path with all links resolved.

    Raises SourceError if it is in a file system of the kernel, or outside the folders of `confined_to`.
    """
    real = os.path.realpath(path)
    if _below(real, _KERNEL) and not _below(real, (_SHARED_MEMORY,)):
        raise SourceError(f"{path}: not a data file: it is in a file system of the kernel; give a regular file")
    roots = _roots.get()
    local = [
        os.path.realpath(root.removeprefix("file://")) for root in roots if "://" not in root.removeprefix("file://")
    ]
    if roots and not _below(real, local):
        places = ", ".join(sorted({root.removeprefix("file://") for root in roots}))
        raise SourceError(f"{path}: leads to a place outside the allowed folders ({places}); put the file itself there")
    return real


def open_regular(path: str) -> BinaryIO:
    """Open a regular file to read it. A FIFO does not block, and a device is not touched any further.

    Raises SourceError for what is no regular file or lies where `check_location` forbids, and OSError.
    """
    check_location(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_open(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_open(path: str, opened: os.stat_result) -> None:
    if stat.S_ISDIR(opened.st_mode):
        raise IsADirectoryError(21, "is a folder", path)
    if not stat.S_ISREG(opened.st_mode) or opened.st_dev in _kernel_devices():
        raise SourceError(f"{path}: not a regular file, so that it has no data to read; remove it or give another path")
    # The name may lead elsewhere since the check, so the file that is open must be the one that it leads to now.
    now = os.lstat(check_location(path))
    if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino):
        raise SourceError(f"{path}: it was replaced while it was opened; run again when nobody writes it")


def _kernel_devices() -> set[int]:
    """Devices of the file systems of the kernel, wherever they are mounted a second time."""
    devices = set[int]()
    for folder in ("/proc", "/sys"):
        with suppress(OSError):
            devices.add(Path(folder).stat().st_dev)
    return devices - {Path("/").stat().st_dev}


def _below(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)
