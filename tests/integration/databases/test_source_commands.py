"""A fleet whose rows are in PostgreSQL, as its user meets it; and kills in the middle of a reading."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from shop import future, sales, shop
from sql_ingest import landed_rows, sql_run

from tasks.ingest import ingest_files

pytestmark = pytest.mark.server
SUPPORT = Path(__file__).parents[2] / "support"


def insert(server, table, frame):
    with server.connect() as connection, connection.cursor() as cursor:
        names = ", ".join(frame.columns)
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in frame.itertuples(index=False):
                copy.write_row([value.item() if hasattr(value, "item") else value for value in row])


@pytest.fixture(scope="module")
def myriad(project, server):
    """Run commands in a folder with a fleet that reads the server."""
    server.execute("CREATE TABLE sales (week date, store int, brand text, units numeric(12, 3), price float8, id int)")
    server.execute("CREATE TABLE plans (week date, store int, brand text, price float8, changed_at timestamptz)")
    rows = sales()
    insert(server, "sales", rows.assign(id=range(len(rows))))
    insert(server, "plans", future().assign(changed_at="2025-01-01 00:00:00+00"))
    content = shop().model_dump(mode="json", exclude_defaults=True)
    url = "env:MYRIAD_SOURCE"
    content |= {
        "candidates": ["seasonal_naive", "ridge"],
        "source": {"path": url, "query": "SELECT * FROM sales", "watermark": "id"},
        "score": {"source": {"path": "env:MYRIAD_PLANS", "query": "SELECT * FROM plans", "watermark": "changed_at"}},
    }
    return project(content, MYRIAD_SOURCE=server.url(), MYRIAD_PLANS=server.url())


def document(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_fleet_of_queries_is_checked_run_and_scored_and_reads_what_is_new(myriad, server):
    check = myriad("check", "shop")
    assert check.returncode == 0, check.stdout + check.stderr
    assert "env:MYRIAD_SOURCE" in check.stdout
    whole = myriad("run", "shop")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    summary = json.loads((myriad.folder / "var/reports/shop/latest.json").read_text())
    assert (summary["rows"]["read"], summary["predictions"]) == (len(sales()), 40)
    assert summary["files"]["refused"] == []

    last = sales().week.max()
    server.execute(
        f"INSERT INTO sales SELECT '{last}'::date + 7, store, brand, 50, 2, 10000 + store FROM sales "
        f"WHERE week = '{last}' AND store < 4"
    )
    again = document(myriad("ingest", "shop", "--json"))["stages"]["ingest"]
    assert (again["files"], again["unchanged"], again["read"], again["accepted"]) == (2, 1, 6, 6)
    texts = "".join(path.read_text(errors="replace") for path in (myriad.folder / "var").rglob("*") if path.is_file())
    assert server.url().partition("@")[0] not in texts
    assert not any(secret in texts for secret in ("s3cret", "of the reader"))


def test_a_database_of_plans_that_is_away_stops_the_run_before_its_training(myriad, server):
    report = myriad.folder / "var/reports/shop/latest.json"
    before = report.read_text()
    away = myriad("run", "shop", MYRIAD_PLANS=server.url("plans").replace(str(server.port), "1"))
    text = away.stdout + away.stderr
    assert away.returncode != 0
    assert "postgresql://127.0.0.1:1/plans" in text
    assert "s3cret" not in text
    assert report.read_text() == before


def test_a_database_that_is_away_is_named_without_its_password(myriad, server):
    away = myriad("ingest", "shop", MYRIAD_SOURCE=server.url().replace(str(server.port), "1"))
    assert away.returncode == 2
    assert "postgresql://127.0.0.1:1/postgres" in away.stderr
    assert "s3cret" not in away.stdout + away.stderr


KILLED = """
import os, signal, sys
from pathlib import Path
from adapters.databases.postgresql_query import _PostgreSqlReader
from adapters.lake import table
from adapters.lake.table import Table
from sql_ingest import ingest, sql_run
from sql_sources import Database

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "reading":
    plain = _PostgreSqlReader._taken
    def taken(self, reader):
        yield next(plain(self, reader))
        die()
    _PostgreSqlReader._taken = taken
elif sys.argv[2] == "staged":
    Table.replace = die
else:
    plain, commits = table.commit, []
    def commit(*arguments):
        plain(*arguments)
        commits.append(arguments)
        if len(commits) == int(sys.argv[2]):
            die()
    table.commit = commit
ingest(sql_run(Database("postgresql", "env:SOURCE", Path(sys.argv[1]), None)))
"""


def test_kills_leave_every_row_once(database, tmp_path):
    paths = os.pathsep.join([str(SUPPORT.parents[1]), str(SUPPORT)])
    database.insert(*((day, "a", f"2024-01-{day:02}", float(day), day) for day in range(1, 4)))
    for moment in ("reading", "staged", "1", "2", "reading"):
        command = [sys.executable, "-c", KILLED, str(tmp_path), moment]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, timeout=120)
        assert done.returncode == -9, done.stderr.decode()
        database.insert((10 + len(moment), "b", "2024-01-01", 1.0, 1))
    run = sql_run(database)
    ingest_files(run, "observations", run.fleet.source)
    rows = landed_rows(run)
    assert len(rows) == 3 + 5
    assert [row for row in rows if row[0] == "store=a"] == [("store=a", day, float(day)) for day in (1, 2, 3)]
    assert ingest_files(run, "observations", run.fleet.source).read == 0
