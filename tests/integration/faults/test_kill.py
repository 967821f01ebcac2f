"""SIGKILL before and after commits of every stage, then the same run again: the tables are as if nothing happened."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from compare_lakes import MOVED, SPARED, differences, tables_below
from killed import run_stages
from mlflow import MlflowClient
from shop import future, sales

from adapters.lake import lease
from domain.data.tables import CHAMPIONS, LEASES
from domain.errors import BusyError
from tasks.promote import restore_release

ROOT = Path(__file__).parents[3]
NEVER = 10_000
KILLS = 6


def attempt(folder, commit, moment="before", run_id="run-1"):
    script = ROOT / "tests" / "support" / "killed.py"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{script.parent}"}
    return subprocess.run(
        [sys.executable, script, folder, str(commit), moment, run_id],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


def raw_files(folder):
    for name, frame in (("sales", sales()), ("future", future())):
        (folder / name).mkdir(parents=True)
        frame.to_csv(folder / name / "a.csv", index=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    raw_files(folder)
    done = attempt(folder, NEVER)
    assert done.returncode == 0, done.stderr
    return tables_below(folder / "lake" / "shop"), int(done.stdout.split()[-1])


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_killed_run_that_is_repeated_leaves_the_same_tables(seed, uninterrupted, tmp_path):
    expected, commits = uninterrupted
    raw_files(tmp_path)
    # Every test covers another part of the run, so that together they reach every stage.
    commit = random.Random(seed).randint(1 + seed * commits // KILLS, (seed + 1) * commits // KILLS)
    moment = ("before", "after")[seed % 2]
    killed = attempt(tmp_path, commit, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_stages(tmp_path, "run-2")  # In this process: what it needs has been imported.
    assert differences(tables_below(tmp_path / "lake" / "shop"), expected, SPARED | MOVED) == []
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    for model in client.search_registered_models(max_results=100):
        assert len(client.search_model_versions(f"name='{model.name}'")) == 1, model.name
        assert model.aliases == {"champion": 1} or int(model.aliases["champion"]) == 1


def test_a_run_that_lost_its_lease_makes_no_release(trained):
    run = trained.run()
    before = run.table(CHAMPIONS).version()
    with lease.hold_lease(run.context.lake, "shop", "run-2", "promote"):
        run.table(LEASES).replace([], lambda file: True)
        with pytest.raises(BusyError, match=r"run run-2 \(promote\) lost its lease"):
            restore_release(run, 1, trained.registry)
        assert run.table(CHAMPIONS).version() == before
