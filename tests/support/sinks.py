"""Predictions in a lake without training, and deliveries of them in this process or in one that is killed.

Usage: python sinks.py FOLDER URL KILL_AT, where KILL_AT is a number of batches, `commit` or `committed`.
"""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from shop import open_run, shop

from adapters.compute.dask import InlineWorkers
from adapters.databases.connection import open_database
from adapters.queries import predictions_by_job
from adapters.queries.predictions_by_job import PredictionsByJob
from domain.data.tables import PREDICTIONS
from tasks.deliver import deliver_predictions

START = datetime(2024, 1, 1, tzinfo=UTC)


def fleet_with(url, **sink):
    return shop(sink={"url": url, **sink})


def forecasts(job, segments=2, steps=4, origin=0, **more):
    """Rows of a job."""
    return [
        {
            "segment": f"store={number}/brand=amber",
            "origin": START + timedelta(weeks=origin),
            "time": START + timedelta(weeks=origin + step),
            "step": step,
            "prediction": number + step / 8,
            "status": "ok",
            "release": 1,
            "job_id": job,
            "scored_at": START,
        }
        | more
        for number in range(segments)
        for step in range(1, steps + 1)
    ]


def commit(run, rows, part="bucket-0", removes=lambda file: False):
    """Commit predictions, in place of the files that `removes` picks."""
    table = run.table(PREDICTIONS)
    filled = [{name: row.get(name) for name in table.spec.file_schema.names} for row in rows]
    table.replace([table.stage(pa.Table.from_pylist(filled, table.spec.file_schema), part=part)], removes)


def run_with(folder, url, run_id="run-1", **sink):
    return open_run(folder, InlineWorkers(), run_id, fleet_with(url, **sink))


def kill_at(moment):
    """Let this process die by SIGKILL at a moment of its next delivery."""
    plain = PredictionsByJob.batches

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def batches(self, jobs):
        for number, batch in enumerate(plain(self, jobs), start=1):
            yield batch
            if str(number) == moment:
                die()

    def committing(connection):
        if moment == "commit":
            die()
        commit(connection)
        die()

    PredictionsByJob.batches = batches
    if moment.startswith("commit"):
        import adbc_driver_manager.dbapi as dbapi

        commit = dbapi.Connection.commit
        dbapi.Connection.commit = committing


def rows_in(address, query):
    with open_database(address) as database:
        return database.fetch(query)


if __name__ == "__main__":
    predictions_by_job._BATCH_ROWS = 100
    kill_at(sys.argv[3])
    deliver_predictions(run_with(Path(sys.argv[1]), sys.argv[2]))
    print("survived")
