"""Maintain beside runs: nothing is done again after it, and a kill in its middle leaves the tables as they were."""

import os
import random
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from compare_lakes import differences, tables_below

from adapters.lake import maintenance as upkeep
from domain.data.tables import PREDICTIONS, observations
from tasks.ingest import ingest_files
from tasks.maintain import maintain_fleet
from tasks.partition import partition_observations
from tasks.score import score_fleet
from tasks.train import train_challengers

ROOT = Path(__file__).parents[3]
SCRIPT = """
import os, signal, sys
from datetime import timedelta
from adapters.lake import table
from adapters.lake.table import Lake, Table
from adapters.lake import maintenance as upkeep
from tasks.maintain import maintain_fleet

left = int(sys.argv[2])

def dying(plain):
    def call(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*arguments, **named)
    return call

# Before and between everything that changes anything.
Table.stage, table.commit = dying(Table.stage), dying(table.commit)
upkeep.vacuum_table = dying(upkeep.vacuum_table)
import tasks.maintain
tasks.maintain.vacuum_table = dying(tasks.maintain.vacuum_table)
maintain_fleet(Lake(sys.argv[1]), "shop", 24)
"""


@pytest.fixture
def scored(trained):
    """Several jobs over one release: each bucket of the predictions has several files."""
    for release in (None, 1):
        score_fleet(trained.run(), release)
    run = trained.run("run-3")
    table = run.table(PREDICTIONS)
    for part in ("bucket-0", "bucket-1"):
        rows = table.read(table.spec.file_schema.names, lambda partition, part=part: partition["part"] == part)
        staged = [table.stage(rows.slice(0, 0), part=part), table.stage(rows.slice(0, 0), part=part)]
        table.replace(staged, lambda file: False)
    return run


def test_after_it_nothing_is_done_again(scored, trained):
    before = tables_below(trained.folder / "lake" / "shop")
    done = maintain_fleet(scored.context.lake, "shop", 24)
    assert sum(one.merged for one in done.tables) >= 4
    assert differences(tables_below(trained.folder / "lake" / "shop"), before, ()) == []
    again = trained.run("run-4")
    version = again.table(PREDICTIONS).version()
    ingest_files(again, "observations", again.fleet.source)
    assert partition_observations(again).version == scored.table(observations(again.fleet)).version()
    assert set(train_challengers(again).outcomes) <= {"reused", "fallback", "skipped"}
    assert score_fleet(again).repeated
    assert again.table(PREDICTIONS).version() == version


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_in_its_middle_leaves_what_was_there(seed, scored, trained):
    lake, table = scored.context.lake, scored.table(PREDICTIONS)
    names = ["segment", "time", "release", "prediction", "part"]
    before = sorted(map(str, table.read(names).to_pylist()))
    moment = random.Random(seed).randint(1 + 4 * seed, 4 + 4 * seed)
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, lake.uri, str(moment)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert sorted(map(str, table.read(names).to_pylist())) == before
    maintain_fleet(lake, "shop", 24)
    assert sorted(map(str, table.read(names).to_pylist())) == before
    assert upkeep.compact_table(lake, "shop", PREDICTIONS, dry_run=True).merged == 0
    upkeep.vacuum_table(table.uri, "predictions", timedelta(0), dry_run=False)
    assert sorted(map(str, table.read(names).to_pylist())) == before
