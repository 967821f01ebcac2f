"""Scores the shop in several processes at the same moment; see tests/integration/faults/test_concurrent.py.

Usage: python scoring.py FOLDER LAKE PROCESSES
"""

import os
import sys
import time
from pathlib import Path

from shop import shop

from adapters.compute.dask import InlineWorkers
from adapters.lake.table import Lake
from tasks.context import Run
from tasks.score import score_fleet
from tasks.workers.run_context import RunContext


def score(folder, lake, number, begin):
    run = Run(RunContext(shop(), Lake(lake), f"job-{number}", folder), InlineWorkers())
    time.sleep(max(0.0, begin - time.time()))
    summary = score_fleet(run)
    (folder / f"done-{number}").write_text(f"{summary.job_id} {summary.repeated} {summary.rows}")


def main(folder, lake, processes):
    """Forked before anything has a thread, so that the imports are paid for once."""
    begin, children = time.time() + 1.0, []
    for number in range(processes):
        child = os.fork()
        if not child:
            try:
                score(folder, lake, number, begin)
            except BaseException as exc:
                (folder / f"failed-{number}").write_text(repr(exc))
                raise
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
