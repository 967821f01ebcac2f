"""A fleet whose rows to score come later: it is checked and trained without them, and each command says what to do."""

import pytest

from adapters.lake.table import Lake
from adapters.queries.export import export_table
from adapters.queries.fleet_status import read_status
from adapters.queries.fleet_tables import FleetTables
from adapters.sources.new_files import awaited_input, check_inputs
from adapters.sources.sampling import check_fleet
from domain.errors import LakeError, SourceError
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.workers.run_context import RunContext

LATER = {"source": {"path": "later/*.csv"}}
WAY_OUT = "put files with rows to score there, then: myriad score rides"


@pytest.fixture
def rides(tmp_path, fleet, workers):
    (tmp_path / "in").mkdir()
    rows = [f"r{number},a,{number % 7 + 1},{3 * (number % 7) + 2},sun\n" for number in range(40)]
    (tmp_path / "in" / "a.csv").write_text("ride,route,distance,minutes,weather\n" + "".join(rows))
    return Run(RunContext(fleet.regression(score=LATER), Lake(str(tmp_path / "lake")), "run-1", tmp_path), workers)


def score_problems(fleet, home):
    return [(p.severity, p.message) for p in check_fleet(fleet, home, 1).problems if p.key == "score.source"]


def test_a_check_warns_that_there_is_nothing_to_score_yet(rides, tmp_path, fleet):
    ((severity, message),) = score_problems(rides.fleet, tmp_path)
    assert severity == "warning"
    assert "later/*.csv: no file matches" in message
    assert "can be trained and deployed, but nothing is predicted until a file is there" in message
    (tmp_path / "in" / "b.csv").write_text("store,brand,day,units,price\n1,x,2024-01-01,3,1\n")
    forecast = fleet.forecast(score=LATER, source={"path": "in/b.csv"})
    assert "forecasts carry the last known price forward" in score_problems(forecast, tmp_path)[0][1]


def test_a_run_goes_on_without_it_and_takes_it_once_it_is_there(rides, tmp_path):
    check_inputs(rides.context.lake, rides.fleet, tmp_path)
    receipt = ingest_files(rides, "requests", rides.fleet.score.source)
    assert (receipt.files, receipt.read, receipt.refused) == (0, 0, ())
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "x.csv").write_text("ride,route,distance,weather\nx,a,3,sun\n")
    assert ingest_files(rides, "requests", rides.fleet.score.source).read == 1
    assert awaited_input(rides.fleet, tmp_path) == ""
    assert score_problems(rides.fleet, tmp_path) == []


def test_inputs_of_a_request_and_files_to_train_on_have_to_be_there(rides, tmp_path, fleet):
    with pytest.raises(SourceError, match="no file matches"):
        ingest_files(rides, "requests", rides.fleet.score.source, ["other/*.csv"])
    with pytest.raises(SourceError, match="no file matches"):
        check_inputs(rides.context.lake, fleet.regression(source=LATER["source"]), tmp_path)
    with pytest.raises(SourceError, match="no file matches"):
        ingest_files(rides, "observations", rides.fleet.score.source)


def test_a_source_that_cannot_be_listed_is_an_error_as_before(rides, tmp_path, fleet):
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "x.csv").write_text("ride\n")
    locked = fleet.regression(score={"source": {"path": "nosuch://later/*.csv"}})
    assert score_problems(locked, tmp_path)[0][0] == "error"
    with pytest.raises(SourceError):
        ingest_files(rides, "requests", locked.score.source)
    assert awaited_input(locked, tmp_path) == ""


def test_status_and_export_name_the_file_that_is_missing(rides, tmp_path):
    tables = FleetTables(rides.context.lake, "rides")
    awaited = awaited_input(rides.fleet, tmp_path)
    assert WAY_OUT in awaited
    with pytest.raises(LakeError) as caught:
        export_table(tables, rides.fleet, "predictions", "out.csv", tmp_path)
    assert "there are no predictions yet: score.source: later/*.csv" in str(caught.value)
    assert WAY_OUT in str(caught.value)
    status = read_status(tables, tmp_path, "rides", awaited)
    assert status.next == ("nothing has been ingested: myriad run rides",)
