"""SIGKILL before and after commits of every stage, then the same run again: the tables are as if nothing happened."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from shop import future, open_run, sales

from models.tables import CHALLENGERS, CHAMPIONS, PREDICTIONS, QUARANTINE, observations

ROOT = Path(__file__).parents[2]
NEVER = 10_000
KILLS = 6


def attempt(folder, commit, moment="before"):
    script = ROOT / "tests" / "support" / "killed.py"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{script.parent}"}
    return subprocess.run(
        [sys.executable, script, folder, str(commit), moment], env=environment, capture_output=True, text=True, cwd=ROOT
    )


def raw_files(folder):
    for name, frame in (("sales", sales()), ("future", future())):
        (folder / name).mkdir(parents=True)
        frame.to_csv(folder / name / "a.csv", index=False)


def tables(folder, workers):
    """What must be equal: everything but times, ids and run ids; inputs are known by their folder's path."""
    run = open_run(folder, workers)
    spared = {"job_id", "scored_at", "promoted_at", "source", "run_id", "latency_ms", "path", "input_id"}
    found = {}
    for spec in (observations(run.fleet), QUARANTINE, CHALLENGERS, CHAMPIONS, PREDICTIONS):
        frame = run.table(spec).read().to_pandas()
        frame = frame[[column for column in frame.columns if column not in spared]]
        found[spec.name] = frame.sort_values([c for c in ("segment", "time", "release") if c in frame]).reset_index(
            drop=True
        )
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, workers):
    folder = tmp_path_factory.mktemp("whole")
    raw_files(folder)
    done = attempt(folder, NEVER)
    assert done.returncode == 0, done.stderr
    return tables(folder, workers), int(done.stdout.split()[-1])


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_killed_run_that_is_repeated_leaves_the_same_tables(seed, uninterrupted, tmp_path, workers):
    expected, commits = uninterrupted
    raw_files(tmp_path)
    # Every test covers another part of the run, so that together they reach every stage.
    commit = random.Random(seed).randint(1 + seed * commits // KILLS, (seed + 1) * commits // KILLS)
    moment = ("before", "after")[seed % 2]
    killed = attempt(tmp_path, commit, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = attempt(tmp_path, NEVER)
    assert again.returncode == 0, again.stderr
    for name, frame in tables(tmp_path, workers).items():
        pd.testing.assert_frame_equal(frame, expected[name])
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    for model in client.search_registered_models(max_results=100):
        assert len(client.search_model_versions(f"name='{model.name}'")) == 1, model.name
        assert model.aliases == {"champion": 1} or int(model.aliases["champion"]) == 1
