"""The public face of the registry: trainings, buckets of models, aliases."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from adapters.registry.artifacts import Artifacts
from adapters.registry.direct_access import DirectAccess
from adapters.registry.mlflow_client import client, domain_errors, one_at_a_time, redacted
from adapters.registry.mlmodel import directory_name, model_directory
from adapters.registry.runs import FLEET_TAG, BucketRuns, Runs
from adapters.registry.types import (
    Batch,
    FetchedModel,
    ModelEntry,
    Registration,
    StoredVersion,
    VersionStore,
    checked,
    pending,
)
from domain.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Mode = Literal["auto", "bulk", "api"]
log = logging.getLogger(__name__)
_NOTHING = DirectAccess()


@dataclass(frozen=True)
class _Connection:
    runs: Runs
    store: VersionStore
    path: Literal["bulk", "api"]
    artifacts: Artifacts


@dataclass(frozen=True)
class _Begun:
    """A bucket whose files are being written."""

    batch: Batch
    runs: BucketRuns
    run: "Run"
    stored: Future[None]
    began: float


class Registry:
    """The registered models of an MLflow store.

    tracking_uri : a database URI (``sqlite:///...``, ``postgresql://...``) or a tracking server's address.
    artifact_root : where new experiments keep their files; None leaves it to MLflow, which on a database URI means
        ``./mlruns``. With a tracking server, give None, and the server's own setting rules.
    mode : ``auto`` writes the database in bulk where that is possible and else uses MLflow's public API; ``bulk``
        raises where it is not possible; ``api`` never writes the database itself.
    direct_access : database and files of a tracking server to which this process may write itself.

    The first call connects; on an empty SQLite file that makes MLflow's tables, which takes about a second. Objects
    may be pickled to workers: only the settings travel. Every method may be called again after a crash.
    All methods raise RegistryError.
    """

    def __init__(
        self,
        tracking_uri: str,
        artifact_root: str | None = None,
        mode: Mode = "auto",
        direct_access: DirectAccess = _NOTHING,
    ) -> None:
        self.tracking_uri = tracking_uri
        self.artifact_root = artifact_root
        self.mode: Mode = mode
        self.direct_access = direct_access

    def __reduce__(self) -> tuple[type["Registry"], tuple[str, str | None, Mode, DirectAccess]]:
        return type(self), (self.tracking_uri, self.artifact_root, self.mode, self.direct_access)

    def __repr__(self) -> str:
        return f"Registry({redacted(self.tracking_uri)!r}, {self.artifact_root!r}, {self.mode!r})"

    @property
    def path(self) -> Literal["bulk", "api"]:
        """Which of the two ways this registry takes; connects."""
        return self._connection.path

    def start_training(self, fleet: str, run_key: str, tags: Mapping[str, str]) -> str:
        """The id of the MLflow run of one training; the same one for the same fleet and `run_key`, now running."""
        connection = self._connection
        with domain_errors(f"cannot start training {run_key!r} of {fleet!r}"):
            return connection.runs.start(fleet, run_key, tags)

    def register_buckets(
        self, parent_run_id: str, batches: Iterable[Batch]
    ) -> Iterator[tuple[Batch, list[Registration]]]:
        """Store and register the models of buckets, each under a run of its own below `parent_run_id`.

        A fingerprint that already is a version of its name is returned as that version and nothing is stored for it.
        The files come first: a version never points at nothing. While those of one bucket are written, the versions of
        the one before are made. Results in the order of the batches and of their entries. A bucket may come again, with
        other models of the same names.
        """
        connection = self._connection
        with domain_errors(f"cannot find the runs of training {parent_run_id}"):
            runs = connection.runs.buckets(parent_run_id)
        with ThreadPoolExecutor(1, thread_name_prefix="store-models") as writer:
            before: _Begun | None = None
            for batch in batches:
                begun = self._begin(connection, runs, batch, writer)
                if before is not None:
                    yield before.batch, self._complete(connection, before)
                before = begun
            if before is not None:
                yield before.batch, self._complete(connection, before)

    def _begin(self, connection: _Connection, runs: BucketRuns, batch: Batch, writer: ThreadPoolExecutor) -> "_Begun":
        """Have the files of a bucket's new models written."""
        began = time.perf_counter()
        checked(batch.entries)
        with domain_errors(f"cannot register bucket {batch.bucket}"):
            run = runs.of(batch.bucket)
            known = connection.store.versions([entry.name for entry in batch.entries])
        new = [entry for entry in batch.entries if entry.fingerprint not in known.get(entry.name, {})]

        def store() -> None:
            run_id, started_ms = str(run.info.run_id), int(run.info.start_time)
            connection.runs.store(run, [model_directory(entry, run_id, started_ms) for entry in new])

        return _Begun(batch, runs, run, writer.submit(store), began)

    def _complete(self, connection: _Connection, begun: "_Begun") -> list[Registration]:
        """Make the versions of a bucket once its files are there."""
        batch, run = begun.batch, begun.run
        run_id, root = str(run.info.run_id), str(run.info.artifact_uri).rstrip("/")
        with domain_errors(f"cannot register bucket {batch.bucket}"):
            begun.stored.result()
            made = connection.store.register(
                [pending(entry, f"{root}/{directory_name(entry)}", run_id) for entry in batch.entries]
            )
            if batch.bucket not in begun.runs.ended:
                connection.runs.end(run, batch.metrics, failed=False)
                begun.runs.ended.add(batch.bucket)
        created = sum(registration.created for registration in made)
        log.info(
            "registered bucket=%d models=%d created=%d reused=%d path=%s in %.1f s",
            *(batch.bucket, len(made), created, len(made) - created, connection.path),
            time.perf_counter() - begun.began,
        )
        return made

    def finish_training(self, run_id: str, metrics: Mapping[str, float], failed: bool = False) -> None:
        """Log a training's figures and end its run."""
        connection = self._connection
        with domain_errors(f"cannot finish training run {run_id}"):
            connection.runs.finish(run_id, metrics, failed)

    def set_alias(self, alias: str, versions: Mapping[str, int]) -> int:
        """Point `alias` of each name at its version; how many were not there already.

        In bulk all of them change or none; by the API one after another, so that a repeated call completes it.
        """
        connection = self._connection
        with domain_errors(f"cannot set alias {alias!r}"):
            return connection.store.set_alias(alias, versions)

    def delete_alias(self, alias: str, names: Sequence[str]) -> int:
        """Remove `alias` from these names; how many had it."""
        connection = self._connection
        with domain_errors(f"cannot delete alias {alias!r}"):
            return connection.store.delete_alias(alias, names)

    def versions(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Version by fingerprint by name, of what this system registered; names without any are left out."""
        connection = self._connection
        with domain_errors(f"cannot list versions of {len(names)} models"):
            return connection.store.versions(names)

    def aliases(self, alias: str, fleet: str, names: Sequence[str]) -> dict[str, int]:
        """Where `alias` points, by name: of these names and of every model that is tagged as the fleet's."""
        connection = self._connection
        with domain_errors(f"cannot list aliases {alias!r} of {fleet!r}"):
            return connection.store.aliases(alias, (FLEET_TAG, fleet), names)

    def stored(self, names: Sequence[str]) -> list[StoredVersion]:
        """Live versions of these names that this system registered, by name and number."""
        connection = self._connection
        with domain_errors(f"cannot list versions of {len(names)} models"):
            return connection.store.stored(names)

    def incomplete(self, versions: Sequence[StoredVersion]) -> list[StoredVersion]:
        """Those versions whose files are not all there."""
        with domain_errors(f"cannot look for the files of {len(versions)} models"):
            return self._connection.artifacts.incomplete(versions)

    def put_back(self, lost: Sequence[tuple[StoredVersion, ModelEntry]]) -> None:
        """Write the missing files of versions again."""
        with domain_errors(f"cannot put the files of {len(lost)} models back"):
            self._connection.artifacts.put_back(lost)

    def fetch(self, version: StoredVersion) -> FetchedModel:
        """A version's graph, checked against its tag `sha256`, and the record that it was registered with."""
        connection = self._connection
        with domain_errors(f"cannot fetch version {version.version} of {version.name!r}"):
            return connection.artifacts.fetch(version)

    @cached_property
    def _connection(self) -> _Connection:
        if self.mode not in ("auto", "bulk", "api"):
            raise RegistryError(f"registry mode {self.mode!r} is not allowed; use 'auto', 'bulk' or 'api'")
        with one_at_a_time(self.tracking_uri):
            opened = client(self.tracking_uri)
            runs = Runs(opened, self.artifact_root, self.direct_access)
            store = self._bulk_store() if self.mode != "api" else "the mode is 'api'"
        if not isinstance(store, str):
            return _Connection(runs, store, "bulk", self._artifacts(opened))
        if self.mode == "bulk":
            raise RegistryError(
                f"cannot write {redacted(self.tracking_uri)} in bulk: {store}; use registry mode 'auto' or 'api'"
            )
        log.debug("registry %s is used through MLflow's API: %s", redacted(self.tracking_uri), store)
        return self._api(runs, opened)

    def _api(self, runs: Runs, opened: "MlflowClient") -> _Connection:
        from adapters.registry.api_store import ApiStore

        return _Connection(runs, ApiStore(opened), "api", self._artifacts(opened))

    def _artifacts(self, opened: "MlflowClient") -> Artifacts:
        return Artifacts(opened, self.tracking_uri, self.direct_access)

    def _bulk_store(self) -> VersionStore | str:
        """The bulk store, or why there is none."""
        import mlflow
        from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES

        from adapters.registry.sql_store import SqlStore, column_obstacle, obstacle

        workspaces = bool(MLFLOW_ENABLE_WORKSPACES.get())  # type: ignore[no-untyped-call]
        database = self.direct_access.database or self.tracking_uri
        reason = obstacle(database, mlflow.__version__, workspaces)
        if reason is not None:
            return reason
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

        with domain_errors(f"cannot open {redacted(database)}", database):
            store = SqlAlchemyStore(database)  # type: ignore[no-untyped-call]
        return column_obstacle(store.engine) or SqlStore(store.ManagedSessionMaker)
