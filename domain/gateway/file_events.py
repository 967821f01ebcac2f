"""Events about files that have landed, in the formats of object stores and CloudEvents, as addresses of files.

Formats: S3 notifications (AWS; MinIO wraps them), Amazon EventBridge, SeaweedFS filer webhooks, CloudEvents whose data
is one of these or names `uri` or `uris`, and plain documents that do; all of them also in envelopes of Amazon SNS and
SQS. The event by which S3 tests a new notification names no file.
"""

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from domain.errors import RequestError
from domain.gateway.kept_text import abridged, text_problem

__all__ = ["FileEvent", "check_event", "file_events", "is_input"]

_TEMPORARY = ("*.tmp", "*.part", "*.partial", "*.crdownload", "*.filepart", "*~", "*._COPYING_", "*.inprogress")
_MOST_DEPTH = 3


@dataclass(frozen=True)
class FileEvent:
    """A file that was written. version : of its content, as far as the sender knows one."""

    uri: str
    version: str = ""


def check_event(event: FileEvent) -> FileEvent:
    """Return the event if it can be recorded. Raises RequestError with the limit that its texts exceed."""
    for text in (event.uri, event.version):
        if problem := text_problem(text):
            kind = "the address" if text is event.uri else "the version"
            raise RequestError(f"{abridged(event.uri)}: {kind} of the file cannot be recorded: {problem}")
    return event


def file_events(document: object, depth: int = 0) -> list[FileEvent]:
    """Return the files that a document reports as written, without deleted files and folders.

    Raises
    ------
    RequestError
        If the document has no known format.
    """
    if not isinstance(document, Mapping):
        raise RequestError("the body is no JSON object with events; see docs/gateway.md for the formats")
    events = _events(document, depth)
    if events is None:
        keys = abridged(", ".join(sorted(map(str, document))[:8])) or "nothing"
        raise RequestError(
            f"the body has {keys}, which is no format that is known: S3 `Records`, EventBridge `detail`, SeaweedFS "
            "`key`, CloudEvents, or `uri` or `uris`"
        )
    return list(dict.fromkeys(event for event in events if not event.uri.endswith("/")))


def _events(document: Mapping[str, Any], depth: int) -> list[FileEvent] | None:
    if document.get("Event") == "s3:TestEvent":
        return []
    messages = _enclosed(document)
    if messages is not None:
        return [event for message in messages for event in _enclosed_events(message, depth)]
    if isinstance(document.get("Records"), list):
        return [event for record in document["Records"] for event in _s3_event(record)]
    if isinstance(document.get("detail"), Mapping) and "detail-type" in document:
        return list(_bridge_event(document))
    if "specversion" in document and depth < _MOST_DEPTH:
        return _cloud_event(document, depth)
    if isinstance(document.get("uris"), list):
        version = _version(document, "version")
        return [FileEvent(_text(uri, f"uris.{number}"), version) for number, uri in enumerate(document["uris"])]
    if isinstance(document.get("uri"), str):
        return [FileEvent(document["uri"], _version(document, "version", "etag"))]
    if isinstance(document.get("key"), str):
        return list(_seaweed_event(document))
    return None


def _enclosed(document: Mapping[str, Any]) -> list[object] | None:
    """Return the messages in an envelope of SNS or SQS; None for any other document."""
    if isinstance(document.get("Message"), str) and "TopicArn" in document:
        # To confirm a subscription is for the owner of the topic: the address in it could be anyone's.
        return [document["Message"]] if document.get("Type", "Notification") == "Notification" else []
    if isinstance(document.get("Messages"), list):
        return [message.get("Body") for message in document["Messages"] if isinstance(message, Mapping)]
    records = document.get("Records")
    if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
        return None
    # As functions get them: SQS and SNS write the name of the source differently.
    sources = {str(record.get("eventSource") or record.get("EventSource") or "") for record in records}
    if sources == {"aws:sqs"}:
        return [record.get("body") for record in records]
    if sources == {"aws:sns"}:
        return [record.get("Sns") for record in records]
    return None


def _enclosed_events(message: object, depth: int) -> list[FileEvent]:
    """Return the files of a message in an envelope, which is JSON as text, or an envelope itself."""
    if depth >= _MOST_DEPTH:
        raise RequestError(f"the envelopes of SNS and SQS are more than {_MOST_DEPTH} deep")
    try:
        document = json.loads(message) if isinstance(message, str) else message
    except (ValueError, RecursionError) as exc:
        raise RequestError("the message in an envelope of SNS or SQS is no JSON text") from exc
    return file_events(document, depth + 1)


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{field}: {abridged(str(value))} is not a text; give an address of a file")
    return value


def _version(document: Mapping[str, Any], *names: str) -> str:
    """Return the first version that a document has; numbers are as good as texts."""
    value = next((document[name] for name in names if document.get(name)), "")
    if not isinstance(value, str | int | float):
        raise RequestError(f"{names[0]}: {abridged(str(value))} is not a text")
    return str(value)


def _s3_event(record: object) -> Iterator[FileEvent]:
    """Yield the file of a record of AWS S3 or MinIO, whose keys are form-encoded."""
    try:
        name, s3 = str(record["eventName"]), record["s3"]  # type: ignore[index]
        bucket, thing = _text(s3["bucket"]["name"], "bucket.name"), s3["object"]
        key = unquote_plus(_text(thing["key"], "object.key"))
    except (KeyError, TypeError, IndexError) as exc:
        raise RequestError(f"a record of the S3 notification lacks {abridged(str(exc))}") from exc
    if name.removeprefix("s3:").startswith("ObjectCreated:"):
        yield FileEvent(f"s3://{bucket}/{key}", _version(thing, "versionId", "eTag"))


def _bridge_event(document: Mapping[str, Any]) -> Iterator[FileEvent]:
    """Yield the file of an event of Amazon EventBridge, whose keys are plain."""
    try:
        bucket, thing = _text(document["detail"]["bucket"]["name"], "bucket.name"), document["detail"]["object"]
        key = _text(thing["key"], "object.key")
    except (KeyError, TypeError, IndexError) as exc:
        raise RequestError(f"the EventBridge event lacks {abridged(str(exc))}") from exc
    if document["detail-type"] == "Object Created":
        yield FileEvent(f"s3://{bucket}/{key}", _version(thing, "version-id", "etag"))


def _seaweed_event(document: Mapping[str, Any]) -> Iterator[FileEvent]:
    """Yield the file of an event of SeaweedFS: its buckets lie below /buckets/, and hidden paths are its own."""
    kind = str(document.get("event_type") or document.get("eventType") or "create")
    message = document.get("message")
    entry = message.get("new_entry") or message.get("newEntry") if isinstance(message, Mapping) else None
    path = document["key"]
    if isinstance(message, Mapping) and isinstance(entry, Mapping) and message.get("new_parent_path"):
        parent, name = _text(message["new_parent_path"], "new_parent_path"), _text(entry.get("name", ""), "name")
        path = f"{parent.rstrip('/')}/{name}"
    folder = isinstance(entry, Mapping) and bool(entry.get("is_directory") or entry.get("isDirectory"))
    if not path.startswith("/buckets/") or folder or kind not in ("create", "update", "rename"):
        return
    attributes = entry.get("attributes") if isinstance(entry, Mapping) else None
    version = _version(attributes, "md5", "mtime") if isinstance(attributes, Mapping) else ""
    yield FileEvent(f"s3://{path.removeprefix('/buckets/')}", version)


def _cloud_event(document: Mapping[str, Any], depth: int) -> list[FileEvent]:
    kind, data = str(document.get("type", "")), document.get("data")
    if any(word in kind.lower() for word in ("deleted", "removed", "delete")):
        return []
    if isinstance(data, Mapping) and (events := _events(data, depth + 1)) is not None:
        return events
    subject = document.get("subject")
    if isinstance(subject, str) and "://" in subject:
        return [FileEvent(subject)]
    raise RequestError(
        "the CloudEvent names no file: give data.uri, data.uris, an S3 notification, or a uri as subject"
    )


def is_input(uri: str, include: Sequence[str]) -> bool:
    """Return True for a file to score: neither hidden nor in progress, and with a name that matches a pattern."""
    *folders, name = uri.split("/")
    if name.startswith((".", "_")) or any(folder.startswith(".") and folder.strip(".") for folder in folders):
        return False
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in _TEMPORARY):
        return False
    return not include or any(fnmatch.fnmatchcase(name, pattern) for pattern in include)
