"""Storage faults: a disk that is full, committed files that are gone or damaged."""

import os
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.lake.lease import hold_lease
from adapters.lake.table import Lake
from domain.config.source import Source
from domain.data.tables import INPUTS, LEASES, QUARANTINE, TableSpec, landed
from domain.errors import LakeError
from tasks.context import Run
from tasks.ingest import ingest_files

SPEC = TableSpec(
    "sales", pa.schema([("item", pa.string()), ("units", pa.int64()), ("bucket", pa.int32())]), ("bucket",)
)
DISK_BYTES = 1 << 20


class Disk:
    """A file system of its own, of one MiB."""

    def __init__(self, path):
        self.path, self._filler = path, path / "filler"

    def fill(self):
        with self._filler.open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                pass
        assert os.statvfs(self.path).f_bavail == 0

    def free(self):
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", path], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def rows(*units):
    return pa.table({"item": ["a"] * len(units), "units": list(units)})


def units(table):
    return sorted(table.read(["units"])["units"].to_pylist())


def everything(file):
    return True


def test_a_full_disk_at_commit_changes_nothing_and_the_commit_succeeds_once_there_is_room(disk):
    table = Lake(str(disk.path)).table("shop", SPEC)
    table.replace([table.stage(rows(1), bucket=0)], everything)
    version, staged = table.version(), table.stage(rows(2, 3), bucket=0)
    disk.fill()
    with pytest.raises(
        LakeError, match=f"{table.uri}: the table cannot be written: .*: No space left on device .os error 28.$"
    ):
        table.replace([staged], everything)
    assert (table.version(), units(table)) == (version, [1])
    disk.free()
    assert (table.version(), units(table)) == (version, [1])
    table.replace([staged], everything)
    assert (table.version(), units(table)) == (version + 1, [2, 3])


def test_a_full_disk_while_a_file_is_written_changes_nothing(disk):
    table = Lake(str(disk.path)).table("shop", SPEC)
    table.replace([table.stage(rows(1), bucket=0)], everything)
    numbers = random.Random(0)
    too_many = rows(*(numbers.getrandbits(62) for _ in range(DISK_BYTES // 6)))
    with pytest.raises(LakeError, match=f"{table.uri}: the table cannot be written: .*No space left on device"):
        table.stage(too_many, bucket=0)
    assert units(table) == [1]


def test_a_table_that_cannot_be_made_on_a_full_disk_can_be_made_later(disk):
    table = Lake(str(disk.path)).table("shop", SPEC)
    disk.fill()
    with pytest.raises(LakeError, match="No space left on device"):
        table.create()
    disk.free()
    table.create()
    assert units(table) == []


def test_an_ingest_that_fills_the_disk_lands_everything_once_there_is_room(disk, run):
    for number in range(3):
        lines = [f"{number},x,2024-01-{day:02d},{day},1.5" for day in range(1, 29)]
        (run.context.home / "in" / f"{number}.csv").write_text("\n".join(["store,brand,day,units,price", *lines]))
    run = Run(replace(run.context, lake=Lake(str(disk.path))), run.workers)
    source, table = Source(path="in"), run.table(landed(run.fleet))
    for spec in (QUARANTINE, INPUTS, table.spec):
        run.table(spec).create()
    disk.fill()
    with pytest.raises(LakeError, match="No space left on device"):
        ingest_files(run, "observations", source)
    assert table.read().num_rows == 0
    disk.free()
    receipt = ingest_files(run, "observations", source)
    assert (receipt.files, receipt.unchanged, receipt.accepted) == (3, 0, 84)
    assert table.read().num_rows == 84


def test_a_run_does_not_start_on_a_full_disk(disk):
    lake = Lake(str(disk.path))
    lake.table("shop", LEASES).create()
    disk.fill()
    with pytest.raises(LakeError, match="No space left on device"), hold_lease(lake, "shop", "run-1", "train"):
        pytest.fail("it started")
    disk.free()
    with hold_lease(lake, "shop", "run-1", "train"):
        pass


@pytest.mark.parametrize("damage", ["deleted", "truncated", "emptied"])
def test_a_committed_file_that_is_gone_or_damaged_is_named(tmp_path, damage):
    table = Lake(str(tmp_path)).table("shop", SPEC)
    staged = [table.stage(rows(1, 2), bucket=bucket) for bucket in (0, 1)]
    table.replace(staged, everything)
    path = Path(table.uri, staged[0].path)
    if damage == "deleted":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2 if damage == "truncated" else 0)
    with pytest.raises(LakeError, match=f"{table.uri}: a committed file cannot be read: .*{path.name}.*backup"):
        table.read()
    # What it does not touch is still there.
    assert table.read(["units"], lambda partition: partition["bucket"] == "1")["units"].to_pylist() == [1, 2]
