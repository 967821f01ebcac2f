"""Commands that find nothing to do run here, and leave everything to workers where there is work."""

import sqlite3
import sys

import pytest
import yaml
from shop import future, sales, shop

from adapters.lake.table import Lake
from adapters.registry import Registry
from domain.data.tables import CHALLENGERS, CHAMPIONS, OUTCOMES, PREDICTIONS, VERDICTS
from domain.errors import UnknownNameError
from flows import actions
from flows.bodies import steps
from flows.bodies.in_process import run_in_process
from flows.session import open_session

SPECS = (CHALLENGERS, CHAMPIONS, OUTCOMES, PREDICTIONS, VERDICTS)


@pytest.fixture
def project(tmp_path, monkeypatch, workers):
    """A home with the shop's files, whose flows are not Prefect's but the same steps with workers in this process."""
    for name, frame in (("sales", sales()), ("future", future())):
        (tmp_path / name).mkdir()
        frame.to_csv(tmp_path / name / "a.csv", index=False)
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(shop().model_dump(mode="json", exclude_defaults=True)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MYRIAD_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr("adapters.compute.dask._open", [workers])
    return Lake(str(tmp_path / "var/lake"))


@pytest.fixture
def ran(project, monkeypatch):
    """The project after a whole run, and no way to Prefect from here on."""
    with open_session("shop.yaml", None, "run-1", exclusive=True) as session:
        for step in (steps.ingest, steps.partition, steps.train, steps.register, steps.promote, steps.score):
            step(session)
        steps.accuracy(session)

    def refuse():
        raise AssertionError("there is nothing to do, and Prefect was to be started")

    monkeypatch.setattr(actions, "prepare_flows", refuse)
    return project


def versions(lake):
    return {spec.name: lake.table("shop", spec).version() for spec in SPECS}


def test_work_is_left_alone_before_anything_is_written(project):
    assert run_in_process(steps.ingest, "shop.yaml", None, "run-1") is None
    with open_session("shop.yaml", None, "run-1") as session:
        steps.ingest(session)
        steps.partition(session)
    assert run_in_process(steps.train, "shop.yaml", None, "run-1") is None
    assert run_in_process(steps.score, "shop.yaml", None, "run-1") is None
    assert set(versions(project).values()) == {-1}


def test_a_job_that_is_committed_is_told_again(ran):
    before = versions(ran)
    (summary,) = actions.score_fleet("shop.yaml")
    assert (summary.repeated, summary.release, summary.rows) == (
        True,
        1,
        ran.table("shop", PREDICTIONS).read().num_rows,
    )
    assert actions.measure_accuracy("shop.yaml").measured == 0
    assert versions(ran) == before


def test_a_whole_run_without_work_keeps_its_ledgers_and_writes_a_report(ran, tmp_path):
    result = actions.run_all("shop.yaml")
    outcomes = ran.table("shop", OUTCOMES).read(["run_id", "outcome"]).to_pylist()
    assert {row["outcome"] for row in outcomes if row["run_id"] == result.run_id} <= {"reused", "fallback", "skipped"}
    assert len([row for row in outcomes if row["run_id"] == result.run_id]) == result.stages.train.segments
    verdicts = ran.table("shop", VERDICTS).read(["run_id", "segment", "gate"]).to_pylist()
    first, second = (
        {(row["segment"], row["gate"]) for row in verdicts if row["run_id"] == run} for run in ("run-1", result.run_id)
    )
    assert second > first > set()  # The challengers are compared with their champions now.
    assert (result.stages.promote.promoted, result.stages.promote.release) == (0, 1)
    assert result.report.exists()
    assert [time.name for time in result.stages.timings][-1] == "evaluate"


@pytest.mark.parametrize("command", ["ingest", "partition", "train", "promote"])
def test_each_stage_without_work_tells_its_figures(ran, command):
    figures = actions.run_command(command, "shop.yaml").stages[command]
    expected = {"ingest": ("read", 0), "partition": ("rejected", 0), "train": ("rows", 0), "promote": ("promoted", 0)}
    name, value = expected[command]
    assert figures[name] == value


def test_a_promotion_that_would_make_a_release_is_work(ran, monkeypatch):
    held = ran.table("shop", CHAMPIONS)
    held.replace([], lambda file: True)
    before = versions(ran)
    with pytest.raises(AssertionError, match="Prefect was to be started"):
        actions.run_command("promote", "shop.yaml")
    assert versions(ran) == before


def test_lost_registrations_are_work(ran, tmp_path):
    with sqlite3.connect(tmp_path / "var/mlflow/mlflow.db") as database:
        for table in ("registered_model_aliases", "model_version_tags", "model_versions"):
            database.execute(f"DELETE FROM {table}")
    with pytest.raises(AssertionError, match="Prefect was to be started"):
        actions.run_command("train", "shop.yaml")


def test_a_pin_and_a_rollback_make_releases_here(ran, monkeypatch):
    segment = ran.table("shop", CHAMPIONS).read(["segment", "level"]).to_pylist()
    key = next(row["segment"] for row in segment if row["level"] == "segment")
    assert actions.pin_segment("shop.yaml", key, 1).release == 2
    assert actions.pin_segment("shop.yaml", key, None).release == 3
    assert actions.roll_back("shop.yaml", 2).release == 4
    with pytest.raises(UnknownNameError, match="no segment or level"):
        actions.pin_segment("shop.yaml", "store=77", 1)


def test_a_server_records_a_pin(ran, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with pytest.raises(AssertionError, match="Prefect was to be started"):
        actions.pin_segment("shop.yaml", "store=1/brand=amber", 1)


def test_a_large_fleet_leaves_reading_its_models_to_workers(ran, monkeypatch):
    monkeypatch.setattr("flows.bodies.in_process._SMALL_SEGMENTS", 2)
    with pytest.raises(AssertionError, match="Prefect was to be started"):
        actions.run_command("promote", "shop.yaml")
    assert actions.run_command("train", "shop.yaml").stages["train"]["rows"] == 0


def test_the_registry_is_asked_without_mlflow(ran, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    rows = ran.table("shop", CHAMPIONS).read(["model_name", "fingerprint", "model_version"]).to_pylist()
    registry = Registry(f"sqlite:///{tmp_path}/var/mlflow/mlflow.db")
    known = registry.versions([row["model_name"] for row in rows])
    assert all(known[row["model_name"]][row["fingerprint"]] == row["model_version"] for row in rows)
    assert registry.set_alias("champion", {row["model_name"]: row["model_version"] for row in rows}) == 0
