"""Direct access: files written beside the tracking server."""

from pathlib import Path

import pytest

from adapters.registry import DirectAccess
from adapters.registry.mlmodel import ModelDirectory
from domain.errors import RegistryError


def test_a_place_behind_a_server_that_cannot_be_written_is_a_registry_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    direct_access = DirectAccess("", str(tmp_path / "file"))
    with pytest.raises(RegistryError, match="cannot store 1 models under"):
        direct_access.write("mlflow-artifacts:/1/x", [ModelDirectory("m3.n0", {"MLmodel": b""})])
    assert DirectAccess().place("mlflow-artifacts:/1/x") == "mlflow-artifacts:/1/x"
    assert not DirectAccess().write("mlflow-artifacts:/1/x", [])
