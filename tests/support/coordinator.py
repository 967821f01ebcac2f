"""Runs a fleet's stages with the workers of the settings, and tells after every bucket which hosts have had some.

Usage: MYRIAD_DASK_ADDRESS=... python coordinator.py FOLDER, with a fleet file in the folder; see
tests/integration/faults/test_hosts.py. Lines are JSON: stage, done, total, results and at_work by host.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from adapters.compute.dask import open_workers
from adapters.compute.progress import subscribed
from adapters.lake.table import Lake
from adapters.registry import Registry
from adapters.settings import Settings
from adapters.sources.fleet_files import load_fleet
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers, sync_aliases
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext


def run_stages(folder, lake, workers):
    """From raw files to predictions."""
    run = Run(RunContext(load_fleet(str(folder / "fleet.yaml"), folder), Lake(str(lake)), "run-1", folder), workers)
    registry = Registry(f"sqlite:///{lake}.db", f"{lake}-artifacts")
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    train_challengers(run)
    register_challengers(run, registry)
    promote_challengers(run)
    sync_aliases(run, registry)
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)


def by_host(workers):
    found = Counter()
    for address, keys in workers.items():
        found[urlsplit(address).hostname] += len(keys)
    return found


def main(folder):
    with open_workers(Settings()) as workers:
        client = workers._client

        def tell(progress):
            places = {"results": by_host(client.has_what()), "at_work": by_host(client.processing())}
            told = {"stage": progress.stage, "done": progress.done, "total": progress.total}
            print(json.dumps(told | places), flush=True)

        with subscribed(tell):
            run_stages(folder, folder / "lake", workers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
