"""The whole product as its user runs it: the command, real Prefect, a real Dask cluster, real MLflow."""

import json
import os
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
import yaml
from deltalake import DeltaTable
from mlflow import MlflowClient
from shop import future, sales, shop
from tampering import changed

ROOT = Path(__file__).parents[3]


def myriad(folder, *arguments, **more):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("MYRIAD_", "PREFECT_", "MLFLOW_"))
    }
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, cwd=folder, env=clean | more, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def again(project, prefect_server):
    """Further commands in the project, which share a Prefect server: one of their own takes each of them seconds."""
    return partial(myriad, project, PREFECT_API_URL=prefect_server, MYRIAD_WORKERS="1")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with raw files and a fleet file, run once."""
    folder = tmp_path_factory.mktemp("project")
    truth = future().assign(units=50.0)
    for name, frame in (("sales", sales()), ("future", future()), ("truth", truth)):
        (folder / name).mkdir()
        frame.to_csv(folder / name / "a.csv", index=False)
    content = shop().model_dump(mode="json", exclude_defaults=True)
    content["candidates"] = ["seasonal_naive", "ses", "ridge"]
    content["test"] = {"source": {"path": "truth/*.csv"}}
    (folder / "fleets").mkdir()
    (folder / "fleets" / "shop.yaml").write_text(yaml.safe_dump(content))
    done = myriad(folder, "run", "fleets/shop.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def summary(folder):
    return json.loads((folder / "var/reports/shop/latest.json").read_text())


def test_the_summary_keeps_its_contract(project):
    found = summary(project)
    assert found["fleet"] == "shop"
    assert found["release"] == 1
    assert found["segments"] == 8
    assert found["outcomes"] == {"trained": 7, "reused": 0, "fallback": 1, "skipped": 0, "failed": 0}
    assert (found["registered"], found["promoted"], found["held"]) == (7, 7, 0)
    assert found["predictions"] == 40
    assert found["rows"]["read"] == found["rows"]["accepted"] + found["rows"]["quarantined"] == len(sales())
    assert found["files"] == {"found": 1, "unchanged": 0, "refused": []}
    assert [stage["name"] for stage in found["stages"]] == [
        *("ingest", "partition", "plan", "train", "register", "promote", "score", "accuracy", "evaluate")
    ]
    assert all(stage["seconds"] > 0 and stage["rows"] >= 0 for stage in found["stages"])
    assert found["peak_rss_bytes"] > 100_000_000
    assert found["metric"]["name"] == "wape"
    assert found["metric"]["champion"] > 0
    assert found["metric"]["test"]["rows"] == 36
    assert 0 <= found["metric"]["test"]["coverage"] <= 1


def test_predictions_are_readable_as_delta_by_anybody(project):
    frame = DeltaTable(project / "var/lake/shop/predictions").to_pandas()
    assert len(frame) == 40
    assert not frame.duplicated(["segment", "origin", "time", "release"]).any()
    assert frame.model_name.notna().all()
    # Also with a filter, which readers push down to the statistics of the files.
    dataset = DeltaTable(project / "var/lake/shop/predictions").to_pyarrow_dataset()
    one = dataset.to_table(filter=(ds.field("segment") == "store=1/brand=amber") & (ds.field("step") <= 2))
    assert one.num_rows == 2


def test_any_mlflow_client_loads_and_runs_a_champion_in_another_process(project):
    program = """
import json, mlflow, numpy, onnxruntime, sys
model = mlflow.onnx.load_model("models:/shop.1.amber@champion")
session = onnxruntime.InferenceSession(model.SerializeToString())
[value] = session.get_inputs()
print(json.dumps([value.name, value.shape[1], [output.name for output in session.get_outputs()]]))
"""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/var/mlflow/mlflow.db"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    name, width, outputs = json.loads(done.stdout.splitlines()[-1])
    assert (name, outputs) == ("features", ["prediction", "lower", "upper"])
    assert width > 10


def test_the_run_is_in_mlflow_with_its_figures_and_its_report(project):
    client, figures = MlflowClient(f"sqlite:///{project}/var/mlflow/mlflow.db"), summary(project)
    experiment = client.get_experiment_by_name("shop")
    (run,) = client.search_runs([experiment.experiment_id], f"params.run_id = '{figures['run_id']}'")
    metrics = run.data.metrics
    assert metrics["error"] == pytest.approx(figures["metric"]["champion"])
    assert metrics["test_error"] == pytest.approx(figures["metric"]["test"]["champion"])
    assert (metrics["outcomes.trained"], metrics["rows"]) == (7, figures["rows"]["accepted"])
    assert run.data.params["task"] == "forecast"
    assert {"report.html", "fleet.yaml"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "shop/observations"


def test_the_report_opens_offline_and_is_small(project):
    page = (project / "var/reports/shop/latest.html").read_text()
    assert len(page) < 3_000_000
    assert "shop" in page
    parser = HTMLParser()
    parser.feed(page)
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_second_run_reuses_everything_and_predicts_nothing_twice(project, again):
    before = DeltaTable(project / "var/lake/shop/predictions").to_pandas()
    done = again("run", "fleets/shop.yaml", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = summary(project)
    assert json.loads(done.stdout) == found
    assert "train: " in done.stderr  # the progress
    assert found["outcomes"] == {"trained": 0, "reused": 7, "fallback": 1, "skipped": 0, "failed": 0}
    assert (found["registered"], found["promoted"], found["held"], found["release"]) == (7, 0, 0, 1)
    after = DeltaTable(project / "var/lake/shop/predictions").to_pandas()
    pd.testing.assert_frame_equal(before, after)
    assert np.isfinite(after.prediction).all()


def test_a_stage_by_itself_tells_what_it_did_in_one_document(project, again):
    done = again("train", "shop", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["fleet"] == "shop"
    assert list(found["stages"]) == ["train", "register"]
    assert found["stages"]["train"]["outcomes"] == {"reused": 7, "fallback": 1}
    assert (found["stages"]["register"]["registered"], found["stages"]["register"]["created"]) == (7, 0)
    status = json.loads(again("status", "shop", "--json").stdout)
    assert status["runs"][0]["run_id"] == found["run_id"]


def test_rollback_makes_a_new_release_of_an_old_one(project, again):
    done = again("rollback", "fleets/shop.yaml", "--to", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "release 2 is in force" in done.stdout
    refused = again("rollback", "fleets/shop.yaml", "--to", "9")
    assert refused.returncode == 1
    assert "release 9 is not kept" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_fleet_whose_gates_hold_everything_still_predicts_and_reports(project, again):
    content = yaml.safe_load((project / "fleets/shop.yaml").read_text())
    content |= {"name": "strict", "gates": {"worst_metric": 1e-9}}
    (project / "fleets/strict.yaml").write_text(yaml.safe_dump(content))
    done = again("run", "fleets/strict.yaml")
    (project / "fleets/strict.yaml").unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((project / "var/reports/strict/latest.json").read_text())
    assert (found["release"], found["promoted"], found["held"]) == (None, 0, 7)
    assert "max_failed_share" in found["config"]["promotion"]
    frame = DeltaTable(project / "var/lake/strict/predictions").to_pandas()
    assert set(frame.status) == {"ok", "no_model"}
    assert set(frame.candidate.dropna()) == {"naive"}


def test_past_dates_are_forecast_measured_and_exported(project, again):
    done = again("score", "shop", "--release", "1", "--from", "2025-01-06", "--to", "2025-01-19", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = json.loads(done.stdout)
    assert [(job["as_of"], job["in_sample"]) for job in jobs] == [("2025-01-12", 24), ("2025-01-19", 28)]
    assert "the fleet's zone, UTC" in again("score", "shop", "--as-of", "soon").stderr
    done = again("accuracy", "shop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert next(line.split()[:3] for line in done.stdout.splitlines() if " in sample " in line) == ["1", "in", "sample"]
    done = again("export", "shop", "predictions", "--to", "var/out.csv", "--segment", "store=1/brand=amber")
    assert done.returncode == 0, done.stdout + done.stderr
    frame = pd.read_csv(project / "var/out.csv")
    assert set(frame.brand) == {"amber"}
    assert set(frame.as_of.dropna()) == {"2025-01-12T00:00:00Z", "2025-01-19T00:00:00Z"}


def test_the_registry_is_repaired_by_the_command(project, again):
    graph = next((project / "var/mlflow/artifacts").rglob("shop.1.amber-*/model.onnx"))
    intact = graph.read_bytes()
    graph.write_bytes(changed(intact))
    listed = again("registry", "sync", "shop", "--dry-run", "--json")  # Its stages have names with spaces.
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["differences"]
    assert graph.read_bytes() != intact
    done = again("registry", "sync", "shop")
    assert done.returncode == 0, done.stderr
    assert graph.read_bytes() == intact


def test_nothing_is_written_outside_var(project):
    assert {path.name for path in project.iterdir()} == {"sales", "future", "truth", "fleets", "var"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"horizon": 0}, "fleets/bad.yaml: horizon: 0 is not allowed"),
        ({"source": {"path": "nowhere/*.csv"}}, "nowhere/*.csv: no file matches"),
        ({"test": {"source": {"path": "nowhere/*.csv"}}}, "nowhere/*.csv: no file matches"),
    ],
)
def test_bad_input_is_one_clear_message_and_exit_code_2(project, again, change, told):
    content = yaml.safe_load((project / "fleets/shop.yaml").read_text()) | change
    (project / "fleets/bad.yaml").write_text(yaml.safe_dump(content | {"name": "bad"}))
    done = again("run", "fleets/bad.yaml")
    (project / "fleets/bad.yaml").unlink()
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
