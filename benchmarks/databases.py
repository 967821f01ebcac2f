"""Rows from PostgreSQL compared with the same rows from Parquet, and predictions into PostgreSQL.

One million rows of a daily forecast fleet (1,000 stores, 1,000 days, a price) land in a lake in a local folder, from
one Parquet file and from a table of a PostgreSQL server on the same machine, in turns; each time into a new lake, with
one worker in this process. The table has an index on its watermark. Then 1,000 rows are added, and the second run is
timed: it counts the known rows and reads the new ones. A sink gets a million predictions in one transaction.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.compute.dask import InlineWorkers
from adapters.databases.address import resolve_address
from adapters.databases.connection import TableName, open_database
from adapters.databases.tables import ensure_table
from adapters.lake.table import Lake
from benchmarks.machine import describe
from benchmarks.timing import by_turns, ratio, timed
from domain.config.fleet import parse_fleet
from domain.data.tables import PREDICTIONS
from tasks.context import Run
from tasks.deliver import deliver_predictions
from tasks.ingest import ingest_files
from tasks.workers.run_context import RunContext
from tests.support.postgres_server import PostgresServer, postgres_server

STORES, DAYS, ADDED = 1_000, 1_000, 1_000
ROUNDS = 7
VARIABLE = "MYRIAD_BENCHMARK_URL"
QUERY = "SELECT store, day, units, price, id FROM sales"
SALES = {"path": f"env:{VARIABLE}", "query": QUERY, "watermark": "id"}


def main() -> list[str]:
    """Return the lines of the benchmark."""
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder, _address(server):
        home = Path(folder)
        rows = _rows()
        pq.write_table(rows, home / "sales.parquet")
        _fill(server, home, rows)
        figures = by_turns(
            ROUNDS,
            parquet=lambda: _landed(home, {"path": "sales.parquet"}),
            postgresql=lambda: _landed(home, SALES),
        )
        second, unchanged = _second_runs(server, home)
        delivered, repeated = _delivered(home)
    million = STORES * DAYS
    return [
        *describe("python -m benchmarks databases"),
        "",
        "| | rows | seconds | rows per second |",
        "|---|---|---|---|",
        *(_line(f"landed from {name}", million, median(figures[name])) for name in ("parquet", "postgresql")),
        f"| second run, with {ADDED:,} new rows | {ADDED:,} | {second:.2f} | |",
        f"| third run, with nothing new | 0 | {unchanged:.2f} | |",
        _line("delivered to a sink", million, delivered),
        f"| delivered again, nothing new | 0 | {repeated:.2f} | |",
        "",
        f"PostgreSQL lands rows {ratio(figures['parquet'], figures['postgresql']):.2f} times as fast as Parquet.",
    ]


def _line(name: str, rows: int, seconds: float) -> str:
    return f"| {name} | {rows:,} | {seconds:.2f} | {rows / seconds:,.0f} |"


@contextmanager
def _address(server: PostgresServer) -> Iterator[None]:
    os.environ[VARIABLE] = server.url()
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def _rows() -> pa.Table:
    random = np.random.default_rng(0)
    number = np.arange(STORES * DAYS)
    first = np.datetime64("2022-01-01")
    columns = {
        "store": pa.array([f"store {store:04}" for store in number % STORES]),
        "day": pa.array(first + number // STORES, pa.date32()),
        "units": random.gamma(2.0, 20.0, len(number)),
        "price": random.uniform(1.0, 5.0, len(number)).round(2),
        "id": number,
    }
    return pa.table(columns)


def _fill(server: PostgresServer, home: Path, rows: pa.Table) -> None:
    import adbc_driver_postgresql.dbapi as adbc

    with adbc.connect(resolve_address(f"env:{VARIABLE}", home, "").target) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("sales", rows.to_reader(), mode="create")
        connection.commit()
    for statement in ("CREATE INDEX ON sales (id)", "VACUUM ANALYZE sales"):
        server.execute(statement)


def _run(home: Path, source: dict[str, str], lake: str, **more: object) -> Run:
    content = {
        "name": "shop",
        "task": "forecast",
        "source": source,
        "segment_by": ["store"],
        "time": {"column": "day", "frequency": "D"},
        "target": {"column": "units"},
        "features": {"known": ["price"]},
        "horizon": 7,
        "candidates": ["seasonal_naive"],
    }
    fleet = parse_fleet(content | more, "benchmark")
    return Run(RunContext(fleet, Lake(str(home / lake)), "run-1", home), InlineWorkers())


def _landed(home: Path, source: dict[str, str]) -> float:
    """Return the seconds to land all rows in a new lake."""
    with tempfile.TemporaryDirectory(dir=home) as lake:
        run = _run(home, source, f"{lake}/lake")
        return timed(lambda: _expect(run, STORES * DAYS))


def _expect(run: Run, rows: int) -> None:
    receipt = ingest_files(run, "observations", run.fleet.source)
    if receipt.accepted != rows:
        raise RuntimeError(f"{receipt.accepted:,} rows landed instead of {rows:,}")


def _second_runs(server: PostgresServer, home: Path) -> tuple[float, float]:
    """Return the seconds of a run with some new rows, and of one without."""
    run = _run(home, SALES, "lake")
    _expect(run, STORES * DAYS)
    server.execute(
        f"INSERT INTO sales SELECT store, day + {DAYS}, units, price, id + {STORES * DAYS} "
        f"FROM sales WHERE id < {ADDED}"
    )
    return timed(lambda: _expect(run, ADDED)), timed(lambda: _expect(run, 0))


def _delivered(home: Path) -> tuple[float, float]:
    """Return the seconds to deliver a million predictions to an empty table, and of a delivery without new ones."""
    run = _run(home, SALES, "lake", sink={"url": f"env:{VARIABLE}"})
    table, origin = run.table(PREDICTIONS), datetime(2025, 1, 1, tzinfo=UTC)
    empty = PREDICTIONS.schema.empty_table()
    address = resolve_address(f"env:{VARIABLE}", home, "")
    with open_database(address) as database, database.transaction():
        ensure_table(database, TableName("warm_up"), empty.schema)  # The driver is loaded before the clock runs.
    for job in range(10):
        rows = _predictions(f"shop-{job}", origin + timedelta(days=job))
        table.replace([table.stage(rows, part=f"bucket-{job}")], lambda file: False)
    return timed(lambda: deliver_predictions(run)), timed(lambda: deliver_predictions(run))


def _predictions(job: str, origin: datetime) -> pa.Table:
    count = STORES * DAYS // 10
    values = {
        "segment": [f"store=store%20{number % STORES:04}" for number in range(count)],
        "origin": [origin] * count,
        "time": [origin + timedelta(days=number // STORES) for number in range(count)],
        "step": [number // STORES for number in range(count)],
        "prediction": np.linspace(0, 1, count),
        "lower": np.linspace(0, 1, count),
        "upper": np.linspace(0, 1, count),
        "status": ["ok"] * count,
        "candidate": ["seasonal_naive"] * count,
        "model_name": [f"shop.{number % STORES}" for number in range(count)],
        "model_version": [1] * count,
        "release": [1] * count,
        "fallback_level": [""] * count,
        "job_id": [job] * count,
        "scored_at": [origin] * count,
    }
    schema = PREDICTIONS.file_schema
    columns = [
        pa.array(values[field.name], field.type) if field.name in values else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
