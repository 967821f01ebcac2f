"""Write files and folders that only their owner may read: secrets, logs, databases."""

import os
import stat
import tempfile
from pathlib import Path

__all__ = ["make_private", "private_folder", "private_opener", "write_private"]

_OTHERS_READ_WRITE = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
_OTHERS_ENTER = stat.S_IXGRP | stat.S_IXOTH


def private_opener(path: str, flags: int) -> int:
    """Open a file so that a new one has mode 0600 whatever the umask; for `open(..., opener=private_opener)`."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 atomically; it replaces an older one that others could read."""
    # A random name, made exclusively: neither a leftover nor a link of somebody else is written through.
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(draft, path)  # noqa: PTH105
    except BaseException:
        os.unlink(draft)  # noqa: PTH108
        raise


def make_private(file: Path) -> None:
    """Create an empty file with mode 0600, or take the rights of others from an existing one."""
    os.close(os.open(file, os.O_RDONLY | os.O_CREAT, 0o600))
    _restrict(file, 0o600)


def private_folder(folder: Path, *, others_enter: bool = False) -> None:
    """Create a folder of mode 0700, or tighten an existing one with all that is in it.

    others_enter : allow other accounts to pass through to a subfolder that belongs to them (mode 0711); they can
        still neither list nor read what is here.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = stat.S_IMODE(folder.stat().st_mode)
    # Once tightened, everything below is written privately: no need to walk through it at every start.
    if mode & _OTHERS_READ_WRITE:
        _restrict_below(folder)
    folder.chmod(0o711 if others_enter else 0o700)


def _restrict_below(folder: Path) -> None:
    for parent, folders, files in os.walk(folder):
        for name in files:
            _restrict(Path(parent, name), 0o700)
        for name in folders:
            _restrict(Path(parent, name), 0o700 | _OTHERS_ENTER)


def _restrict(path: Path, allowed: int) -> None:
    """Take all bits but the allowed ones from what is not a link."""
    mode = path.lstat().st_mode
    if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & ~allowed:
        path.chmod(stat.S_IMODE(mode) & allowed)
