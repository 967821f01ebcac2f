"""Resume: an interrupted stage that runs again does only what is missing, and gives what it would have given."""

import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from shop import future

from adapters.compute.dask import InlineWorkers
from adapters.compute.progress import subscribed
from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Lake
from domain.config.source import Source
from domain.data.tables import OUTCOMES, PREDICTIONS, SEGMENTS, landed, observations
from domain.errors import StaleTableError
from tasks.checkpoint import clear_checkpoints, map_with_checkpoints
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.score import score_fleet


class Killed(BaseException):
    """What ends a run in these tests as SIGKILL does: nothing is tidied up."""


class Interrupted:
    """Workers that end the run after some items, and the names of the stages with how many items they did."""

    def __init__(self, stage="", after=0):
        self._stage, self._after, self.done = stage, after, {}

    def map(self, stage, function, items, retries=2, before=0, weight=None):
        items = list(items)
        if stage == self._stage:
            InlineWorkers().map(stage, function, items[: self._after], before=before)
            raise Killed
        self.done[stage] = self.done.get(stage, 0) + len(items)
        return InlineWorkers().map(stage, function, items, before=before)


@dataclass(frozen=True)
class Receipt:
    item: str
    counts: Mapping[str, int]
    share: float
    ledger: tuple[StagedFile, ...]


def journals(run):
    """Journals that have an entry, by stage."""
    root = f"{run.context.lake.folder(run.fleet.name)}/_journal"
    filesystem = fsspec.core.url_to_fs(root)[0]
    filesystem.invalidate_cache()
    folders = {name.split("/")[-2] for name in filesystem.find(root) if name.endswith(".json")}
    return sorted(name.rpartition("-")[0] for name in folders)


def entries(run):
    return sorted(Path(run.context.lake.folder(run.fleet.name), "_journal").rglob("*.json"))


def of_run(run, run_id, workers=None):
    return Run(replace(run.context, run_id=run_id), workers or run.workers)


def counted(context, calls, item):
    """A worker's function: an outcome of the item, and a line in a file that tells that it was called."""
    with calls.open("a") as stream:
        stream.write(f"{item}\n")
    rows = pa.table({name: [item] for name in ("segment", "outcome", "reason", "candidate")})
    staged = context.table(OUTCOMES).stage(rows, run_id=context.run_id, bucket=0)
    return Receipt(item, {"trained": 1}, math.nan, (staged,))


@pytest.fixture(params=["local", "s3"])
def somewhere(request, run, tmp_path):
    """A run over a lake in a folder, and one over a lake on S3."""
    if request.param == "local":
        return run
    request.getfixturevalue("s3")
    return Run(replace(run.context, lake=Lake(f"s3://lake/{tmp_path.name}")), run.workers)


def work(run, calls, items, basis=1, **options):
    return map_with_checkpoints(run, "work", basis, partial(counted, run.context, calls), items, Receipt, **options)


def called(calls):
    lines = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return lines


def test_only_what_is_missing_is_done_and_receipts_come_in_order(somewhere, tmp_path):
    run, calls = somewhere, tmp_path / "calls"
    before = work(run, calls, ["b", "é/ 1"])
    assert called(calls) == ["b", "é/ 1"]
    told = []
    with subscribed(told.append):
        after = work(run, calls, ["a", "é/ 1", "b", "c"])
    assert called(calls) == ["a", "c"]
    assert [receipt.item for receipt in after] == ["a", "é/ 1", "b", "c"]
    assert after[2].ledger == before[0].ledger
    assert after[2].counts == {"trained": 1}
    assert math.isnan(after[2].share)
    assert [(p.done, p.total, p.note) for p in told][:2] == [(2, 4, "resumed 2 of 4"), (2, 4, "")]
    assert (told[-1].done, told[-1].total) == (4, 4)
    assert journals(run) == ["work"]
    clear_checkpoints(run, "work")
    assert journals(run) == []
    work(run, calls, ["a"])
    assert called(calls) == ["a"]


def test_another_basis_fleet_file_or_code_starts_again(run, tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    work(run, calls, ["a"], basis={"version": 1})
    work(run, calls, ["a"], basis={"version": 2})
    other = Run(replace(run.context, fleet=run.fleet.model_copy(update={"horizon": 7})), run.workers)
    work(other, calls, ["a"], basis={"version": 1})
    monkeypatch.setattr("tasks.checkpoint.code_digest", lambda: "another")
    work(run, calls, ["a"], basis={"version": 1})
    assert called(calls) == ["a"] * 4
    assert journals(run) == ["work"] * 4
    clear_checkpoints(run, "work")
    assert journals(run) == []


def test_stages_and_parts_finish_by_themselves(run, tmp_path):
    calls = tmp_path / "calls"
    for part in ("", "one", "two"):
        work(run, calls, ["a"], part=part)
    clear_checkpoints(run, "work", "one")
    assert journals(run) == ["work", "work-two"]
    clear_checkpoints(run, "work")
    assert journals(run) == ["work-two"]


@pytest.mark.parametrize("damage", ["", "{", '{"item": "a"}', "[1]", "\x00\xff"])
def test_a_damaged_entry_means_to_do_the_item_again(run, tmp_path, damage):
    calls = tmp_path / "calls"
    work(run, calls, ["a", "b"])
    entries(run)[0].write_bytes(damage.encode("latin-1"))
    called(calls)
    assert len(work(run, calls, ["a", "b"])) == 2
    assert len(called(calls)) == 1
    assert len(work(run, calls, ["a", "b"])) == 2
    assert called(calls) == []


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_receipt_whose_staged_file_is_not_as_described_is_not_taken(somewhere, tmp_path, damage):
    run, calls = somewhere, tmp_path / "calls"
    receipt = work(run, calls, ["a"])[0]
    path = f"{run.table(OUTCOMES).uri}/{receipt.ledger[0].path}"
    filesystem = fsspec.core.url_to_fs(path)[0]
    filesystem.rm(path) if damage == "gone" else filesystem.pipe_file(path, b"PAR1")
    called(calls)
    work(run, calls, ["a"])
    assert called(calls) == ["a"]


def test_files_of_an_interrupted_run_become_files_of_this_one(somewhere, tmp_path):
    run, calls = somewhere, tmp_path / "calls"
    first = work(run, calls, ["a", "b"])
    # The interrupted run may have committed them already, under its own name.
    run.table(OUTCOMES).replace(first[0].ledger, lambda file: False)
    again = of_run(run, "run-2")
    second = work(again, calls, ["a", "b"])
    staged = [file for receipt in second for file in receipt.ledger]
    assert {file.partition["run_id"] for file in staged} == {"run-2"}
    again.table(OUTCOMES).replace(staged, lambda file: file.partition["run_id"] == "run-2")
    rows = [(row["run_id"], row["segment"]) for row in again.table(OUTCOMES).read().to_pylist()]
    assert sorted(rows) == [("run-1", "a"), ("run-2", "a"), ("run-2", "b")]
    assert called(calls) == ["a", "b"]


def test_receipts_that_are_not_worth_keeping_are_not(run, tmp_path):
    calls = tmp_path / "calls"
    work(run, calls, ["a", "b"], keep=lambda receipt: receipt.item != "b")
    work(run, calls, ["a", "b"])
    assert called(calls) == ["a", "b", "b"]


def test_a_journal_that_cannot_be_written_fails_nothing(run, tmp_path):
    calls = tmp_path / "calls"
    blocked = Path(run.context.lake.folder(run.fleet.name), "_journal")
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    assert len(work(run, calls, ["a"])) == 1
    assert len(work(run, calls, ["a"])) == 1
    clear_checkpoints(run, "work")
    assert called(calls) == ["a", "a"]


def frames(run, *specs):
    """Tables as pandas, without what tells runs apart."""
    spared = {"run_id", "job_id", "scored_at", "ingested_at", "input_id", "path", "path_id", "part", "stamp"}
    found = []
    for spec in specs:
        frame = run.table(spec).read().to_pandas()
        frame = frame[[column for column in frame.columns if column not in spared]]
        found.append(frame.sort_values(list(frame.columns), ignore_index=True))
    return found


def land(run):
    return ingest_files(run, "observations", Source(path="in"))


def put(run, name, store):
    lines = [f"{store},x,2024-01-{day:02d},{day},1.5" for day in range(1, 6)]
    (run.context.home / "in" / name).write_text("\n".join(["store,brand,day,units,price", *lines]))


def test_an_interrupted_ingest_reads_only_the_files_that_are_missing(run):
    for number in range(5):
        put(run, f"{number}.csv", number)
    with pytest.raises(Killed):
        land(of_run(run, "run-1", Interrupted("ingest", 3)))
    # A file that changed since is read again, whatever had been staged of it.
    put(run, "0.csv", 9)
    os.utime(run.context.home / "in" / "0.csv", ns=(1, 1))
    counting = Interrupted()
    receipt = land(of_run(run, "run-2", counting))
    assert counting.done == {"ingest": 3}
    assert (receipt.files, receipt.unchanged, receipt.read, receipt.accepted) == (5, 0, 25, 25)
    rows = run.table(landed(run.fleet)).read(["segment"])["segment"].to_pylist()
    assert sorted(set(rows)) == [f"store={store}/brand=x" for store in (1, 2, 3, 4, 9)]
    assert len(rows) == 25
    assert journals(run) == []
    assert land(run).unchanged == 5


def test_a_file_that_could_not_be_read_is_tried_again(run):
    put(run, "a.csv", 1)
    (run.context.home / "in" / "b.csv").write_text("nonsense")
    with pytest.raises(Killed):
        land(of_run(run, "run-1", Interrupted("ingest", 2)))
    counting = Interrupted()
    assert len(land(of_run(run, "run-2", counting)).refused) == 1
    assert counting.done == {"ingest": 1}


def test_an_interrupted_partition_builds_only_the_buckets_that_are_missing(run, tmp_path):
    for number in range(6):
        put(run, f"{number}.csv", number)
    land(run)
    shutil.copytree(tmp_path / "lake", tmp_path / "other")
    whole = Run(replace(run.context, lake=Lake(str(tmp_path / "other"))), run.workers)
    partition_observations(whole)
    with pytest.raises(Killed):
        partition_observations(of_run(run, "run-1", Interrupted("partition", 3)))
    counting = Interrupted()
    partition_observations(of_run(run, "run-2", counting))
    assert counting.done == {"partition": 1}
    specs = (observations(run.fleet), SEGMENTS)
    for found, expected in zip(frames(run, *specs), frames(whole, *specs), strict=True):
        assert found.equals(expected)
    assert journals(run) == []


def test_new_rows_or_settings_build_all_buckets_again(run):
    put(run, "a.csv", 1)
    land(run)
    with pytest.raises(Killed):
        partition_observations(of_run(run, "run-1", Interrupted("partition", 3)))
    put(run, "b.csv", 2)
    land(run)
    counting = Interrupted()
    partition_observations(of_run(run, "run-2", counting))
    assert counting.done == {"partition": 4}
    assert journals(run) == []


def test_two_partitions_at_once_that_share_what_was_staged_lose_no_row(run):
    put(run, "a.csv", 1)
    put(run, "b.csv", 2)
    land(run)
    with pytest.raises(Killed):
        partition_observations(of_run(run, "run-1", Interrupted("partition", 4)))

    class Overtaken:
        """Another run takes over the same receipts, and commits them first."""

        def map(self, stage, function, items, retries=2, before=0, weight=None):
            partition_observations(of_run(run, "run-2"))
            return InlineWorkers().map(stage, function, items)

    entries(run)[0].unlink()
    with pytest.raises(StaleTableError):
        partition_observations(of_run(run, "run-3", Overtaken()))
    for spec in (observations(run.fleet), SEGMENTS):
        assert len(set(run.table(spec).read(["segment"])["segment"].to_pylist())) == 2
    assert run.table(observations(run.fleet)).read().num_rows == 10
    assert run.table(SEGMENTS).read().num_rows == 2
    partition_observations(run)
    assert journals(run) == []


def test_an_interrupted_scoring_job_scores_only_the_buckets_that_are_missing(trained):
    shutil.copytree(trained.folder / "lake", trained.folder / "other")
    run, whole = trained.run(), trained.run()
    whole = Run(replace(whole.context, lake=Lake(str(trained.folder / "other"))), whole.workers)
    expected = score_fleet(whole)
    with pytest.raises(Killed):
        score_fleet(of_run(run, "run-2", Interrupted("score", 2)))
    counting = Interrupted()
    summary = score_fleet(of_run(run, "run-3", counting))
    assert counting.done == {"score": 1}
    assert (summary.rows, summary.segments, summary.statuses) == (expected.rows, expected.segments, expected.statuses)
    assert frames(run, PREDICTIONS)[0].equals(frames(whole, PREDICTIONS)[0])
    assert journals(run) == []


def test_a_journal_that_a_kill_after_the_commit_left_is_cleared_by_the_next_run(trained, monkeypatch):
    run = trained.run()
    with monkeypatch.context() as patch:
        patch.setattr("tasks.score.clear_checkpoints", lambda *_: None)
        score_fleet(run)
    assert journals(run) == ["score"]
    assert score_fleet(trained.run("run-3")).repeated
    assert journals(run) == []


def test_scoring_with_a_covariate_file_that_came_since_starts_again(trained):
    run = trained.run()
    with pytest.raises(Killed):
        score_fleet(of_run(run, "run-2", Interrupted("score", 3)))
    future().assign(price=9.0).to_csv(trained.folder / "future" / "b.csv", index=False)
    ingest_files(run, "requests", run.fleet.score.source)
    counting = Interrupted()
    score_fleet(of_run(run, "run-3", counting))
    assert counting.done == {"score": 3}
