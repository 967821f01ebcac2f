"""What stands behind a tracking server, for a process that may write to it directly."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from adapters.lake.files import STORAGE_ERRORS, put_objects
from adapters.registry.mlmodel import ModelDirectory, local_path, write_directories
from domain.errors import RegistryError

__all__ = ["DirectAccess"]

_PROXIED = "mlflow-artifacts"


@dataclass(frozen=True)
class DirectAccess:
    """The server's parts; an empty one is used through the server.

    database : its database, in which models are registered in bulk. files : where it keeps what it calls
    `mlflow-artifacts:/`, a folder or an s3:// uri.
    """

    database: str = ""
    files: str = ""

    def place(self, uri: str) -> str:
        """Where the artifact that the server knows under `uri` really is, as far as that is known."""
        parts = urlsplit(uri)
        return f"{self.files.rstrip('/')}{parts.path}" if self.files and parts.scheme == _PROXIED else uri

    def write(self, uri: str, directories: Sequence[ModelDirectory]) -> bool:
        """Write model directories below `uri`; False where that can only be done through MLflow."""
        place = self.place(uri)
        folder = local_path(place)
        try:
            if folder is not None:
                write_directories(folder, directories)
            elif place.startswith("s3://"):
                files = {f"{one.name}/{name}": content for one in directories for name, content in one.files.items()}
                put_objects(place, files)
            else:
                return False
        except STORAGE_ERRORS as exc:
            raise RegistryError(f"cannot store {len(directories)} models under {place}: {exc}") from exc
        return True

    def folder(self, uri: str) -> Path | None:
        """The local folder of an artifact; None for any other store."""
        return local_path(self.place(uri))
