"""MLflow client: errors as domain errors."""

import os

import pytest
from alembic.util.exc import CommandError

from adapters.registry.mlflow_client import client, domain_errors, one_at_a_time
from domain.errors import RegistryError


def test_a_failed_migration_is_a_registry_error() -> None:
    with pytest.raises(RegistryError, match="cannot open it: 0 found"), domain_errors("cannot open it"):
        raise CommandError("0 found")


def test_a_new_database_is_readable_by_its_owner_only(tmp_path) -> None:
    before = os.umask(0)
    try:
        with one_at_a_time(f"sqlite:///{tmp_path}/mlflow.db"):
            client(f"sqlite:///{tmp_path}/mlflow.db")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("mlflow.db*") if path.suffix != ".lock"}
    assert modes["mlflow.db"] == 0o600
    assert set(modes.values()) == {0o600}
