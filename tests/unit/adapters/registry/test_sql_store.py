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
    obstacle = bulk.obstacle(uri, version, workspaces)
    assert obstacle is None if reason is None else obstacle is not None and reason in obstacle


def failing(store: bulk.SqlStore, cause: Exception, times: int) -> list[Exception]:
    """Let the next sessions of a store fail with this cause; returns the failures so far."""
    sessions, failures = store._sessions, []

    def fail(**options: object) -> object:
        if len(failures) < times:
            failures.append(MlflowException("away"))
            raise failures[-1] from cause
        return sessions(**options)

    store._sessions = fail
    return failures


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Lengths of the pauses between attempts, none of which is waited."""
    lengths: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", lengths.append)
    return lengths


AWAY = sqlalchemy.exc.OperationalError("SELECT", {}, Exception("connection refused"))
CONFLICT = sqlalchemy.exc.IntegrityError("INSERT", {}, Exception("duplicate key"))


def test_a_database_that_is_away_for_a_minute_is_waited_for(opened: Open, pauses: list[float]) -> None:
    registry = opened("bulk")
    made = fill(registry, entries(2))
    failing(registry._connection.store, AWAY, 25)
    assert fill(registry, entries(2)) == [replace(item, created=False) for item in made]
    assert len(pauses) == 25
    limits = [min(2.0, 0.1 * 2**attempt) for attempt in range(25)]
    assert all(0 <= pause <= limit for pause, limit in zip(pauses, limits, strict=True))


def test_a_database_that_stays_away_is_an_error_once_patience_has_ended(
    opened: Open, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    registry = opened("bulk")
    assert registry.path == "bulk"
    failing(registry._connection.store, AWAY, 25)
    monkeypatch.setattr(bulk, "_OUTAGE_LIMIT_S", 0.0)
    with pytest.raises(RegistryError, match=r"gave up after 10 attempts: .*connection refused"):
        registry.versions(["m3.n0"])
    assert len(pauses) == 9


def test_conflicts_with_other_writers_are_retried_ten_times_and_no_longer(opened: Open, pauses: list[float]) -> None:
    registry = opened("bulk")
    assert registry.path == "bulk"
    failing(registry._connection.store, CONFLICT, 9)
    assert registry.versions(["m3.n0"]) == {}
    failing(registry._connection.store, CONFLICT, 10)
    with pytest.raises(RegistryError, match=r"cannot list versions: gave up after 10 attempts: .*duplicate key"):
        registry.versions(["m3.n0"])
    assert len(pauses) == 9 + 9


def test_other_failures_of_the_database_are_not_retried(opened: Open, pauses: list[float]) -> None:
    registry = opened("bulk")
    assert registry.path == "bulk"
    failures = failing(registry._connection.store, sqlalchemy.exc.ProgrammingError("SELECT", {}, Exception("typo")), 2)
    with pytest.raises(RegistryError, match="cannot list versions of 1 models: away"):
        registry.versions(["m3.n0"])
    assert (len(failures), pauses) == (1, [])
