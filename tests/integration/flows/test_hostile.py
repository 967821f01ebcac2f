"""The command on raw files in which everything is wrong at once: it ends well, and accounts for all of them."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from deltalake import DeltaTable
from hostile import REFUSED, TRAINED, VANISHED, hostile_fleet, key, write_future, write_hostile

from adapters.sources.fleet_files import load_fleet
from adapters.sources.sampling import check_fleet


def myriad(folder, *arguments):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("MYRIAD_", "PREFECT_", "MLFLOW"))
    }
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments], cwd=folder, env=clean, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    rows, reasons = write_hostile(folder)
    write_future(folder)
    (folder / "hostile.yaml").write_text(yaml.safe_dump(hostile_fleet().model_dump(mode="json", exclude_defaults=True)))
    done = myriad(folder, "run", "hostile.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, rows, reasons, done.stdout


def test_the_summary_balances_rows_files_and_segments(project):
    folder, rows, reasons, output = project
    found = json.loads((folder / "var/reports/hostile/latest.json").read_text())
    quarantined = sum(reasons.values())
    assert found["rows"]["read"] == rows
    assert (found["rows"]["accepted"], found["rows"]["quarantined"]) == (rows - quarantined, quarantined)
    assert found["files"]["found"] == 5 + len(REFUSED)
    assert len(found["files"]["refused"]) == len(REFUSED)
    expected = {"trained": len(TRAINED), "reused": 0, "fallback": 2, "skipped": len(VANISHED), "failed": 1}
    assert found["outcomes"] == expected
    assert found["segments"] == sum(expected.values())
    assert found["registered"] == found["promoted"] + found["held"] == len(TRAINED)
    assert "warning: segment_by: 2 segments look like another one" in output
    assert "Traceback" not in output


def test_the_tables_say_what_became_of_everything(project):
    lake = project[0] / "var/lake/hostile"
    quarantine = DeltaTable(lake / "quarantine").to_pandas()
    rows = quarantine[(quarantine["row"] >= 0) & (quarantine["stage"] != "requests")]
    assert Counter(rows["reason"]) == project[2]
    outcomes = DeltaTable(lake / "outcomes").to_pandas().set_index("segment")
    assert outcomes.index.is_unique
    assert outcomes.loc[list(VANISHED), "reason"].to_dict() == VANISHED
    predictions = DeltaTable(lake / "predictions").to_pandas()
    assert set(map(key, TRAINED)) <= set(predictions["segment"])
    assert not predictions.duplicated(["segment", "time"]).any()


def test_the_report_shows_odd_names_as_text(project):
    page = (project[0] / "var/reports/hostile/latest.html").read_text()
    assert "<b>&" not in page


def test_a_check_tells_of_the_same_files_and_segments(project):
    findings = check_fleet(load_fleet("hostile.yaml", project[0]), project[0], workers=2)
    told = " ".join(problem.message for problem in findings.problems)
    for name in set(REFUSED) - {"zcopy.csv"}:
        assert name in told
    assert "look like another one" in told
