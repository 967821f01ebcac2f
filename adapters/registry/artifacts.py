"""Files of registered versions in any artifact store: check that they exist, restore and read them."""

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from adapters.registry.direct_access import DirectAccess
from adapters.registry.mlflow_client import is_error
from adapters.registry.mlmodel import RECORD_KEY, ModelDirectory, model_directory, write_directories
from adapters.registry.types import FetchedModel, ModelEntry, StoredVersion
from domain.config.yaml_text import parse_yaml
from domain.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_GRAPH = "model.onnx"
_REQUIRED = (_GRAPH, "MLmodel")
_CONCURRENT_LISTINGS = 16
_MLMODEL_BYTES = 16 << 20


class Artifacts:
    """Artifact stores that a tracking server or database refers to."""

    def __init__(self, client: "MlflowClient", tracking_uri: str, direct_access: DirectAccess) -> None:
        self._client = client
        self._tracking_uri = tracking_uri
        self._direct_access = direct_access

    def incomplete(self, versions: Sequence[StoredVersion]) -> list[StoredVersion]:
        """Return the versions whose graph or MLmodel file is missing or empty."""
        local = {version: self._direct_access.folder(version.source) for version in versions}
        remote = [version for version, folder in local.items() if folder is None]
        with ThreadPoolExecutor(_CONCURRENT_LISTINGS) as pool:
            complete = dict(
                zip(remote, pool.map(lambda version: self._is_complete(version.source), remote), strict=True)
            )
        complete |= {version: _has_all(folder) for version, folder in local.items() if folder is not None}
        return [version for version in versions if not complete[version]]

    def altered(self, versions: Mapping[StoredVersion, str]) -> list[StoredVersion]:
        """Return the versions whose graph does not have the SHA-256 that is given with them."""

        def digest(version: StoredVersion) -> str:
            model = f"model {version.name!r} version {version.version}"
            return hashlib.sha256(self._read(f"{version.source}/{_GRAPH}", model)).hexdigest()

        with ThreadPoolExecutor(_CONCURRENT_LISTINGS) as pool:
            digests = pool.map(digest, versions)
            return [version for version, sha256 in zip(versions, digests, strict=True) if sha256 != versions[version]]

    def put_back(self, lost: Sequence[tuple[StoredVersion, ModelEntry]]) -> None:
        """Write the missing or altered files of these versions to the locations that the versions name."""
        folders: dict[str, list[ModelDirectory]] = defaultdict(list)
        for version, entry in lost:
            parent, _, name = version.source.rstrip("/").rpartition("/")
            folders[parent].append(replace(model_directory(entry, version.run_id, version.made_ms), name=name))
        for parent, directories in folders.items():
            if self._direct_access.write(parent, directories):
                continue
            try:
                self._upload(parent, directories)
            except OSError as exc:
                raise RegistryError(f"cannot put {len(directories)} models back under {parent}: {exc}") from exc

    def fetch(self, version: StoredVersion) -> FetchedModel:
        """Read the files of a version; the digest of the graph must equal the version's tag `sha256`."""
        model = f"model {version.name!r} version {version.version}"
        if self.incomplete([version]):  # Checked first: MLflow retries the download of a missing file for minutes.
            raise RegistryError(
                f"{model}: its files at {version.source} are gone; `myriad registry sync` puts them back"
            )
        expected = self._client.get_model_version(version.name, str(version.version)).tags.get("sha256", "")
        onnx, mlmodel = (self._read(f"{version.source}/{name}", model) for name in _REQUIRED)
        digest = hashlib.sha256(onnx).hexdigest()
        if digest != expected:
            raise RegistryError(
                f"{model}: the graph at {version.source} has SHA-256 {digest}, its tag says {expected!r}"
            )
        try:
            metadata = parse_yaml(mlmodel.decode(), _MLMODEL_BYTES).get("metadata") or {}
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as exc:
            raise RegistryError(f"{model}: its file MLmodel at {version.source} cannot be read: {exc}") from exc
        return FetchedModel(onnx, str(metadata.get(RECORD_KEY, "")))

    def _is_complete(self, source: str) -> bool:
        from mlflow.artifacts import list_artifacts
        from mlflow.exceptions import MlflowException

        try:
            files = list_artifacts(artifact_uri=source, tracking_uri=self._tracking_uri)
        except MlflowException as exc:
            if "404" in str(exc) or is_error(exc, "RESOURCE_DOES_NOT_EXIST"):
                return False
            raise
        sizes = {file.path.rpartition("/")[2]: file.file_size for file in files}
        return all(sizes.get(name) for name in _REQUIRED)

    def _upload(self, parent: str, directories: Sequence[ModelDirectory]) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with tempfile.TemporaryDirectory(prefix="myriad-models-") as folder:
            write_directories(Path(folder), directories)
            get_artifact_repository(parent, self._tracking_uri).log_artifacts(folder)  # type: ignore[no-untyped-call]

    def _read(self, uri: str, model: str) -> bytes:
        from mlflow.artifacts import download_artifacts

        path = self._direct_access.folder(uri)
        try:
            if path is not None:
                return path.read_bytes()
            with tempfile.TemporaryDirectory(prefix="myriad-model-") as folder:
                return Path(download_artifacts(uri, dst_path=folder, tracking_uri=self._tracking_uri)).read_bytes()
        except OSError as exc:
            raise RegistryError(f"{model}: {uri} cannot be read: {exc}") from exc


def _has_all(folder: Path) -> bool:
    try:
        return all((folder / name).stat().st_size > 0 for name in _REQUIRED)
    except (FileNotFoundError, NotADirectoryError):
        return False
