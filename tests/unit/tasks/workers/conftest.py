"""A trained regression fleet."""

import shutil

import pytest
from rides import PAIRS, rides, rides_fleet
from shop import open_run, train_all

from adapters.registry import Registry
from tasks.promote import promote_challengers


@pytest.fixture(scope="package")
def _trained_rides(tmp_path_factory, workers):
    """Raw files and lake of the rides with their first release."""
    folder = tmp_path_factory.mktemp("rides") / "live"
    (folder / "history").mkdir(parents=True)
    (folder / "today").mkdir()
    rides(300, 0, PAIRS).to_csv(folder / "history" / "a.csv", index=False)
    run = open_run(folder, workers, fleet=rides_fleet())
    train_all(run, Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts")))
    promote_challengers(run)
    shutil.copytree(folder, folder.with_name("saved"))
    return folder


@pytest.fixture
def rides_run(_trained_rides, workers):
    """The rides as they were after their first release, at the same place: inputs are known by their paths."""
    shutil.rmtree(_trained_rides)
    shutil.copytree(_trained_rides.with_name("saved"), _trained_rides)
    return open_run(_trained_rides, workers, fleet=rides_fleet())
