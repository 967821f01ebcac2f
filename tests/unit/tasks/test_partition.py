"""Partition: observations, profiles and rejected rows of one state of the landed rows, committed once."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from adapters.compute.progress import subscribed
from adapters.lake.table import Table
from domain.config.source import Source
from domain.data.segments import bucket_of, hash_segments
from domain.data.tables import INPUTS, QUARANTINE, SEGMENTS, landed, levels, observations
from domain.errors import PartitionError, StaleTableError
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations, recorded_buckets
from tasks.workers.run_context import RunContext
from tasks.workers.vanished import vanished_segments

HEADER = "store,brand,day,units,price\n"


def put(run, name, rows):
    text = "".join(f"{store},{brand},2024-01-{day:02d},{units},1\n" for store, brand, day, units in rows)
    (run.context.home / "in" / name).write_text(HEADER + text)


def ingest(run):
    return ingest_files(run, "observations", Source(path="in"))


def grid(stores=6, brands="xy", days=5):
    return [
        (store, brand, day, store + day) for store in range(stores) for brand in brands for day in range(1, days + 1)
    ]


@dataclass(frozen=True)
class OlderJob(RunContext):
    """A job whose tables are as an older version made them."""

    specs: dict = field(default_factory=dict)

    def table(self, spec):
        return super().table(self.specs.get(spec.name, spec))


def with_fleet(run, fleet, workers=None):
    return Run(RunContext(fleet, run.context.lake, "run-2", run.context.home), workers or run.workers)


def specs(run):
    return [observations(run.fleet), SEGMENTS, levels(run.fleet), QUARANTINE]


def contents(run):
    return [sorted(map(str, run.table(spec).read().to_pylist())) for spec in specs(run)]


def versions(run):
    return [run.table(spec).version() for spec in specs(run)]


def test_rows_go_to_the_bucket_of_their_segment_sorted(run):
    put(run, "a.csv", grid()[::-1])
    ingest(run)
    summary = partition_observations(run)
    assert (summary.buckets, summary.segments, summary.landed, summary.accepted, summary.rejected) == (4, 12, 60, 60, 0)
    table = run.table(observations(run.fleet))
    rows = table.read(["segment", "time", "bucket"])
    hashes = hash_segments(rows["segment"].to_pylist())
    assert rows["bucket"].to_pylist() == bucket_of(hashes, 4).tolist()
    for file in table.files():
        part = table.read_files([file], ["segment", "time"])
        assert part.equals(part.sort_by([("segment", "ascending"), ("time", "ascending")]))
    assert run.table(SEGMENTS).read().num_rows == 12
    totals = run.table(levels(run.fleet)).read()
    assert sum(totals["rows"].to_pylist()) == 2 * 60


def test_duplicates_across_files_are_found_and_rows_balance(run):
    put(run, "a.csv", grid())
    put(run, "b.csv", grid(stores=2))
    ingest(run)
    summary = partition_observations(run)
    assert (summary.landed, summary.accepted, summary.rejected) == (80, 60, 20)
    rejected = run.table(QUARANTINE).read().to_pylist()
    assert {(row["reason"], row["path"].rsplit("/", 1)[-1], row["stage"]) for row in rejected} == {
        ("duplicate", "a.csv", "partition")
    }


def test_a_retry_after_the_commit_changes_nothing(run):
    put(run, "a.csv", [*grid(), *grid(stores=1)])
    ingest(run)
    first = partition_observations(run)
    before, seen = contents(run), versions(run)
    assert partition_observations(run) == first
    assert versions(run) == seen
    assert contents(run) == before


def test_a_run_that_stopped_between_its_commits_is_made_up_for(run, monkeypatch):
    put(run, "a.csv", [*grid(), *grid(stores=1)])
    ingest(run)
    real = Table.replace

    def stop(table, *args, **options):
        if table.spec.name == "observations":
            raise KeyboardInterrupt
        return real(table, *args, **options)

    monkeypatch.setattr(Table, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        partition_observations(run)
    monkeypatch.undo()
    assert run.table(observations(run.fleet)).read().num_rows == 0
    summary = partition_observations(run)
    assert (summary.landed, summary.accepted, summary.rejected) == (70, 60, 10)
    assert [len(each) for each in contents(run)[:2]] == [60, 12]
    assert run.table(QUARANTINE).read().num_rows == 10


def test_new_rows_are_partitioned_and_replaced_ones_are_gone(run):
    put(run, "a.csv", grid())
    ingest(run)
    partition_observations(run)
    put(run, "a.csv", grid(stores=1))
    put(run, "b.csv", [(9, "z", 1, 5)])
    ingest(run)
    summary = partition_observations(run)
    assert (summary.segments, summary.accepted) == (3, 11)
    assert set(run.table(SEGMENTS).read()["segment"].to_pylist()) == {
        "store=0/brand=x", "store=0/brand=y", "store=9/brand=z"
    }  # fmt: skip


def test_changed_settings_partition_the_same_rows_again_and_back(run, fleet):
    put(run, "a.csv", [*grid(), *[(store, brand, day, 99) for store, brand, day, _ in grid(stores=1)]])
    ingest(run)
    partition_observations(run)
    first = contents(run)
    last = with_fleet(run, fleet.forecast(validation={"duplicates": "last"}))
    partition_observations(last)
    changed = contents(last)
    assert changed[0] != first[0]
    assert sum(run.table(observations(run.fleet)).read()["target"].to_pylist()) > 99 * 10
    partition_observations(run)
    assert contents(run) == first


def test_other_segment_columns_read_all_files_again_and_mix_nothing(run, fleet):
    put(run, "a.csv", grid(stores=2))
    put(run, "b.csv", [(9, "z", day, 5) for day in range(1, 6)])
    ingest(run)
    partition_observations(run)
    by_brand = with_fleet(run, fleet.forecast(segment_by=["brand"], fallback=["global"]))
    assert ingest(by_brand).unchanged == 0
    summary = partition_observations(by_brand)
    assert (summary.segments, summary.landed, summary.rejected) == (3, 25, 10)
    assert set(run.table(SEGMENTS).read()["segment"].to_pylist()) == {"brand=x", "brand=y", "brand=z"}
    assert set(run.table(levels(run.fleet)).read()["level"].to_pylist()) == {"*"}
    ingest(run)
    assert partition_observations(run).segments == 5


def test_rows_of_deleted_files_with_other_segment_columns_are_quarantined_until_the_files_are_back(run, fleet):
    put(run, "a.csv", grid(stores=1))
    put(run, "b.csv", [*((9, "z", day, 5) for day in range(1, 4)), (8, "z", 1, "")])
    ingest(run)
    partition_observations(run)
    assert list(vanished_segments(run.context)) == ["store=8/brand=z"]
    content = (run.context.home / "in/b.csv").read_text()
    (run.context.home / "in/b.csv").unlink()
    by_brand = with_fleet(run, fleet.forecast(segment_by=["brand"], fallback=["global"]))
    ingest(by_brand)
    summary = partition_observations(by_brand)
    assert (summary.segments, summary.landed, summary.accepted, summary.rejected) == (2, 13, 10, 3)
    assert vanished_segments(by_brand.context) == {}
    rejected = run.table(QUARANTINE).read(where=lambda partition: partition["stage"] == "partition").to_pylist()
    assert {(row["reason"], row["segment"], row["path"].rsplit("/", 1)[-1]) for row in rejected} == {
        ("other_segment", None, "b.csv")
    }
    assert "put it back" in rejected[0]["detail"]
    (run.context.home / "in/a.csv").unlink()
    (run.context.home / "in/b.csv").write_text(content)
    by_store = with_fleet(run, fleet.forecast(segment_by=["store"], fallback=["global"]))
    ingest(by_store)
    with pytest.raises(PartitionError, match=r"10 of 13 rows were read when segment_by was another, .* another name"):
        partition_observations(by_store)


def test_buckets_that_cannot_be_changed_and_segments_that_look_alike_are_warned_of(run, fleet):
    put(run, "a.csv", grid(stores=1))
    ingest(run)
    assert partition_observations(run).warnings == ()
    put(run, "b.csv", [("0.0", "x", 1, 1), ("0", "X", 2, 1)])
    ingest(run)
    heard = []
    with subscribed(lambda progress: heard.append(progress.note)):
        summary = partition_observations(with_fleet(run, fleet.forecast(partition={"buckets": 9, "min_rows": 2})))
    assert [warning.split(": ")[0] for warning in summary.warnings] == ["partition.buckets", "segment_by"]
    assert "9 has no effect, the fleet was first partitioned into 4" in summary.warnings[0]
    assert "1 segment looks like another one, such as store=0.0/brand=x and store=0/brand=X" in summary.warnings[1]
    assert [note for note in heard if note] == [f"warning: {warning}" for warning in summary.warnings]


def test_segments_without_an_observation_are_found_with_what_became_of_their_rows(run):
    put(run, "a.csv", grid(stores=1))
    ingest(run)
    partition_observations(run)
    assert vanished_segments(run.context) == {}
    bad = ["5,x,2024-01-01,,1", "5,x,2024-01-02,,1", "5,x,never,1,1", "6,x,2024-01-01,inf,1"]
    bad += ["0,x,2024-01-09,,1", ",x,2024-01-01,1,1"]
    (run.context.home / "in/b.csv").write_text("\n".join([HEADER.strip(), *bad, ""]))
    ingest(run)
    (run.context.home / "future").mkdir()
    (run.context.home / "future/f.csv").write_text(HEADER + "7,x,never,,1\n")
    ingest_files(run, "requests", Source(path="future"))
    partition_observations(run)
    assert vanished_segments(run.context) == {
        "store=5/brand=x": "all 3 rows are quarantined: 2 null target, 1 unparsable; see the quarantine table",
        "store=6/brand=x": "the only row is quarantined: 1 non finite target; see the quarantine table",
    }
    (run.context.home / "in/b.csv").write_text(HEADER + "5,x,2024-01-01,1,1\n")
    ingest(run)
    partition_observations(run)
    assert vanished_segments(run.context) == {}


def older(spec, *columns):
    schema = pa.schema([field for field in spec.schema if field.name not in columns])
    return dataclasses.replace(spec, schema=schema)


def test_a_lake_from_before_newer_columns_and_formats_is_read_on_and_widened(run):
    put(run, "a.csv", [*grid(stores=1), (0, "x", 1, 1)])
    (run.context.home / "in/b.csv").write_text(HEADER + "5,x,never,1,1\n")
    specs = {"quarantine": older(QUARANTINE, "segment"), "inputs": older(INPUTS, "modified_at")}
    before = Run(OlderJob(run.context.fleet, run.context.lake, "run-0", run.context.home, specs=specs), run.workers)
    ingest(before)
    partition_observations(before)
    assert "segment" not in {field.name for field in specs["quarantine"].schema}
    assert ingest(run).unchanged == 2
    assert run.table(QUARANTINE).read()["segment"].to_pylist() == [None, None]
    assert vanished_segments(run.context) == {}
    put(run, "c.csv", [(6, "x", 1, "")])
    ingest(run)
    partition_observations(run)
    assert set(vanished_segments(run.context)) == {"store=6/brand=x"}
    assert run.table(QUARANTINE).read().num_rows == 3


def test_the_number_of_buckets_is_fixed_at_the_first_partition(run, fleet):
    put(run, "a.csv", grid())
    ingest(run)
    assert recorded_buckets(run) == 0
    partition_observations(run)
    put(run, "b.csv", grid(stores=40))
    ingest(run)
    for wanted in (16, "auto"):
        other = with_fleet(run, fleet.forecast(partition={"buckets": wanted}, seed=wanted if wanted == 16 else 1))
        assert partition_observations(other).buckets == recorded_buckets(other) == 4
    rows = run.table(observations(run.fleet)).read(["segment", "bucket"])
    assert rows["bucket"].to_pylist() == bucket_of(hash_segments(rows["segment"].to_pylist()), 4).tolist()


def test_the_number_of_buckets_follows_the_data_when_it_is_left_open(run, fleet):
    open_ = with_fleet(run, fleet.forecast(partition={"buckets": "auto"}))
    put(run, "a.csv", grid(stores=20))
    ingest(open_)
    assert partition_observations(open_).buckets == 5


def test_segments_of_nearly_one_row_each_are_refused_with_advice(run):
    put(run, "a.csv", [(number, "x", 1, 1) for number in range(1_000)])
    ingest(run)
    with pytest.raises(
        PartitionError, match=r"store, brand gives 1,000 segments for 1,000 rows, nearly one a row; use"
    ):
        partition_observations(run)
    assert [run.table(spec).exists() for spec in specs(run)[:3]] == [False] * 3
    assert run.table(QUARANTINE).read().num_rows == 0


def test_more_segments_than_the_limit_are_refused_at_the_first_and_at_every_later_partition(run, fleet):
    put(run, "a.csv", grid(stores=3))
    ingest(run)
    limited = with_fleet(run, fleet.forecast(partition={"buckets": 4, "max_segments": 8}))
    partition_observations(limited)
    before = contents(run)
    put(run, "b.csv", grid(stores=5))
    ingest(run)
    with pytest.raises(PartitionError, match=r"gives 10 segments, more than partition.max_segments = 8; leave out"):
        partition_observations(limited)
    assert contents(run) == before


def test_nothing_valid_is_an_error_that_points_to_the_quarantine(run):
    (run.context.home / "in/a.csv").write_text(HEADER + "1,x,never,1,1\n")
    ingest(run)
    with pytest.raises(PartitionError, match=r"no valid row .*: 1 unparsable \(day is not a time\); look at"):
        partition_observations(run)


def test_a_run_that_was_overtaken_does_not_write_over_the_newer_one(run):
    put(run, "a.csv", grid())
    ingest(run)

    class Overtaken:
        def map(self, stage, function, items, retries=2, before=0, weight=None):
            put(run, "b.csv", [(9, "z", 1, 5)])
            ingest(run)
            partition_observations(run)
            return run.workers.map(stage, function, items, retries)

    with pytest.raises(StaleTableError):
        partition_observations(with_fleet(run, run.fleet, Overtaken()))
    assert run.table(observations(run.fleet)).read().num_rows == 61


def test_landed_files_without_rows_of_a_bucket_leave_it_out(run):
    put(run, "a.csv", grid(stores=1, brands="x"))
    ingest(run)
    assert partition_observations(run).segments == 1
    assert len(run.table(observations(run.fleet)).files()) == 1
    hashes = run.table(landed(run.fleet)).read(["hash"])["hash"]
    assert len(np.unique(hashes)) == 1
    assert hashes.type == pa.int64()
