"""Files that clients of the gateway have sent, in the lake below `_uploads/`, addressed by their content."""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.lake.errors import unusable
from adapters.lake.files import STORAGE_ERRORS, arrow_filesystem, file_sizes, files_below, put_path
from adapters.lake.table import Lake
from domain.errors import LakeError, RequestError

__all__ = [
    "SCHEME",
    "Uploaded",
    "check_name",
    "delete_upload",
    "keep_upload",
    "place_of",
    "uploads_before",
    "uploads_of",
]

SCHEME = "upload://"
_NAME = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}(\.(csv|jsonl|ndjson)(\.gz)?|\.parquet|\.pq|\.xlsx|\.xlsm|\.xls|\.ods)"
)
_ADDRESS = re.compile(rf"{SCHEME}(?P<sha>[0-9a-f]{{64}})/(?P<name>{_NAME.pattern})")


@dataclass(frozen=True)
class Uploaded:
    """A stored upload. uri : the address by which a job names it."""

    uri: str
    bytes: int
    sha256: str


def check_name(name: str) -> str:
    """Return a file name unchanged. Raises RequestError if it has no known extension, or contains a path."""
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"name: {name!r}: give a plain file name that ends with .csv, .jsonl or .ndjson, also with .gz, "
            "or .parquet, .pq, .xlsx, .xlsm, .xls or .ods, of at most 100 letters, digits, dots, dashes and underscores"
        )
    return name


def keep_upload(lake: Lake, fleet: str, name: str, content: Path) -> Uploaded:
    """Store a file completely or not at all. An upload with the same content and name exists once and is not replaced.

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
    """Return the location of an upload. Raises RequestError for a text that is not the address of an upload."""
    address = _ADDRESS.fullmatch(uri)
    if address is None:
        raise RequestError(f"{uri}: not the address of an upload, which is {SCHEME}SHA256/NAME")
    return f"{uploads_of(lake, fleet)}/{address['sha']}/{address['name']}"


def uploads_before(lake: Lake, fleet: str, before: datetime) -> list[str]:
    """Return the addresses of a fleet's uploads whose files are older than a time. Raises LakeError."""
    root = uploads_of(lake, fleet)
    with unusable(root, "read"):
        files = [file for file in files_below(root) if datetime.fromtimestamp(file.modified, UTC) < before]
    uris = (f"{SCHEME}{'/'.join(file.uri.rsplit('/', 2)[-2:])}" for file in files)
    return [uri for uri in uris if _ADDRESS.fullmatch(uri)]


def delete_upload(lake: Lake, fleet: str, uri: str) -> None:
    """Delete the file of an upload, if it is there. Raises LakeError."""
    place = place_of(lake, fleet, uri)
    with unusable(place, "written"), suppress(FileNotFoundError):
        filesystem, path = arrow_filesystem(place)
        filesystem.delete_file(path)
