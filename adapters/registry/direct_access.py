"""Direct access to the database and the files of a tracking server, for a process that may write to them."""

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
    """Database and files of a tracking server; what is empty is accessed through the server.

    Parameters
    ----------
    database : str
        URI of the server's database, to register models in bulk.
    files : str
        Folder or s3:// URI that the server exposes as `mlflow-artifacts:/`.
    """

    database: str = ""
    files: str = ""

    def place(self, uri: str) -> str:
        """Return the real location of an artifact of the server, or `uri` itself if that is not known."""
        parts = urlsplit(uri)
        return f"{self.files.rstrip('/')}{parts.path}" if self.files and parts.scheme == _PROXIED else uri

    def write(self, uri: str, directories: Sequence[ModelDirectory]) -> bool:
        """Write model directories below `uri`; return False for a store that only MLflow can write to."""
        place = self.place(uri)
        folder = local_path(place)
        try:
            if folder is not None:
                write_directories(folder, directories)
            elif place.startswith("s3://"):
                files = {f"{item.name}/{name}": content for item in directories for name, content in item.files.items()}
                put_objects(place, files)
            else:
                return False
        except STORAGE_ERRORS as exc:
            raise RegistryError(f"cannot store {len(directories)} models under {place}: {exc}") from exc
        return True

    def folder(self, uri: str) -> Path | None:
        """Return the local folder of an artifact; None for any other store."""
        return local_path(self.place(uri))
