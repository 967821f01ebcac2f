"""Check that other accounts of this machine can read neither secrets nor state, and write nothing."""

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from adapters.settings import TLS_FILES, Settings
from domain.checks.health import Check

_NAMED = 3
_SECRET_FILES = ("var/gateway/secret", "var/stack/env", ".env")
_STATE_FOLDERS = ("var/gateway", "var/run", "var/stack")
"""Folders with keys, jobs, logs and records of processes; their own files are checked, not all that lies below.

MLflow's database is no more secret than the tables: it counts as data.
"""


def private_files(settings: Settings) -> Iterator[Check]:
    """Check the modes of secrets, of the files that hold state, and of the data below var/."""
    secrets = [settings.path(name) for name in _SECRET_FILES]
    if settings.tls_folder is not None:
        secrets += [settings.tls_folder / name for name in TLS_FILES if name.startswith("key")]
    state = [path for name in _STATE_FOLDERS for path in _files(settings.path(name))]
    yield _check("secrets", [path for path in secrets if path.is_file()])
    yield _check("state", [path for path in state if path not in secrets])
    yield from _folder(settings.path("var"))


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check(name: str, paths: list[Path]) -> Check:
    open_paths = [path for path in paths if _open_to_others(path)]
    if not open_paths:
        state = f"{len(paths)} files, their owner's alone" if paths else "no files"
        return Check("files", name, "ok" if paths else "unused", state)
    modes = [f"{path} has mode {stat.S_IMODE(path.stat().st_mode):04o}" for path in open_paths[:_NAMED]]
    more = f" and {len(open_paths) - _NAMED} more" if len(open_paths) > _NAMED else ""
    way_out = f"chmod 600 {shlex.join(map(str, open_paths))}"
    return Check("files", name, "failed", ", ".join(modes) + more, way_out)


def _folder(folder: Path) -> Iterator[Check]:
    """Check the folder of all data: not to be written by others; to be read by them only if that is meant."""
    if not folder.is_dir():
        yield Check("files", "data", "unused", f"{folder} does not exist")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    state = f"{folder} has mode {mode:04o}"
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Check("files", "data", "failed", f"{state}: other accounts can replace it", f"chmod 700 {folder}")
    elif mode & (stat.S_IRGRP | stat.S_IROTH):
        way_out = f"chmod 700 {folder}, unless other accounts are to read tables and reports"
        yield Check("files", "data", "warning", f"{state}: other accounts can read it", way_out)
    else:
        yield Check("files", "data", "ok", state)


def _open_to_others(path: Path) -> bool:
    """Return True if others have rights on the file and may enter every folder above it."""
    if not stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        return False
    return all(stat.S_IMODE(folder.stat().st_mode) & (stat.S_IXGRP | stat.S_IXOTH) for folder in path.parents)
