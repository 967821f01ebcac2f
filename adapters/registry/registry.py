"""Public interface of the registry: trainings, buckets of models, aliases."""

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
from adapters.registry.run_record import RunRecord
from adapters.registry.runs import FLEET_TAG, BucketRuns, Runs
from adapters.registry.types import (
    Batch,
    FetchedModel,
    ModelEntry,
    Registration,
    StoredVersion,
    VersionStore,
    pending,
    validate_entries,
)
from domain.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Mode = Literal["auto", "bulk", "api"]
log = logging.getLogger(__name__)
_NO_DIRECT_ACCESS = DirectAccess()


@dataclass(frozen=True)
class _Connection:
    runs: Runs
    store: VersionStore
    path: Literal["bulk", "api"]
    artifacts: Artifacts


@dataclass(frozen=True)
class _OpenBucket:
    """A bucket whose files are being written."""

    batch: Batch
    runs: BucketRuns
    run: "Run"
    stored: Future[None]
    start_s: float


class Registry:
    """Registered models of an MLflow store.

    The first call connects; in an empty SQLite file that creates MLflow's tables, which takes about a second. Objects
    can be pickled for workers: only the settings travel. Every method may be repeated after a crash.
    All methods raise RegistryError.

    Parameters
    ----------
    tracking_uri : str
        Database URI (``sqlite:///...``, ``postgresql://...``) or address of a tracking server.
    artifact_root : str, optional
        Location of the files of new experiments; None leaves it to MLflow, which for a database URI means
        ``./mlruns``. With a tracking server pass None: the server's own setting applies.
    mode : {"auto", "bulk", "api"}
        ``auto`` writes to the database in bulk if that is possible, else it uses MLflow's public API; ``bulk`` raises
        if bulk is not possible; ``api`` never writes to the database itself.
    direct_access : DirectAccess
        Database and files of a tracking server that this process may write to.
    """

    def __init__(
        self,
        tracking_uri: str,
        artifact_root: str | None = None,
        mode: Mode = "auto",
        direct_access: DirectAccess = _NO_DIRECT_ACCESS,
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
        """Write path of this registry, in bulk or through the API; reading it connects."""
        return self._connection.path

    def start_training(self, fleet: str, run_key: str, tags: Mapping[str, str]) -> str:
        """Start the MLflow run of a training, or resume that of the same fleet and `run_key`; return its id."""
        connection = self._connection
        with domain_errors(f"cannot start training {run_key!r} of {fleet!r}"):
            return connection.runs.start(fleet, run_key, tags)

    def register_buckets(
        self, parent_run_id: str, batches: Iterable[Batch]
    ) -> Iterator[tuple[Batch, list[Registration]]]:
        """Store and register the models of buckets, each bucket under a run of its own below `parent_run_id`.

        For a fingerprint that is already a version of its name, that version is returned and nothing is stored. Files
        are written first: a version never points at missing files. While the files of a bucket are written, the
        versions of the previous bucket are created. A bucket may be repeated, with other models of the same names.

        Yields
        ------
        tuple of Batch and list of Registration
            In the order of the batches and of their entries.
        """
        connection = self._connection
        with domain_errors(f"cannot find the runs of training {parent_run_id}"):
            runs = connection.runs.buckets(parent_run_id)
        with ThreadPoolExecutor(1, thread_name_prefix="store-models") as writer:
            previous: _OpenBucket | None = None
            for batch in batches:
                bucket = self._begin(connection, runs, batch, writer)
                if previous is not None:
                    yield previous.batch, self._complete(connection, previous)
                previous = bucket
            if previous is not None:
                yield previous.batch, self._complete(connection, previous)

    def _begin(
        self, connection: _Connection, runs: BucketRuns, batch: Batch, writer: ThreadPoolExecutor
    ) -> "_OpenBucket":
        """Start to write the files of a bucket's new models."""
        start_s = time.perf_counter()
        validate_entries(batch.entries)
        with domain_errors(f"cannot register bucket {batch.bucket}"):
            run = runs.of(batch.bucket)
            known = connection.store.versions([entry.name for entry in batch.entries])
        new = [entry for entry in batch.entries if entry.fingerprint not in known.get(entry.name, {})]

        def store() -> None:
            run_id, started_ms = str(run.info.run_id), int(run.info.start_time)
            connection.runs.store(run, [model_directory(entry, run_id, started_ms) for entry in new])

        return _OpenBucket(batch, runs, run, writer.submit(store), start_s)

    def _complete(self, connection: _Connection, bucket: "_OpenBucket") -> list[Registration]:
        """Create the versions of a bucket once its files are written."""
        batch, run = bucket.batch, bucket.run
        run_id, root = str(run.info.run_id), str(run.info.artifact_uri).rstrip("/")
        with domain_errors(f"cannot register bucket {batch.bucket}"):
            bucket.stored.result()
            made = connection.store.register(
                [pending(entry, f"{root}/{directory_name(entry)}", run_id) for entry in batch.entries]
            )
            if batch.bucket not in bucket.runs.ended:
                connection.runs.end(run, batch.metrics, failed=False)
                bucket.runs.ended.add(batch.bucket)
        created = sum(registration.created for registration in made)
        log.info(
            "registered bucket=%d models=%d created=%d reused=%d path=%s in %.1f s",
            *(batch.bucket, len(made), created, len(made) - created, connection.path),
            time.perf_counter() - bucket.start_s,
        )
        return made

    def finish_training(self, run_id: str, metrics: Mapping[str, float], failed: bool = False) -> None:
        """Log the metrics of a training and end its run."""
        connection = self._connection
        with domain_errors(f"cannot finish training run {run_id}"):
            connection.runs.finish(run_id, metrics, failed)

    def record_run(self, fleet: str, run_key: str, record: RunRecord) -> None:
        """Log parameters, metrics, files and training data of a run of the fleet."""
        connection = self._connection
        with domain_errors(f"cannot record run {run_key!r} of {fleet!r}"):
            connection.runs.record(fleet, run_key, record)

    def set_alias(self, alias: str, versions: Mapping[str, int]) -> int:
        """Point `alias` of each name at its version; return the number of aliases that changed.

        In bulk, all of them change or none; through the API they change one by one, and a repeated call completes them.
        """
        store = self._versions
        with domain_errors(f"cannot set alias {alias!r}"):
            return store.set_alias(alias, versions)

    def delete_alias(self, alias: str, names: Sequence[str]) -> int:
        """Remove `alias` from these names; return the number of aliases removed."""
        store = self._versions
        with domain_errors(f"cannot delete alias {alias!r}"):
            return store.delete_alias(alias, names)

    def versions(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return version by fingerprint by name, for versions with a fingerprint; names without any are left out."""
        store = self._versions
        with domain_errors(f"cannot list versions of {len(names)} models"):
            return store.versions(names)

    def aliases(self, alias: str, fleet: str, names: Sequence[str]) -> dict[str, int]:
        """Return the version that `alias` points at, by name: for these names and every model with the fleet's tag."""
        store = self._versions
        with domain_errors(f"cannot list aliases {alias!r} of {fleet!r}"):
            return store.aliases(alias, (FLEET_TAG, fleet), names)

    def stored(self, names: Sequence[str]) -> list[StoredVersion]:
        """Return live versions of these names that have a fingerprint, ordered by name and number."""
        store = self._versions
        with domain_errors(f"cannot list versions of {len(names)} models"):
            return store.stored(names)

    def incomplete(self, versions: Sequence[StoredVersion]) -> list[StoredVersion]:
        """Return the versions whose files are incomplete."""
        with domain_errors(f"cannot look for the files of {len(versions)} models"):
            return self._connection.artifacts.incomplete(versions)

    def altered(self, versions: Mapping[StoredVersion, str]) -> list[StoredVersion]:
        """Return the versions whose graph does not have the SHA-256 that is given with them; their files must exist."""
        with domain_errors(f"cannot compare the files of {len(versions)} models"):
            return self._connection.artifacts.altered(versions)

    def put_back(self, lost: Sequence[tuple[StoredVersion, ModelEntry]]) -> None:
        """Restore the missing or altered files of versions."""
        with domain_errors(f"cannot put the files of {len(lost)} models back"):
            self._connection.artifacts.put_back(lost)

    def fetch(self, version: StoredVersion) -> FetchedModel:
        """Read a version's graph, checked against its tag `sha256`, and the record it was registered with."""
        connection = self._connection
        with domain_errors(f"cannot fetch version {version.version} of {version.name!r}"):
            return connection.artifacts.fetch(version)

    @cached_property
    def _versions(self) -> VersionStore:
        """Store for looking up versions and setting aliases, without MLflow itself where that is possible."""
        if self.mode == "auto" and "_connection" not in vars(self):
            from adapters.registry.direct_store import open_direct

            store = open_direct(self.direct_access.database or self.tracking_uri)
            if store is not None:
                return store
        return self._connection.store

    @cached_property
    def _connection(self) -> _Connection:
        if self.mode not in ("auto", "bulk", "api"):
            raise RegistryError(f"registry mode {self.mode!r} is not allowed; use 'auto', 'bulk' or 'api'")
        with one_at_a_time(self.tracking_uri):
            mlflow_client = client(self.tracking_uri)
            runs = Runs(mlflow_client, self.artifact_root, self.direct_access)
            store = self._bulk_store() if self.mode != "api" else "the mode is 'api'"
        if not isinstance(store, str):
            return _Connection(runs, store, "bulk", self._artifacts(mlflow_client))
        if self.mode == "bulk":
            raise RegistryError(
                f"cannot write {redacted(self.tracking_uri)} in bulk: {store}; use registry mode 'auto' or 'api'"
            )
        log.debug("registry %s is used through MLflow's API: %s", redacted(self.tracking_uri), store)
        return self._api(runs, mlflow_client)

    def _api(self, runs: Runs, mlflow_client: "MlflowClient") -> _Connection:
        from adapters.registry.api_store import ApiStore

        return _Connection(runs, ApiStore(mlflow_client), "api", self._artifacts(mlflow_client))

    def _artifacts(self, mlflow_client: "MlflowClient") -> Artifacts:
        return Artifacts(mlflow_client, self.tracking_uri, self.direct_access)

    def _bulk_store(self) -> VersionStore | str:
        """Return the bulk store, or the reason why it cannot be used."""
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
