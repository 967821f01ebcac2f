"""SQL store: the conditions of the bulk path, its transactions and its retries."""

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException
from registry_store import Open, client, entries, entry, fill

import adapters.registry.sql_store as bulk
from adapters.registry import Registration
from domain.errors import RegistryError


def test_bulk_alias_changes_nothing_if_one_version_is_missing(opened: Open) -> None:
    registry = opened("bulk")
    fill(registry, entries(2))
    with pytest.raises(RegistryError, match="none was set"):
        registry.set_alias("champion", {"m3.n0": 1, "m3.n1": 4})
    assert client(registry).get_registered_model("m3.n0").aliases == {}


def test_bulk_gives_a_lost_version_its_number_again_where_that_is_free(opened: Open) -> None:
    registry = opened("bulk")
    fill(registry, [replace(entry("m3.n0", "a"), version=3)])
    assert fill(registry, [replace(entry("m3.n0", "b"), version=2)], "k2") == [Registration("m3.n0", 4, True)]
    assert client(registry).create_model_version("m3.n0", "/elsewhere").version == 5


def test_unknown_columns_turn_the_bulk_path_off(opened: Open, tmp_path: Path) -> None:
    registry = opened()
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as base:
        base.execute("ALTER TABLE model_versions ADD COLUMN novelty TEXT")
    assert registry.path == "api"
    with pytest.raises(RegistryError, match="novelty"):
        opened("bulk").versions([])


@pytest.mark.parametrize(
    ("uri", "version", "workspaces", "reason"),
    [
        ("postgresql+psycopg://u:p@h/db", "3.17.2", False, None),
        ("sqlite:///mlflow.db", "3.18.0", False, "3.18.0 was not checked"),
        ("sqlite:///mlflow.db", "3.16.9", False, "3.16.9 was not checked"),
        ("sqlite:///mlflow.db", "3.17.0", True, "workspaces"),
        ("https://mlflow.example.org", "3.17.0", False, "neither an SQLite nor"),
    ],
)
def test_bulk_is_only_used_where_it_was_checked(uri: str, version: str, workspaces: bool, reason: str | None) -> None:
    found = bulk.obstacle(uri, version, workspaces)
    assert found is None if reason is None else found is not None and reason in found


def test_a_database_that_is_away_for_a_minute_is_waited_for(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = opened("bulk")
    made = fill(registry, entries(2))
    store, failures = registry._connection.store, iter(range(25))
    plain = store._sessions

    def away(**options: object) -> object:
        for _ in failures:
            cause = sqlalchemy.exc.OperationalError("SELECT", {}, Exception("connection refused"))
            raise MlflowException("away") from cause
        return plain(**options)

    monkeypatch.setattr(store, "_sessions", away)
    monkeypatch.setattr(bulk.time, "sleep", lambda seconds: None)
    assert fill(registry, entries(2)) == [replace(item, created=False) for item in made]
    failures = iter(range(25))
    monkeypatch.setattr(bulk, "_PATIENCE_S", 0.0)
    with pytest.raises(RegistryError, match=r"gave up after 10 attempts: .*connection refused"):
        registry.versions(["m3.n0"])
