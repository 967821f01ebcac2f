"""A file that ends whoever reads it: refused by name after its first death, while all others are taken in."""

import numpy as np
import pytest
from poison import ingest_with_deaths
from shop import shop

import tasks.ingest
from adapters.compute.child_process import call_in_child
from adapters.compute.dask import start_workers
from adapters.lake.table import Lake
from adapters.settings import Settings
from domain.data.tables import QUARANTINE
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.workers import isolated_ingest
from tasks.workers.run_context import RunContext

HEADER = "store,brand,week,units,price\n"


def files(folder, *names):
    (folder / "in").mkdir()
    for number, name in enumerate(names):
        (folder / "in" / name).write_text(f"{HEADER}{number},x,2024-01-01,1,1.5\n")


def test_a_poisonous_file_is_refused_by_name_and_the_others_are_taken_in(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks.ingest, "ingest_once", ingest_with_deaths)
    files(tmp_path, "a.csv", "poison.csv", "unlucky.csv", "z.csv")
    fleet = shop()
    with start_workers(Settings(workers=2)) as workers:
        run = Run(RunContext(fleet, Lake(str(tmp_path / "lake")), "run-1", tmp_path), workers)
        source = fleet.source.model_copy(update={"path": "in"})
        receipt = ingest_files(run, "observations", source)
        # A lost host condemns nobody: the unlucky file is taken in.
        assert (receipt.files, receipt.accepted, len(receipt.refused)) == (4, 3, 1)
        assert "in/poison.csv: its reader died twice" in receipt.refused[0]
        rows = run.table(QUARANTINE).read().to_pylist()
        assert [(row["reason"], row["path"].rsplit("/", 1)[1]) for row in rows] == [("unreadable_file", "poison.csv")]
        deaths = (tmp_path / "deaths").read_text().split()
        assert sorted(deaths) == ["poison.csv", "poison.csv", "unlucky.csv"]
        # Not read again, until it changes.
        assert ingest_files(run, "observations", source).refused == receipt.refused
        assert (tmp_path / "deaths").read_text().split() == deaths
        (tmp_path / "in" / "poison.csv").unlink()
        assert ingest_files(run, "observations", source).refused == ()


def take(size):
    return len(np.ones(size, dtype=np.int8))


def fail(_):
    raise ValueError("on purpose")


def test_a_child_tells_its_result_its_error_and_its_death():
    assert call_in_child(take, 1000) == 1000
    with pytest.raises(ValueError, match="on purpose"):
        call_in_child(fail, 1)
    assert call_in_child(take, 2 << 30, memory=1 << 30) is None


def test_more_memory_is_another_chance(tmp_path, monkeypatch):
    files(tmp_path, "a.csv")
    fleet = shop()
    context = RunContext(fleet, Lake(str(tmp_path / "lake")), "run-1", tmp_path)
    (file,) = tasks.ingest.list_inputs(fleet.source.model_copy(update={"path": "in"}), tmp_path).inputs
    suspects, key = isolated_ingest.suspects_of(context, "observations"), f"{file.path_id}-{file.stamp}"
    suspects.refused.write(key, b'{"memory": 1000000000}')
    for memory, error in ((1_000_000_000, True), (2_000_000_000, False)):
        monkeypatch.setattr(isolated_ingest, "worker_memory", lambda memory=memory: memory)
        receipt = isolated_ingest.ingest_once(context, "observations", fleet.source, file)
        assert bool(receipt.error) is error
    assert suspects.refused.read(key) is None
    assert suspects.begun.read(key) is None
