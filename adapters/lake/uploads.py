"""Files that clients of the gateway have sent, in the lake below `_uploads/`, under what they hold."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from adapters.lake.files import STORAGE_ERRORS, file_sizes, put_path
from adapters.lake.table import Lake
from domain.errors import LakeError, RequestError

__all__ = ["SCHEME", "Uploaded", "check_name", "keep_upload", "place_of", "uploads_of"]

SCHEME = "upload://"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}(\.csv|\.csv\.gz|\.parquet|\.pq)")
_ADDRESS = re.compile(rf"{SCHEME}(?P<sha>[0-9a-f]{{64}})/(?P<name>{_NAME.pattern})")


@dataclass(frozen=True)
class Uploaded:
    """uri : what a job names it with."""

    uri: str
    bytes: int
    sha256: str


def check_name(name: str) -> str:
    """Raises RequestError for a name that does not tell a format, or has more than a name."""
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"name: {name!r}: give a plain file name that ends with .csv, .csv.gz, .parquet or .pq, of at most 100 "
            "letters, digits, dots, dashes and underscores"
        )
    return name


def keep_upload(lake: Lake, fleet: str, name: str, content: Path) -> Uploaded:
    """Keep a file, whole or not at all. The same content under the same name is the same upload, and stays as it is.

    content : a local file. Raises RequestError for a name that `check_name` refuses.
    """
    check_name(name)
    with content.open("rb") as stream:
        sha = hashlib.file_digest(stream, "sha256").hexdigest()
    root, size = f"{uploads_of(lake, fleet)}/{sha}", content.stat().st_size
    try:
        if file_sizes(root, [name]) != [size]:
            put_path(root, name, content)
    except STORAGE_ERRORS as exc:
        raise LakeError(f"upload {name}: cannot be kept: {exc}") from exc
    return Uploaded(f"{SCHEME}{sha}/{name}", size, sha)


def uploads_of(lake: Lake, fleet: str) -> str:
    """Return the folder of a fleet's uploads."""
    return f"{lake.folder(fleet)}/_uploads"


def place_of(lake: Lake, fleet: str, uri: str) -> str:
    """Where an upload lies. Raises RequestError for an address that no upload has."""
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        raise RequestError(f"{uri}: not the address of an upload, which is {SCHEME}SHA256/NAME")
    return f"{uploads_of(lake, fleet)}/{found['sha']}/{found['name']}"
