"""MLflow client: errors as domain errors."""

import pytest
from alembic.util.exc import CommandError

from adapters.registry.mlflow_client import domain_errors
from domain.errors import RegistryError


def test_a_failed_migration_is_a_registry_error() -> None:
    with pytest.raises(RegistryError, match="cannot open it: 0 found"), domain_errors("cannot open it"):
        raise CommandError("0 found")
