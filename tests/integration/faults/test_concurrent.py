"""Eight scoring jobs of the same input at once, on a folder and on S3: its predictions are committed once."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import fsspec
import pytest

from adapters.lake.table import Lake
from domain.data.tables import PREDICTIONS

ROOT = Path(__file__).parents[3]
JOBS = 8


@pytest.mark.parametrize("place", ["local", "s3"])
def test_eight_jobs_of_one_input_commit_it_once(trained, tmp_path, place, request):
    lake = str(trained.folder / "lake")
    if place == "s3":
        request.getfixturevalue("s3")
        uri = f"s3://lake/concurrent-{uuid.uuid4().hex}"
        fsspec.filesystem("s3", use_listings_cache=False).put(f"{lake}/shop", f"{uri}/shop", recursive=True)
        lake = uri
    table = Lake(lake).table("shop", PREDICTIONS)
    script = ROOT / "tests/support/scoring.py"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{script.parent}"}
    command = [sys.executable, script, trained.folder, lake, str(JOBS)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert not list(trained.folder.glob("failed-*")), done.stderr
    told = [path.read_text().split() for path in trained.folder.glob("done-*")]
    assert len(told) == JOBS
    assert len({job for job, _, _ in told}) == 1
    assert [repeated for _, repeated, _ in told].count("False") == 1
    assert len({rows for _, _, rows in told}) == 1
    seen = table.read(["segment", "origin", "time", "release"]).to_pandas()
    assert len(seen) == int(told[0][2])
    assert not seen.duplicated().any()
