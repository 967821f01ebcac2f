"""A PostgreSQL server, a database of rows to read, and commands in a folder of their own."""

import os
import subprocess
import sys

import pytest
import yaml
from postgres_server import postgres_server
from sql_sources import SALES, Database


@pytest.fixture(scope="module")
def server():
    """A server with a role that may read what it is granted, and nothing else."""
    with postgres_server() as running:
        running.execute("CREATE ROLE reader LOGIN PASSWORD 'of the reader'")
        running.execute("CREATE SCHEMA reporting")
        yield running


@pytest.fixture
def database(server, tmp_path, monkeypatch):
    """A database that the role reads."""
    server.execute("CREATE DATABASE shop")
    server.execute(SALES, "shop")
    server.execute("GRANT SELECT ON sales TO reader", "shop")
    monkeypatch.setenv("SOURCE", server.url("shop", "reader", "of the reader"))
    yield Database("postgresql", "env:SOURCE", tmp_path, lambda statement: server.execute(statement, "shop"))
    server.execute("DROP DATABASE shop WITH (FORCE)")


@pytest.fixture(scope="module")
def project(tmp_path_factory, prefect_server):
    """Make a folder with a fleet file, and return a function that runs commands there."""

    def make(content, **variables):
        folder = tmp_path_factory.mktemp("project")
        (folder / "fleets").mkdir()
        (folder / "fleets" / "shop.yaml").write_text(yaml.safe_dump(content))

        def run(*arguments, **others):
            inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MYRIAD_", "MLFLOW_"))}
            own = {"PREFECT_API_URL": prefect_server, "MYRIAD_WORKERS": "1"} | variables | others
            command = [sys.executable, "-m", "cli", *arguments]
            return subprocess.run(
                command, cwd=folder, env=inherited | own, capture_output=True, text=True, timeout=300, check=False
            )

        run.folder = folder
        return run

    return make
