"""Runs the stages of the shop in this process and kills it with SIGKILL at its n-th commit; see faults/test_kill.py.

Usage: python killed.py FOLDER COMMIT before|after RUN_ID
"""

import os
import signal
import sys
from pathlib import Path

from shop import open_run, train_all

from adapters.compute.dask import InlineWorkers
from adapters.lake import table
from adapters.registry import Registry
from tasks.ingest import ingest_files
from tasks.promote import promote_challengers, sync_aliases
from tasks.score import score_fleet


def kill_at(commit, moment):
    plain, seen = table.commit, []

    def committing(handle, *arguments):
        seen.append(handle.table_uri)
        due = len(seen) == commit
        if due and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        plain(handle, *arguments)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)

    table.commit = committing
    return seen


def run_stages(folder, run_id):
    """From raw files to predictions."""
    run = open_run(folder, InlineWorkers(), run_id)
    registry = Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
    train_all(run, registry)
    ingest_files(run, "requests", run.fleet.score.source)
    promote_challengers(run)
    sync_aliases(run, registry)
    score_fleet(run)


if __name__ == "__main__":
    commits = kill_at(int(sys.argv[2]), sys.argv[3])
    run_stages(Path(sys.argv[1]), sys.argv[4])
    print(len(commits))
