"""Columns with names that somebody else gave: brackets, line breaks, slashes, our own names, through a whole run."""

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from adapters.lake.table import Lake
from adapters.queries.job_output import write_output
from adapters.registry import Registry
from adapters.sources.sampling import check_fleet
from domain.config.fleet import parse_fleet
from domain.data.tables import PREDICTIONS
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.job_result import job_result_of
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext

CASES = [
    (["store (nr)", "a\nb"], "time", "target", "path"),
    (["segment", "q\"uo'te/%="], "row", "units", "segment (1)"),
    (["__index", "\x1b[31m"], "input_id", " lead", "x" * 300),
    (["path_id", "ünï 店 🎉"], "reason", "..", "*"),
]


def write(folder, keys, time, target, known):
    weeks = pd.date_range("2023-01-02", periods=64, freq="W-MON").strftime("%Y-%m-%d")
    rows = [
        {keys[0]: first, keys[1]: second, time: week, target: 10 + number % 7, known: number % 5}
        for first in ("1", "2")
        for second in ("x", "y\n(z)")
        for number, week in enumerate(weeks)
    ]
    frame = pd.DataFrame(rows)
    late = frame[time] > weeks[59]
    for name, part in (("sales", frame[~late]), ("future", frame[late].drop(columns=target))):
        (folder / name).mkdir()
        part.to_csv(folder / name / "a.csv", index=False)


@pytest.mark.parametrize(("keys", "time", "target", "known"), CASES)
def test_a_whole_run_with_odd_names(tmp_path, workers, keys, time, target, known):
    write(tmp_path, keys, time, target, known)
    content = {"name": "odd", "task": "forecast", "source": {"path": "sales"}, "segment_by": keys, "horizon": 4}
    content |= {
        "time": {"column": time, "frequency": "W"},
        "target": {"column": target},
        "candidates": ["ses", "ridge"],
    }
    content |= {"features": {"known": [known]}, "score": {"source": {"path": "future"}}, "fallback": ["global"]}
    fleet = parse_fleet(content, "odd.yaml")
    assert not check_fleet(fleet, tmp_path, 1).errors
    run = Run(RunContext(fleet, Lake(str(tmp_path / "lake")), "run-1", tmp_path), workers)
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    ingest_files(run, "observations", fleet.source)
    ingest_files(run, "requests", fleet.score.source)
    partition_observations(run)
    train_challengers(run)
    register_challengers(run, registry)
    promote_challengers(run)
    summary = score_fleet(run)
    assert summary.statuses == {"ok": 16}
    assert np.isfinite(run.table(PREDICTIONS).read()["prediction"].to_numpy()).all()
    result = job_result_of(run, summary, ())
    assert write_output(run.context.lake, fleet, result, "csv", tmp_path / "out.csv") == 16
    written = pd.read_csv(tmp_path / "out.csv")
    assert len(written) == 16
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    models = client.search_registered_models(max_results=100)
    assert len(models) >= 4
    for model in models:
        for key, value in model.tags.items():
            client.set_registered_model_tag(model.name, key, value)  # MLflow itself takes every key.
