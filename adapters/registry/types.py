"""Types that enter and leave the registry; independent of MLflow."""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.errors import RegistryError

FINGERPRINT_TAG = "myriad.fingerprint"
MAX_TEXT_CHARS = 5000  # registered_model_tags.value and both description columns
MAX_NAME_CHARS = 256
_MAX_KEY_CHARS = 250
_NOT_IN_KEYS = re.compile(r"[^/\w.\- :]")
MAX_KEY_CHARS = 250
MAX_SOURCE_CHARS = 500
_NAME = re.compile(r"[\w.\-]+")


@dataclass(frozen=True)
class ModelEntry:
    """Model of a segment, ready to be registered.

    Parameters
    ----------
    name : str
        Name of the registered model, such as ``m3.n1402``.
    onnx : bytes
        The graph.
    fingerprint : str
        Identity of the version; added to the tags as `FINGERPRINT_TAG`.
    tags : mapping of str to str
        Tags of this version.
    description : str
        Description of the version, and of the registered model when it is created.
    model_tags : mapping of str to str
        Tags of the registered model, which hold for every version (fleet, segment columns); set when the registered
        model is created and never changed afterwards.
    record : str
        Text that `Registry.fetch` returns, stored in the MLmodel file; empty for none.
    version : int
        Number of the version before its registration was lost, 0 for a new one. The bulk path assigns that number again
        if it is above all numbers of the name; MLflow's API assigns numbers itself.
    """

    name: str
    onnx: bytes
    fingerprint: str
    tags: Mapping[str, str]
    description: str
    model_tags: Mapping[str, str] = field(default_factory=dict)
    record: str = ""
    version: int = 0


@dataclass(frozen=True)
class Batch:
    """Models of a bucket, registered together, and the metrics of the bucket's run."""

    bucket: int
    entries: Sequence[ModelEntry]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class StoredVersion:
    """A live version that has a fingerprint. source : location of its files. made_ms : since the epoch."""

    name: str
    version: int
    fingerprint: str
    source: str
    run_id: str
    made_ms: int


@dataclass(frozen=True)
class FetchedModel:
    """Content of a version's files: the graph, and the record it was registered with."""

    onnx: bytes
    record: str


@dataclass(frozen=True)
class Registration:
    """Version of an entry; `created` is False if the fingerprint was a version already."""

    name: str
    version: int
    created: bool


@dataclass(frozen=True)
class Pending:
    """A version to create: its artifacts are stored at `source` already, its texts fit the registry's columns."""

    name: str
    fingerprint: str
    source: str
    run_id: str
    tags: Mapping[str, str]
    model_tags: Mapping[str, str]
    description: str
    version: int = 0


class VersionStore(Protocol):
    """Contract of the two ways into the registry's tables: in bulk, and through MLflow's public API."""

    def versions(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return version by fingerprint by name; deleted versions and those without a fingerprint are left out."""

    def stored(self, names: Sequence[str]) -> list[StoredVersion]:
        """Return live versions that have a fingerprint, ordered by name and number."""

    def aliases(self, alias: str, tag: tuple[str, str], names: Sequence[str]) -> dict[str, int]:
        """Return the version that `alias` points at, by name: for these names and all models with the tag."""

    def register(self, pending: Sequence[Pending]) -> list[Registration]:
        """Create a version of each new fingerprint; return the registrations in the order of `pending`."""

    def set_alias(self, alias: str, versions: Mapping[str, int]) -> int:
        """Point `alias` of each name at its version; return the number of aliases that changed."""

    def delete_alias(self, alias: str, names: Sequence[str]) -> int:
        """Remove `alias` from these names; return the number of aliases removed."""


def validate_entries(entries: Sequence[ModelEntry]) -> None:
    """Raise RegistryError for entries that no registry can store; an error of the caller, not of a segment."""
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise RegistryError(f"model {entry.name!r}: two entries in one bucket; give one a segment")
        seen.add(entry.name)
        if not _NAME.fullmatch(entry.name) or set(entry.name) == {"."} or len(entry.name) > MAX_NAME_CHARS:
            raise RegistryError(
                f"model {entry.name!r}: not a model name; use 1 to {MAX_NAME_CHARS} letters, digits, '.', '-', '_'"
            )
        if not 0 < len(entry.fingerprint) <= MAX_KEY_CHARS:
            raise RegistryError(
                f"model {entry.name!r}: a fingerprint has 1 to {MAX_KEY_CHARS} characters, not {len(entry.fingerprint)}"
            )
        _check_keys(entry)


def _check_keys(entry: ModelEntry) -> None:
    """Reject tag keys that do not fit, and a tag with the name of the fingerprint's tag."""
    if FINGERPRINT_TAG in entry.tags:
        raise RegistryError(f"model {entry.name!r}: tag {FINGERPRINT_TAG!r} is set by the registry; leave it out")
    for key in (*entry.tags, *entry.model_tags):
        if not 0 < len(key) <= MAX_KEY_CHARS:
            raise RegistryError(
                f"model {entry.name!r}: tag key {key[:40]!r} has {len(key)} characters; 1 to {MAX_KEY_CHARS} allowed"
            )


def pending(entry: ModelEntry, source: str, run_id: str) -> Pending:
    """Return the version to create of an entry; texts longer than `MAX_TEXT_CHARS` are cut and end in an ellipsis."""
    if len(source) > MAX_SOURCE_CHARS:
        raise RegistryError(
            f"model {entry.name!r}: source {source!r} has {len(source)} characters, {MAX_SOURCE_CHARS} allowed; "
            "shorten the artifact root"
        )
    return Pending(
        name=entry.name,
        fingerprint=entry.fingerprint,
        source=source,
        run_id=run_id,
        tags={**fitted(entry.tags), FINGERPRINT_TAG: entry.fingerprint},
        model_tags=fitted(entry.model_tags),
        description=_cut(entry.description),
        version=entry.version,
    )


def tag_key(name: str) -> str:
    """Return a key that the registry takes for a tag: the name itself where possible.

    In other names, such as those of columns like `store (nr)`, a `_` stands for each character that is not allowed, and
    a digest follows, so that two names never share a key.
    """
    allowed = _NOT_IN_KEYS.search(name) is None and posixpath.normpath(name) == name and not name.startswith("/")
    if allowed and len(name) <= _MAX_KEY_CHARS:
        return name
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    readable = _NOT_IN_KEYS.sub("_", name).replace("/", "_")
    return f"{readable[: _MAX_KEY_CHARS - len(digest) - 1]}-{digest}"


def fitted(tags: Mapping[str, str]) -> dict[str, str]:
    """Cut the values of tags to fit the registry: one long segment value must not stop a bucket."""
    return {key: _cut(value) for key, value in tags.items()}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def sorted_by_name(pending_versions: Iterable[Pending]) -> list[Pending]:
    """Sort by name, the same order for all writers, so that two of them never deadlock."""
    return sorted(pending_versions, key=lambda item: item.name)
