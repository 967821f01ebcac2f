"""Registration through MLflow's public API, one model at a time: works with every store and server."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from adapters.registry.mlflow_client import is_error
from adapters.registry.runs import quoted
from adapters.registry.types import FINGERPRINT_TAG, Pending, Registration, StoredVersion, sorted_by_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_MODELS_PER_PAGE = 1000  # MLflow's limit
_QUERY_CHARS = 3000  # names travel in the request line, which proxies limit to 8 kB


class ApiStore:
    """Version store on MLflow's public API; it registers one model at a time.

    Concurrent writers: the API has no conditional insert, so each writer searches again after it has created its
    versions. MLflow numbers versions consecutively, so the later writer always sees the version of the earlier one; it
    deletes its own version and returns the earlier one. A writer killed in between leaves duplicates, which the next
    run of the bucket removes.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client

    def versions(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """See VersionStore."""
        known: dict[str, dict[str, int]] = {}
        for stored in self.stored(names):
            known.setdefault(stored.name, {}).setdefault(stored.fingerprint, stored.version)
        return known

    def stored(self, names: Sequence[str]) -> list[StoredVersion]:
        """See VersionStore."""
        versions = [
            StoredVersion(
                name=item.name,
                version=int(item.version),
                fingerprint=item.tags[FINGERPRINT_TAG],
                source=item.source or "",
                run_id=item.run_id or "",
                made_ms=item.creation_timestamp,
            )
            for item in self._search(names)
            if FINGERPRINT_TAG in item.tags
        ]
        return sorted(versions, key=lambda item: (item.name, item.version))

    def aliases(self, alias: str, tag: tuple[str, str], names: Sequence[str]) -> dict[str, int]:
        """See VersionStore."""
        aliased: dict[str, int] = {}
        seen: set[str] = set()
        filter_string, token = f"tags.`{tag[0]}` = {quoted(tag[1])}", None
        while token != "":
            page = self._client.search_registered_models(filter_string, max_results=_MODELS_PER_PAGE, page_token=token)
            seen.update(model.name for model in page)
            aliased |= {model.name: int(model.aliases[alias]) for model in page if alias in model.aliases}
            token = page.token or ""
        others = {name: self._alias(name, alias) for name in sorted(set(names) - seen)}
        return aliased | {name: version for name, version in others.items() if version is not None}

    def register(self, pending: Sequence[Pending]) -> list[Registration]:
        """See VersionStore."""
        existing = self._by_name(pending)
        done: dict[str, Registration] = {}
        made: dict[str, ModelVersion] = {}
        for item in sorted_by_name(pending):
            versions = _with_fingerprint(existing.get(item.name, []), item.fingerprint)
            if versions:
                self._delete_unaliased(versions[1:])
                done[item.name] = Registration(item.name, int(versions[0].version), created=False)
            else:
                made[item.name] = self._create(item, new=item.name not in existing)
        done |= self._settle([item for item in pending if item.name in made], made)
        return [done[item.name] for item in pending]

    def set_alias(self, alias: str, versions: Mapping[str, int]) -> int:
        """See VersionStore; stops at the first version that does not exist, and names before it stay changed."""
        changed = 0
        for name, version in sorted(versions.items()):
            if self._alias(name, alias) != version:
                self._client.set_registered_model_alias(name, alias, str(version))
                changed += 1
        return changed

    def delete_alias(self, alias: str, names: Sequence[str]) -> int:
        """See VersionStore."""
        aliased = [name for name in sorted(set(names)) if self._alias(name, alias) is not None]
        for name in aliased:
            self._client.delete_registered_model_alias(name, alias)
        return len(aliased)

    def _by_name(self, pending: Sequence[Pending]) -> "dict[str, list[ModelVersion]]":
        """Return all live versions of the models to register, by name."""
        by_name: dict[str, list[ModelVersion]] = {}
        for version in self._search([item.name for item in pending]):
            by_name.setdefault(version.name, []).append(version)
        return by_name

    def _create(self, item: Pending, new: bool) -> "ModelVersion":
        if new:
            self._create_model(item)
        return self._client.create_model_version(
            *(item.name, item.source, item.run_id),
            tags=dict(item.tags),
            description=item.description,
            await_creation_for=0,  # A version in SQL is ready at once; waiting would send a request and log a line.
        )

    def _settle(self, pending: Sequence[Pending], made: "Mapping[str, ModelVersion]") -> dict[str, Registration]:
        """Decide for each new version whether it stays, or gives way to that of a writer that came first."""
        seen = self._by_name(pending) if pending else {}
        done: dict[str, Registration] = {}
        for item in pending:
            own = int(made[item.name].version)
            first, *later = _with_fingerprint(seen.get(item.name, []), item.fingerprint) or [made[item.name]]
            if int(first.version) != own:
                self._delete_unaliased([version for version in later if int(version.version) == own])
            done[item.name] = Registration(item.name, int(first.version), created=int(first.version) == own)
        return done

    def _create_model(self, item: Pending) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(item.name, dict(item.model_tags), item.description)
        except MlflowException as exc:
            if not is_error(exc, "RESOURCE_ALREADY_EXISTS"):
                raise

    def _delete_unaliased(self, duplicates: "Sequence[ModelVersion]") -> None:
        """Delete duplicates of a fingerprint, except those that an alias points at."""
        from mlflow.exceptions import MlflowException

        for duplicate in duplicates:
            try:
                current = self._client.get_model_version(duplicate.name, duplicate.version)
                if not current.aliases:
                    self._client.delete_model_version(duplicate.name, duplicate.version)
            except MlflowException as exc:  # Another writer removed it first.
                if not is_error(exc, "RESOURCE_DOES_NOT_EXIST"):
                    raise

    def _alias(self, name: str, alias: str) -> int | None:
        """Return the version that the alias points at; None without an alias or without such a model."""
        from mlflow.exceptions import MlflowException

        try:
            version = self._client.get_registered_model(name).aliases.get(alias)
        except MlflowException as exc:
            if not is_error(exc, "RESOURCE_DOES_NOT_EXIST"):
                raise
            return None
        return None if version is None else int(version)

    def _search(self, names: Sequence[str]) -> "Iterator[ModelVersion]":
        """Yield all versions of these names, except deleted ones."""
        for listing in _listings(names):
            token: str | None = None
            while token != "":
                page = self._client.search_model_versions(f"name IN ({listing})", page_token=token)
                yield from page
                token = page.token or ""


def _with_fingerprint(versions: "Sequence[ModelVersion]", fingerprint: str) -> "list[ModelVersion]":
    """Return the versions that have this fingerprint, the oldest first."""
    same = [version for version in versions if version.tags.get(FINGERPRINT_TAG) == fingerprint]
    return sorted(same, key=lambda version: int(version.version))


def _listings(names: Sequence[str]) -> Iterator[str]:
    """Yield lists of quoted names, separated by commas, each short enough for one request line."""
    listing = ""
    for name in sorted(set(names)):
        listing = f"{listing}, {quoted(name)}" if listing else quoted(name)
        if len(listing) > _QUERY_CHARS:
            yield listing
            listing = ""
    if listing:
        yield listing
