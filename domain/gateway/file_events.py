"""Events that say a file has landed: what object stores and CloudEvents tell, as addresses of files.

Formats: S3 notifications (AWS; MinIO wraps them), Amazon EventBridge, SeaweedFS filer webhooks, CloudEvents whose data
is one of these or names `uri` or `uris`, and plain documents that do.
"""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from domain.errors import RequestError

__all__ = ["FileEvent", "file_events", "wanted"]

_TEMPORARY = ("*.tmp", "*.part", "*.partial", "*.crdownload", "*.filepart", "*~", "*._COPYING_", "*.inprogress")
_MOST_DEPTH = 3


@dataclass(frozen=True)
class FileEvent:
    """A file that was written. version : of its content, as far as the sender knows one."""

    uri: str
    version: str = ""


def file_events(document: object, depth: int = 0) -> list[FileEvent]:
    """The files that a document says were written; those that were deleted, and folders, are left out.

    Raises RequestError if it has no format that is known.
    """
    if not isinstance(document, Mapping):
        raise RequestError("the body is no JSON object with events; see docs/gateway.md for the formats")
    found = _of(document, depth)
    if found is None:
        keys = ", ".join(sorted(map(str, document))[:8]) or "nothing"
        raise RequestError(
            f"the body has {keys}, which is no format that is known: S3 `Records`, EventBridge `detail`, SeaweedFS "
            "`key`, CloudEvents, or `uri` or `uris`"
        )
    return list(dict.fromkeys(event for event in found if not event.uri.endswith("/")))


def _of(document: Mapping[str, Any], depth: int) -> list[FileEvent] | None:
    if isinstance(document.get("Records"), list):
        return [event for record in document["Records"] for event in _record(record)]
    if isinstance(document.get("detail"), Mapping) and "detail-type" in document:
        return list(_bridge(document))
    if "specversion" in document and depth < _MOST_DEPTH:
        return _cloud_event(document, depth)
    if isinstance(document.get("uris"), list):
        return [FileEvent(str(uri), str(document.get("version", ""))) for uri in document["uris"]]
    if isinstance(document.get("uri"), str):
        return [FileEvent(document["uri"], str(document.get("version") or document.get("etag") or ""))]
    if isinstance(document.get("key"), str):
        return list(_seaweed(document))
    return None


def _record(record: object) -> Iterator[FileEvent]:
    """AWS S3 and MinIO. Keys are form-encoded there, and names end with an ETag of the content."""
    try:
        name, s3 = str(record["eventName"]), record["s3"]  # type: ignore[index]
        bucket, thing = s3["bucket"]["name"], s3["object"]
        key = unquote_plus(thing["key"])
    except (KeyError, TypeError) as exc:
        raise RequestError(f"a record of the S3 notification lacks {exc}") from exc
    if name.removeprefix("s3:").startswith("ObjectCreated:"):
        yield FileEvent(f"s3://{bucket}/{key}", str(thing.get("versionId") or thing.get("eTag") or ""))


def _bridge(document: Mapping[str, Any]) -> Iterator[FileEvent]:
    """Amazon EventBridge. Keys are plain there."""
    try:
        bucket, thing = document["detail"]["bucket"]["name"], document["detail"]["object"]
        key = thing["key"]
    except (KeyError, TypeError) as exc:
        raise RequestError(f"the EventBridge event lacks {exc}") from exc
    if document["detail-type"] == "Object Created":
        yield FileEvent(f"s3://{bucket}/{key}", str(thing.get("version-id") or thing.get("etag") or ""))


def _seaweed(document: Mapping[str, Any]) -> Iterator[FileEvent]:
    """SeaweedFS: paths of the filer, whose buckets lie below /buckets/; hidden ones are its own."""
    kind = str(document.get("event_type") or document.get("eventType") or "create")
    message = document.get("message")
    entry = message.get("new_entry") or message.get("newEntry") if isinstance(message, Mapping) else None
    path = document["key"]
    if isinstance(message, Mapping) and isinstance(entry, Mapping) and message.get("new_parent_path"):
        path = f"{message['new_parent_path'].rstrip('/')}/{entry.get('name', '')}"
    folder = isinstance(entry, Mapping) and bool(entry.get("is_directory") or entry.get("isDirectory"))
    if not path.startswith("/buckets/") or folder or kind not in ("create", "update", "rename"):
        return
    attributes = entry.get("attributes") if isinstance(entry, Mapping) else None
    version = attributes.get("md5") or attributes.get("mtime") if isinstance(attributes, Mapping) else ""
    yield FileEvent(f"s3://{path.removeprefix('/buckets/')}", str(version or ""))


def _cloud_event(document: Mapping[str, Any], depth: int) -> list[FileEvent]:
    kind, data = str(document.get("type", "")), document.get("data")
    if any(word in kind.lower() for word in ("deleted", "removed", "delete")):
        return []
    if isinstance(data, Mapping) and (found := _of(data, depth + 1)) is not None:
        return found
    subject = document.get("subject")
    if isinstance(subject, str) and "://" in subject:
        return [FileEvent(subject)]
    raise RequestError(
        "the CloudEvent names no file: give data.uri, data.uris, an S3 notification, or a uri as subject"
    )


def wanted(uri: str, include: Sequence[str]) -> bool:
    """Whether a file is one to score: not hidden, not in progress, and with a name that one of the patterns has."""
    *folders, name = uri.split("/")
    if name.startswith((".", "_")) or any(folder.startswith(".") and folder.strip(".") for folder in folders):
        return False
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in _TEMPORARY):
        return False
    return not include or any(fnmatch.fnmatchcase(name, pattern) for pattern in include)
