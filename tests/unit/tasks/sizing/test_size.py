"""Sizing of small fleets: sampled for real, told in figures that later estimates go by, and nothing else changed."""

import json

import pandas as pd
import pytest
from rides import PAIRS, rides, rides_fleet
from shop import future, open_run, sales, shop

from adapters.compute.measured_costs import read_cost_model
from adapters.lake.table import Lake
from domain.errors import SourceError
from models.training.fingerprints import cost_fingerprint
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.plan import estimate_training
from tasks.sizing.size import size
from tasks.workers.run_context import RunContext


@pytest.fixture
def raw(tmp_path):
    """Folder with the raw files of the shop, and no lake."""
    for name, frame in (("sales", sales()), ("future", future())):
        (tmp_path / name).mkdir()
        frame.to_csv(tmp_path / name / "a.csv", index=False)
    return tmp_path


def stamps(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


def test_a_sample_says_what_the_whole_takes_and_changes_nothing(trained, tmp_path):
    run, before = trained.run(), stamps(trained.folder)
    found = size(run, tmp_path / "reports", 200, 2)
    assert stamps(trained.folder) == before
    assert (found.sampled.segments, found.sampled.failed) == (8, 0)
    assert found.sampled.origin.startswith("the lake ")
    # Levels, and three buckets; a segment with too few rows is not trained.
    assert sum(work.segments for work in found.tasks.train) == 7 + 3
    assert sum(work.segments for work in found.tasks.score) == 8
    one = found.options[0]
    assert one.workers == 1
    assert min(one.train_seconds, one.score_seconds, found.largest_seconds, found.peak_bytes) > 0
    assert one.seconds > one.train_seconds + one.score_seconds
    assert found.here.workers <= 2


def test_of_a_larger_fleet_as_many_segments_are_measured_as_asked(trained, tmp_path):
    found = size(trained.run(), tmp_path / "reports", 5, 2)
    assert found.sampled.segments == 5
    assert found.tasks.segments == 8
    assert any(note.startswith("5 segments are few: the figures are rough") for note in found.notes)


def test_raw_files_are_enough_and_no_lake_is_made(raw, workers):
    found = size(open_run(raw, workers), raw / "reports", 200, 2)
    assert found.sampled.origin == "the raw files, since nothing has been partitioned"
    assert found.rates.score is not None
    assert not (raw / "lake").exists()
    assert [path.name for path in (raw / "reports").iterdir()] == ["sizing.json"]


def test_without_any_file_it_says_so(tmp_path, workers):
    with pytest.raises(SourceError, match=r"sales/\*\.csv"):
        size(open_run(tmp_path, workers), tmp_path / "reports", 200, 2)


def test_the_next_estimate_goes_by_what_was_measured_until_settings_change(raw, workers):
    run, reports = open_run(raw, workers), raw / "reports"
    size(run, reports, 200, 2)
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    found = estimate_training(run, 2, reports)
    assert found.basis.startswith("myriad size of ")
    assert found.models == 7 + 3
    dearer = open_run(raw, workers, fleet=shop(candidates=["seasonal_naive"]))
    assert estimate_training(dearer, 2, reports).basis == "built-in figures"
    assert read_cost_model(reports, cost_fingerprint(dearer.fleet)) is None
    (reports / "sizing.json").write_text("nonsense")
    assert estimate_training(run, 2, reports).basis == "built-in figures"


def test_segments_that_fail_are_told(raw, workers):
    broken = shop(candidates=[{"name": "broken", "estimator": "shop.Broken"}])
    found = size(open_run(raw, workers, fleet=broken), raw / "reports", 200, 2)
    assert found.sampled.failed == 7
    assert any("7 sampled segments failed to train: " in note and "broken on purpose" in note for note in found.notes)


@pytest.mark.parametrize("input_there", [True, False])
def test_rows_to_score_count_in_a_regression_fleet(input_there, tmp_path, workers):
    frames = {"history": rides(300, 0, PAIRS)} | ({"today": rides(90, 1, PAIRS)} if input_there else {})
    for name, frame in frames.items():
        (tmp_path / name).mkdir()
        pd.DataFrame(frame).to_csv(tmp_path / name / "a.csv", index=False)
    run = Run(RunContext(rides_fleet(), Lake(str(tmp_path / "lake")), "run-1", tmp_path), workers)
    found = size(run, tmp_path / "reports", 200, 2)
    assert sum(work.rows for work in found.tasks.score) == (90 if input_there else 0)
    assert (found.rates.score is not None) == input_there
    assert any("scoring" in note for note in found.notes) != input_there
    assert json.loads((tmp_path / "reports" / "sizing.json").read_text())["settings"] == cost_fingerprint(run.fleet)
