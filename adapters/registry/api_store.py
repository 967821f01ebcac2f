"""Registration by MLflow's public API: any store, any server, one model after another."""

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
    """One model after another.

    Two writers at once: the API has no conditional insert, so each looks again after it made its versions. MLflow
    numbers versions one by one, hence the later writer always sees the earlier one's; it deletes its own and returns
    the earlier. A writer killed in between leaves doubles that the next run of the bucket removes.
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
            twins = _twins(existing.get(item.name, []), item.fingerprint)
            if twins:
                self._drop(twins[1:])
                done[item.name] = Registration(item.name, int(twins[0].version), created=False)
            else:
                made[item.name] = self._make(item, new=item.name not in existing)
        done |= self._settle([item for item in pending if item.name in made], made)
        return [done[item.name] for item in pending]

    def set_alias(self, alias: str, versions: Mapping[str, int]) -> int:
        """See VersionStore; stops at the first version that does not exist, the names before it stay changed."""
        changed = 0
        for name, version in sorted(versions.items()):
            if self._alias(name, alias) != version:
                self._client.set_registered_model_alias(name, alias, str(version))
                changed += 1
        return changed

    def delete_alias(self, alias: str, names: Sequence[str]) -> int:
        """See VersionStore."""
        having = [name for name in sorted(set(names)) if self._alias(name, alias) is not None]
        for name in having:
            self._client.delete_registered_model_alias(name, alias)
        return len(having)

    def _by_name(self, pending: Sequence[Pending]) -> "dict[str, list[ModelVersion]]":
        """All live versions of these names."""
        by_name: dict[str, list[ModelVersion]] = {}
        for version in self._search([item.name for item in pending]):
            by_name.setdefault(version.name, []).append(version)
        return by_name

    def _make(self, item: Pending, new: bool) -> "ModelVersion":
        if new:
            self._make_model(item)
        return self._client.create_model_version(
            *(item.name, item.source, item.run_id),
            tags=dict(item.tags),
            description=item.description,
            await_creation_for=0,  # A SQL registry's version is ready at once; waiting asks once more and logs a line.
        )

    def _settle(self, pending: Sequence[Pending], made: "Mapping[str, ModelVersion]") -> dict[str, Registration]:
        """Which versions stand of those that were made: another writer's, where it was first."""
        seen = self._by_name(pending) if pending else {}
        done: dict[str, Registration] = {}
        for item in pending:
            own = int(made[item.name].version)
            first, *later = _twins(seen.get(item.name, []), item.fingerprint) or [made[item.name]]
            if int(first.version) != own:
                self._drop([twin for twin in later if int(twin.version) == own])
            done[item.name] = Registration(item.name, int(first.version), created=int(first.version) == own)
        return done

    def _make_model(self, item: Pending) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(item.name, dict(item.model_tags), item.description)
        except MlflowException as exc:
            if not is_error(exc, "RESOURCE_ALREADY_EXISTS"):
                raise

    def _drop(self, doubles: "Sequence[ModelVersion]") -> None:
        """Delete doubles of a fingerprint that no alias has come to use."""
        from mlflow.exceptions import MlflowException

        for double in doubles:
            try:
                current = self._client.get_model_version(double.name, double.version)
                if not current.aliases:
                    self._client.delete_model_version(double.name, double.version)
            except MlflowException as exc:  # Another writer removed it first.
                if not is_error(exc, "RESOURCE_DOES_NOT_EXIST"):
                    raise

    def _alias(self, name: str, alias: str) -> int | None:
        """The version that the alias points at; None as well for a name that is not registered."""
        from mlflow.exceptions import MlflowException

        try:
            version = self._client.get_registered_model(name).aliases.get(alias)
        except MlflowException as exc:
            if not is_error(exc, "RESOURCE_DOES_NOT_EXIST"):
                raise
            return None
        return None if version is None else int(version)

    def _search(self, names: Sequence[str]) -> "Iterator[ModelVersion]":
        """All versions of these names, newest or not, that are not deleted."""
        for listing in _listings(names):
            token: str | None = None
            while token != "":
                page = self._client.search_model_versions(f"name IN ({listing})", page_token=token)
                yield from page
                token = page.token or ""


def _twins(versions: "Sequence[ModelVersion] | Iterator[ModelVersion]", fingerprint: str) -> "list[ModelVersion]":
    same = [version for version in versions if version.tags.get(FINGERPRINT_TAG) == fingerprint]
    return sorted(same, key=lambda version: int(version.version))


def _listings(names: Sequence[str]) -> Iterator[str]:
    """Quoted names joined by commas, each text short enough for one request line."""
    listing = ""
    for name in sorted(set(names)):
        listing = f"{listing}, {quoted(name)}" if listing else quoted(name)
        if len(listing) > _QUERY_CHARS:
            yield listing
            listing = ""
    if listing:
        yield listing
