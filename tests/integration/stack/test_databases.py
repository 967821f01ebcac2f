"""Each server's role reaches its own database alone, in a new data folder as in one of an earlier version."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from adapters.gateway import jobs
from adapters.gateway.records import new_job
from adapters.gateway.store import GatewayStore
from adapters.local_stack.postgres import ROLES, connection_error, postgres_user, prepare_data, run_scripts
from adapters.local_stack.programs import executable
from domain.errors import QuotaError, SettingsError
from domain.gateway.jobs import BatchDeployment, JobRequest
from domain.gateway.quotas import Quotas

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "infra/postgres/databases.sql"
PASSWORDS = {f"POSTGRES_{role.upper()}_PASSWORD": f'{role}\'s "own"; $1 \\ -- word' for role in ROLES}
SETTINGS = {"POSTGRES_USER": "myriad", "POSTGRES_PASSWORD": "of the superuser", "PATH": os.environ["PATH"], **PASSWORDS}
REACHED = {
    "prefect": {"prefect"},
    "mlflow": {"mlflow", "mlflow_auth"},
    "gateway": {"gateway"},
    "runs": {"mlflow"},
    "operator": {"mlflow", "gateway"},
}
DATABASES = {"prefect", "mlflow", "mlflow_auth", "gateway", "postgres", "template1"}
EARLIER = "CREATE DATABASE prefect; CREATE DATABASE mlflow; CREATE DATABASE mlflow_auth; CREATE DATABASE gateway;"
OF_A_SERVER = """
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
CREATE TYPE state AS ENUM ('on', 'off');
CREATE TABLE kept (number serial PRIMARY KEY, state state);
CREATE INDEX ON kept USING gin ((number::text) gin_trgm_ops);
CREATE VIEW seen AS SELECT * FROM kept;
CREATE SEQUENCE loose;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
INSERT INTO kept (state) VALUES ('on');
"""


@pytest.fixture(scope="module", autouse=True)
def programs():
    for program in ("postgres", "psql"):
        try:
            executable(program)
        except SettingsError as exc:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI=true, and {exc}")
            pytest.skip(str(exc))


@pytest.fixture
def serve():
    """Start servers on data folders that scripts have filled; give their ports."""
    scratch, started = Path(tempfile.mkdtemp(prefix="myriad-roles-")), []
    scratch.chmod(0o711)

    def start(*scripts):
        data, user = scratch / "postgres", postgres_user()
        data.mkdir(mode=0o700)
        prepare_data(data, user, scripts, SETTINGS)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = [executable("postgres"), "-D", str(data), "-k", str(data), "-h", "127.0.0.1", "-p", port]
        started.append(subprocess.Popen(command, user=user, cwd="/", stderr=subprocess.DEVNULL, umask=0o077))
        end = time.monotonic() + 60
        while connection_error(port, "myriad", SETTINGS["POSTGRES_PASSWORD"], "postgres"):
            assert time.monotonic() < end
            time.sleep(0.1)
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait()
    shutil.rmtree(scratch)


def connect(port, user, database, password=None):
    word = password or (
        SETTINGS["POSTGRES_PASSWORD"] if user == "myriad" else PASSWORDS[f"POSTGRES_{user.upper()}_PASSWORD"]
    )
    return psycopg.connect(f"host=127.0.0.1 port={port} user={user} dbname={database}", password=word, autocommit=True)


def reached(port, role):
    password = PASSWORDS[f"POSTGRES_{role.upper()}_PASSWORD"]
    return {name for name in DATABASES if not connection_error(port, role, password, name)}


def attributes(port):
    query = (
        "SELECT rolname FROM pg_roles WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    )
    with connect(port, "myriad", "postgres") as connection:
        return {name for (name,) in connection.execute(query)}


def test_roles_reach_their_own_databases_and_may_do_nothing_else(serve):
    port = serve(SCRIPT)
    assert {role: reached(port, role) for role in ROLES} == REACHED
    assert attributes(port) == {"myriad"}
    for role, database in ROLES.items():
        with connect(port, role, database) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY (SELECT 1) TO PROGRAM 'id'")


def test_what_runs_and_people_make_belongs_to_the_server(serve):
    port = serve(SCRIPT)
    for makers, database in ((("runs", "operator", "mlflow"), "mlflow"), (("operator", "gateway"), "gateway")):
        for maker in makers:
            with connect(port, maker, database) as connection:
                connection.execute(f"CREATE SCHEMA {maker}; SET search_path = {maker}, public; {OF_A_SERVER}")
            for other in makers:
                with connect(port, other, database) as connection:
                    connection.execute(f"ALTER TABLE {maker}.kept ADD COLUMN by_{other} int")


def test_databases_of_an_earlier_version_are_brought_to_roles_and_keep_their_rows(serve, tmp_path):
    earlier = tmp_path / "databases.sql"
    earlier.write_text(re.sub(r"; ", ";\n", EARLIER))
    port = serve(earlier)
    for database in ("prefect", "mlflow", "mlflow_auth", "gateway"):
        with connect(port, "myriad", database) as connection:
            connection.execute(OF_A_SERVER)
    for _ in range(2):
        run_scripts("127.0.0.1", port, [SCRIPT], SETTINGS)
    assert {role: reached(port, role) for role in ROLES} == REACHED
    for owner, database in (
        ("prefect", "prefect"),
        ("mlflow", "mlflow"),
        ("mlflow", "mlflow_auth"),
        ("gateway", "gateway"),
    ):
        with connect(port, owner, database) as connection:
            assert connection.execute("SELECT number, state FROM seen").fetchall() == [(1, "on")]
            connection.execute("INSERT INTO kept (state) VALUES ('off')")
            connection.execute("ALTER TYPE state ADD VALUE 'broken'")
            connection.execute(
                "DROP VIEW seen; DROP FUNCTION one; DROP SEQUENCE loose; DROP TABLE kept; DROP TYPE state"
            )


def test_a_changed_password_counts_after_the_script(serve):
    port = serve(SCRIPT)
    run_scripts("127.0.0.1", port, [SCRIPT], SETTINGS | {"POSTGRES_RUNS_PASSWORD": "changed"})
    assert "password authentication failed" in connection_error(
        port, "runs", PASSWORDS["POSTGRES_RUNS_PASSWORD"], "mlflow"
    )
    connect(port, "runs", "mlflow", "changed").close()


def test_a_role_without_a_password_cannot_log_in(serve):
    port = serve(SCRIPT)
    environment = {name: value for name, value in SETTINGS.items() if name != "POSTGRES_RUNS_PASSWORD"}
    run_scripts("127.0.0.1", port, [SCRIPT], environment)
    for password in ("", PASSWORDS["POSTGRES_RUNS_PASSWORD"]):
        assert connection_error(port, "runs", password, "mlflow")


def test_the_gateway_counts_what_clients_write_at_the_same_time(serve, monkeypatch):
    port = serve(SCRIPT)
    password = quote(PASSWORDS["POSTGRES_GATEWAY_PASSWORD"], safe="")
    store = GatewayStore(f"postgresql+psycopg://gateway:{password}@127.0.0.1:{port}/gateway")
    count = jobs._check_quotas

    def count_and_linger(*arguments):
        count(*arguments)
        time.sleep(0.5)  # The other one counts before this one is committed, unless it has to wait.

    monkeypatch.setattr(jobs, "_check_quotas", count_and_linger)

    def add(_):
        try:
            job = new_job("m3", "blue", BatchDeployment(fleet="m3"), "shop", JobRequest())
            return store.jobs.add(job, Quotas(queued_jobs=1))[1]
        except QuotaError:
            return False

    with closing(store), ThreadPoolExecutor(2) as pool:  # An open connection would keep the server from its end.
        results = sorted(pool.map(add, range(2)))
    assert results == [False, True]
