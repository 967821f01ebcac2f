"""The shop taken through all stages once; tests work on copies of its lake."""

import shutil
from types import SimpleNamespace

import pytest
from shop import future, open_run, sales, train_all

from adapters.registry import Registry
from tasks.ingest import ingest_files
from tasks.promote import promote_challengers, sync_aliases


@pytest.fixture(scope="session")
def _trained_shop(tmp_path_factory, workers):
    """Raw files, lake and registry of the shop with its first release."""
    folder = tmp_path_factory.mktemp("shop") / "live"
    folder.mkdir()
    for name, frame in (("sales", sales()), ("future", future())):
        (folder / name).mkdir()
        frame.to_csv(folder / name / "a.csv", index=False)
    run = open_run(folder, workers)
    registry = Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
    train_all(run, registry)
    ingest_files.fn(run, "requests", run.fleet.score.source)
    promote_challengers.fn(run)
    sync_aliases.fn(run, registry)
    shutil.copytree(folder, folder.with_name("saved"))
    return folder


@pytest.fixture
def trained(_trained_shop, tmp_path, workers):
    """The shop as it was after its first release: `.folder`, `.registry`, `.run(run_id=..., fleet=...)`.

    Put back to one and the same place, since inputs and artifacts are known by their paths; but the registry's database
    gets a new place, since MLflow keeps its connections to the old file.
    """
    folder = _trained_shop
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("saved"), folder)
    shutil.copy(folder / "mlflow.db", tmp_path / "mlflow.db")
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", str(folder / "artifacts"))

    def run(run_id="run-2", fleet=None):
        return open_run(folder, workers, run_id, fleet)

    return SimpleNamespace(folder=folder, registry=registry, run=run)
