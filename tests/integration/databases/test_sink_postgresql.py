"""The sink on a real PostgreSQL: kills, deliveries at once, roles with few rights, tables of other types."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from postgres_server import PASSWORD
from sinks import START, commit, forecasts, run_with

from adapters.databases import postgresql
from adapters.databases.address import resolve_address
from adapters.databases.connection import TableName, open_database
from adapters.databases.tables import ensure_table
from adapters.queries import predictions_by_job
from adapters.queries.export import export_table
from adapters.queries.fleet_tables import FleetTables
from domain.data.tables import ACCURACY, CHAMPIONS, LEADERBOARD, OUTCOMES, PREDICTIONS, QUARANTINE, SEGMENTS
from domain.errors import DatabaseError, LakeError
from tasks import deliver
from tasks.deliver import deliver_predictions

pytestmark = pytest.mark.server
SUPPORT = Path(__file__).parents[2] / "support"
COUNTS = "SELECT job_id, count(*) FROM shop_predictions GROUP BY job_id ORDER BY job_id"


@pytest.fixture
def database(server, monkeypatch):
    """A database of its own; the variable SINK holds its address."""
    server.execute("CREATE DATABASE sales")
    monkeypatch.setenv("SINK", server.url("sales"))
    yield "sales"
    server.execute("DROP DATABASE sales WITH (FORCE)")


@pytest.fixture
def fetch(server, database):
    return lambda query: server.fetch(query, database)


@pytest.fixture
def run(tmp_path, database):
    return run_with(tmp_path, "env:SINK")


def monkeypatch_calls(monkeypatch, module, name):
    """Record the calls of a function."""
    plain, calls = getattr(module, name), []
    monkeypatch.setattr(module, name, lambda *arguments: (calls.append(arguments), plain(*arguments))[1])
    return calls


def deliver_and_die(folder, moment):
    command = [sys.executable, str(SUPPORT / "sinks.py"), str(folder), "env:SINK", moment]
    paths = os.pathsep.join([str(SUPPORT.parents[1]), str(SUPPORT)])
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, timeout=120)


def test_kills_in_the_middle_of_a_write_leave_nothing_and_a_repeat_delivers_once(run, tmp_path, fetch):
    commit(run, forecasts("shop-1", segments=50))
    assert deliver_predictions(run).rows == 200
    commit(run, forecasts("shop-2", segments=200, origin=1), part="bucket-1")
    for moment in ("2", "3", "commit"):
        assert deliver_and_die(tmp_path, moment).returncode == -9
        assert fetch(COUNTS) == [("shop-1", 200)]
    assert deliver_and_die(tmp_path, "committed").returncode == -9
    assert fetch(COUNTS) == [("shop-1", 200), ("shop-2", 800)]
    assert deliver_predictions(run).rows == 0
    assert fetch(COUNTS) == [("shop-1", 200), ("shop-2", 800)]
    assert fetch("SELECT count(DISTINCT (segment, origin, time, release)) FROM shop_predictions") == [(1000,)]


def test_deliveries_at_once_write_a_job_once(run, fetch):
    commit(run, forecasts("shop-1", segments=500))
    commit(run, forecasts("shop-2", origin=1), part="bucket-1")
    with ThreadPoolExecutor(6) as pool:
        deliveries = list(pool.map(lambda _: deliver_predictions(run), range(6)))
    assert sorted(delivery.rows for delivery in deliveries) == [0, 0, 0, 0, 0, 2008]
    assert fetch(COUNTS) == [("shop-1", 2000), ("shop-2", 8)]


def test_the_columns_have_the_types_of_the_documentation(run, fetch):
    commit(run, forecasts("shop-1"))
    deliver_predictions(run)
    types = dict(
        fetch("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'shop_predictions'")
    )
    assert types["segment"] == types["store"] == types["fleet"] == types["row_key"] == "text"
    assert types["time"] == types["as_of"] == "timestamp with time zone"
    assert (types["prediction"], types["step"], types["row"]) == ("double precision", "integer", "bigint")
    assert "part" not in types


def test_a_table_of_the_users_keeps_its_types_its_order_and_its_own_columns(run, fetch, server, database):
    commit(run, forecasts("shop-1", reason="a\0b"))
    deliver_predictions(run)
    server.execute("ALTER TABLE shop_predictions ALTER prediction TYPE numeric(12, 3)", database)
    server.execute("ALTER TABLE shop_predictions ALTER time TYPE timestamp USING time AT TIME ZONE 'UTC'", database)
    server.execute("ALTER TABLE shop_predictions ADD loaded_at timestamptz DEFAULT now()", database)
    commit(run, forecasts("shop-2", origin=1), part="bucket-1")
    assert deliver_predictions(run).rows == 8
    row = fetch("SELECT prediction::text, time::text, loaded_at IS NOT NULL FROM shop_predictions ORDER BY 2 DESC")[0]
    assert row == ("0.500", "2024-02-05 00:00:00", True) or row == ("1.500", "2024-02-05 00:00:00", True)
    assert fetch("SELECT DISTINCT reason FROM shop_predictions WHERE job_id = 'shop-1'") == [("a␀b",)]


def test_keys_become_the_types_of_the_table_but_nothing_is_rounded_or_cut(run, fetch, server, database):
    commit(run, forecasts("shop-1"))
    deliver_predictions(run)
    server.execute("ALTER TABLE shop_predictions ALTER store TYPE integer USING store::integer", database)
    server.execute("ALTER TABLE shop_predictions ALTER brand TYPE char(10), ALTER segment TYPE varchar(30)", database)
    commit(run, forecasts("shop-2", origin=1), part="bucket-1")
    assert deliver_predictions(run).rows == 8
    assert fetch("SELECT DISTINCT store, brand FROM shop_predictions ORDER BY 1") == [
        (0, "amber     "),
        (1, "amber     "),
    ]
    server.execute("ALTER TABLE shop_predictions ALTER segment TYPE varchar(19)", database)
    commit(run, forecasts("shop-3", segments=11, origin=2), part="bucket-2")
    with pytest.raises(DatabaseError, match=r"value too long for type character varying\(19\)"):
        deliver_predictions(run)
    server.execute("ALTER TABLE shop_predictions ALTER segment TYPE text, ALTER upper TYPE bigint", database)
    with pytest.raises(DatabaseError, match="column upper has whole numbers, which would round"):
        deliver_predictions(run)
    server.execute("ALTER TABLE shop_predictions ALTER upper TYPE real", database)
    assert deliver_predictions(run).rows == 44


def test_an_unreadable_lake_is_not_taken_for_a_database_that_is_away(run, monkeypatch, fetch):
    commit(run, forecasts("shop-1"))

    def unreadable(self, jobs):
        raise LakeError("a committed file cannot be read")
        yield

    monkeypatch.setattr(predictions_by_job.PredictionsByJob, "batches", unreadable)
    with pytest.raises(DatabaseError, match=r"\na committed file cannot be read"):
        deliver_predictions(run)
    assert fetch("SELECT to_regclass('shop_predictions')") == [(None,)]


def test_a_connection_that_is_lost_in_the_middle_is_opened_again(run, monkeypatch, fetch, server):
    commit(run, forecasts("shop-1", segments=50))
    monkeypatch.setattr(predictions_by_job, "_BATCH_ROWS", 100)
    plain, losses = predictions_by_job.PredictionsByJob.batches, []

    def losing(self, jobs):
        for batch in plain(self, jobs):
            yield batch
            if not losses:
                losses.append(
                    server.fetch(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'myriad' AND datname = 'sales'"
                    )
                )

    monkeypatch.setattr(predictions_by_job.PredictionsByJob, "batches", losing)
    assert deliver_predictions(run).rows == 200
    assert losses == [[(True,)]]
    assert fetch(COUNTS) == [("shop-1", 200)]


def test_a_server_process_that_is_killed_in_the_middle_writes_the_job_once_all_the_same(
    run, monkeypatch, fetch, server
):
    commit(run, forecasts("shop-1", segments=50))
    monkeypatch.setattr(predictions_by_job, "_BATCH_ROWS", 50)
    plain, killed = predictions_by_job.PredictionsByJob.batches, []

    def killing(self, jobs):
        for batch in plain(self, jobs):
            yield batch
            if not killed:
                [(pid,)] = server.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'myriad'")
                os.kill(pid, signal.SIGKILL)  # All connections end, and the server recovers.
                killed.append(pid)

    monkeypatch.setattr(predictions_by_job.PredictionsByJob, "batches", killing)
    assert deliver_predictions(run).rows == 200
    assert killed
    assert fetch(COUNTS) == [("shop-1", 200)]


def test_a_table_that_somebody_has_locked_is_waited_for_once(run, monkeypatch, fetch, server, database):
    commit(run, forecasts("shop-1"))
    deliver_predictions(run)
    commit(run, forecasts("shop-2", origin=1), part="bucket-1")
    monkeypatch.setattr(postgresql, "_LOCK_TIMEOUT", "300ms")
    monkeypatch.setattr(deliver, "_PATIENCE_S", 0.2)
    opened = monkeypatch_calls(monkeypatch, deliver, "open_database")
    with server.connect(database) as other:
        other.execute("LOCK TABLE shop_predictions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseError, match="canceling statement due to lock timeout"):
            deliver_predictions(run)
    assert len(opened) == 1
    assert deliver_predictions(run).rows == 8


def test_an_interrupt_is_no_failure_of_the_database(run, monkeypatch, fetch):
    commit(run, forecasts("shop-1"))

    def interrupted(self, jobs):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(predictions_by_job.PredictionsByJob, "batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        deliver_predictions(run)
    assert fetch("SELECT to_regclass('shop_predictions')") == [(None,)]


def test_a_role_that_may_only_read_and_insert_suffices_for_new_jobs(
    run, tmp_path, fetch, server, database, monkeypatch
):
    commit(run, forecasts("shop-1"))
    deliver_predictions(run)
    server.execute("DROP ROLE IF EXISTS writer")
    server.execute("CREATE ROLE writer LOGIN PASSWORD 'of the writer'")
    server.execute("GRANT SELECT, INSERT ON shop_predictions, myriad_deliveries TO writer", database)
    monkeypatch.setenv("PGPASSWORD", "of the writer")
    url = server.url(database, "writer", password="")
    own = run_with(tmp_path, url)
    commit(own, forecasts("shop-2", origin=1), part="bucket-1")
    assert deliver_predictions(own).rows == 8
    commit(own, forecasts("shop-3"), removes=lambda file: file.partition["part"] == "bucket-0")
    with pytest.raises(DatabaseError, match="permission denied for table shop_predictions"):
        deliver_predictions(own)
    assert fetch(COUNTS) == [("shop-1", 8), ("shop-2", 8)]
    server.execute("GRANT DELETE ON shop_predictions, myriad_deliveries TO writer", database)
    deliver_predictions(own)
    assert fetch(COUNTS) == [("shop-2", 8), ("shop-3", 8)]
    server.execute("REVOKE ALL ON shop_predictions, myriad_deliveries FROM writer", database)


@pytest.mark.parametrize("database_name", ["nowhere", "sales"])
def test_no_message_shows_the_password(run, server, monkeypatch, caplog, database_name):
    commit(run, forecasts("shop-1"))
    wrong = "hunter2 wrong"
    monkeypatch.setenv("SINK", server.url(database_name, password=wrong if database_name == "sales" else PASSWORD))
    with pytest.raises(DatabaseError) as caught:
        deliver_predictions(run)
    text = f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    assert "password authentication failed" in text if database_name == "sales" else "does not exist" in text
    assert f"127.0.0.1:{server.port}/{database_name}" in text
    assert not any(secret in text for secret in (wrong, PASSWORD, "hunter2", "s3cret"))


def test_a_server_that_is_away_for_a_moment_is_asked_again(run, monkeypatch, fetch, server):
    commit(run, forecasts("shop-1"))
    plain, tries = postgresql.adbc.connect, []

    def connect(target):
        tries.append(target)
        return plain(target.replace(f"port={server.port}", "port=1") if len(tries) == 1 else target)

    monkeypatch.setattr(postgresql.adbc, "connect", connect)
    assert deliver_predictions(run).rows == 8
    assert len(tries) == 2


def test_every_table_of_the_lake_has_a_place_in_postgresql(run, fetch, database):
    values = {
        pa.string(): "x",
        pa.int32(): 1,
        pa.int64(): 2**62,
        pa.float64(): 0.5,
        pa.bool_(): True,
        pa.timestamp("us", tz="UTC"): START,
        pa.binary(): b"\0x",
    }
    address = resolve_address("env:SINK", run.context.home, "")
    for spec in (PREDICTIONS, CHAMPIONS, OUTCOMES, ACCURACY, LEADERBOARD, QUARANTINE, SEGMENTS):
        row = pa.Table.from_pylist([{field.name: values[field.type] for field in spec.schema}], spec.schema)
        with open_database(address) as connection, connection.transaction():
            ensure_table(connection, TableName(spec.name), spec.schema)
            assert connection.insert(TableName(spec.name), spec.schema, iter(row.to_batches())) == 1
        assert fetch(f"SELECT * FROM {spec.name}")[0] == tuple(row.to_pylist()[0].values())


def test_an_export_replaces_the_fleet_s_rows(run, fetch, tmp_path):
    commit(run, forecasts("shop-1"))
    tables = FleetTables(run.context.lake, "shop")
    for _ in range(2):
        result = export_table(tables, run.fleet, "predictions", "env:SINK", tmp_path, into="public.out")
        assert (result.rows, result.format) == (8, "postgresql")
    assert fetch("SELECT count(*) FROM public.out") == [(8,)]
