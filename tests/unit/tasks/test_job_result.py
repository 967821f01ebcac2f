"""Jobs over given files: each scored once, told file by file, and refused as a whole where too many rows are bad."""

import json

import pandas as pd
import pytest
from rides import PAIRS, rides, rides_fleet

from adapters.lake.job_results import read_job_result
from adapters.lake.table import Lake
from domain.data.tables import INPUTS, PREDICTIONS, QUARANTINE, landed
from domain.errors import RequestError, SourceError
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.job_result import deliver_output, job_result_of
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext


@pytest.fixture
def run(tmp_path, workers):
    """A fleet with a release, and three files to score, in a folder that is not its source."""
    from adapters.registry import Registry

    for name in ("history", "asked"):
        (tmp_path / name).mkdir()
    rides(300, 0, PAIRS).to_csv(tmp_path / "history/a.csv", index=False)
    for number in (1, 2, 3):
        rides(20 * number, number, PAIRS).drop(columns="minutes").to_csv(tmp_path / f"asked/{number}.csv", index=False)
    fleet = rides_fleet(gates={"baseline_tolerance": 10.0})
    made = Run(RunContext(fleet, Lake(str(tmp_path / "lake")), "job-1", tmp_path), workers)
    ingest_files(made, "observations", fleet.source)
    partition_observations(made)
    train_challengers(made)
    register_challengers(made, Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts")))
    promote_challengers(made)
    return made


def scored(run, *paths, run_id="job-1", share=1.0):
    ours = Run(RunContext(run.fleet, run.context.lake, run_id, run.context.home), run.workers)
    ingest_files(ours, "requests", run.fleet.score.source, list(paths), share)
    return job_result_of(ours, score_fleet(ours), list(paths))


def test_only_the_files_of_a_job_are_scored_and_each_is_told(run):
    found = scored(run, "asked/1.csv", "asked/2.csv")
    assert [(one.uri.rpartition("/")[2], one.read, one.accepted, one.predictions) for one in found.inputs] == [
        ("1.csv", 20, 20, 20),
        ("2.csv", 40, 40, 40),
    ]
    assert (found.rows, found.release, found.statuses) == (60, 1, {"ok": 60})
    assert run.table(PREDICTIONS).read(["row"]).num_rows == 60
    assert read_job_result(run.context.lake, "rides", "job-1") == found
    assert read_job_result(run.context.lake, "rides", "job-2") is None


def test_a_second_job_over_the_same_file_scores_it_no_more_and_tells_its_rows(run):
    scored(run, "asked/1.csv")
    found = scored(run, "asked/1.csv", "asked/3.csv", run_id="job-2")
    assert [one.predictions for one in found.inputs] == [20, 60]
    assert run.table(PREDICTIONS).read(["row"]).num_rows == 80
    again = scored(run, "asked/1.csv", run_id="job-3")
    assert (again.repeated, [one.predictions for one in again.inputs]) == (True, [20])
    assert (found.levels, again.levels) == ({"": 80}, {"": 20})
    assert run.table(PREDICTIONS).read(["row"]).num_rows == 80


def test_too_many_bad_rows_leave_nothing_behind(run, tmp_path):
    bad = rides(50, 9, PAIRS).drop(columns="minutes").astype({"distance": object})
    bad.loc[:9, "distance"] = "far"
    bad.to_csv(tmp_path / "asked/bad.csv", index=False)
    with pytest.raises(
        SourceError, match=r"10 of 50 rows are rejected, more than the share of 0\.1 .*nothing was taken in"
    ):
        scored(run, "asked/bad.csv", share=0.1)
    assert run.table(landed(run.fleet, "requests")).version() == -1
    assert run.table(QUARANTINE).read(["stage"]).num_rows == 0
    found = scored(run, "asked/bad.csv", share=0.2)
    (one,) = found.inputs
    assert (one.read, one.accepted, one.quarantined, one.predictions) == (50, 40, 10, 40)


def test_a_job_does_not_forget_why_other_files_were_refused(run, tmp_path):
    (tmp_path / "today").mkdir()
    (tmp_path / "today/odd.csv").write_text("ride\n1\n")
    rides(5, 7, PAIRS).drop(columns="minutes").to_csv(tmp_path / "today/good.csv", index=False)
    assert len(ingest_files(run, "requests", run.fleet.score.source).refused) == 1

    def errors():
        return [row["error"] for row in run.table(INPUTS).read(["error"]).to_pylist() if row["error"]]

    before = errors()
    scored(run, "asked/1.csv")
    assert errors() == before != []


def test_an_account_is_plain_json(run, tmp_path):
    scored(run, "asked/1.csv")
    content = json.loads((tmp_path / "lake/rides/_jobs/job-1.json").read_text())
    assert content["inputs"][0]["statuses"] == {"ok": 20}


def test_predictions_of_a_job_are_written_to_a_file_as_well(run, tmp_path):
    found = scored(run, "asked/1.csv")
    assert deliver_output(run, found, "out/job-1.csv") == 20
    assert deliver_output(run, found, str(tmp_path / "out/job-1.parquet")) == 20
    by_csv, by_parquet = pd.read_csv(tmp_path / "out/job-1.csv"), pd.read_parquet(tmp_path / "out/job-1.parquet")
    assert len(by_csv) == len(by_parquet) == 20
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["job-1.csv", "job-1.parquet"]
    with pytest.raises(RequestError, match=r"out/job-1.xlsx: give a name that ends in \.csv or \.parquet"):
        deliver_output(run, found, "out/job-1.xlsx")
