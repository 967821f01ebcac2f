"""The lease: one holder a fleet, whatever becomes of holders; over a local folder and over S3."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from adapters.lake import lease
from adapters.lake.lease import check_lease, hold_lease
from adapters.lake.table import Lake, Table
from domain.data.tables import LEASES
from domain.errors import BusyError, LakeError

ROOT = Path(__file__).parents[4]
HOLDER = """
import sys, time
from pathlib import Path
from adapters.lake.table import Lake
from adapters.lake.lease import hold_lease
from domain.errors import BusyError
uri, run_id, gate = sys.argv[1:]
print("ready", flush=True)
while gate != "-" and not Path(gate).exists():
    time.sleep(0.001)
try:
    with hold_lease(Lake(uri), "shop", run_id, "train"):
        print("held", flush=True)
        sys.stdin.read()
except BusyError as exc:
    print(exc, flush=True)
"""


@pytest.fixture(params=["local", "s3"])
def lake(request, tmp_path):
    if request.param == "local":
        return Lake(str(tmp_path / "lake"))
    request.getfixturevalue("s3")
    return Lake(f"s3://lake/{uuid.uuid4().hex}")


@pytest.fixture
def local(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def holders():
    """Starts processes that hold the lease until their standard input ends."""
    started = []

    def start(lake, run_id, gate="-"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, lake.uri, run_id, str(gate)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def row(lake):
    rows = lake.table("shop", LEASES).read().to_pylist()
    assert len(rows) <= 1
    return rows[0] if rows else None


def pretend(lake, **changes):
    """Rewrite the lease's row, as a holder elsewhere would have written it."""
    now = datetime.now(UTC)
    content = {"what": "train", "host": "elsewhere", "boot": "b", "pid": 7, "started": 1.0}
    content |= {"acquired_at": now, "renewed_at": now, "expires_at": now + timedelta(hours=1)} | changes
    table = lake.table("shop", LEASES)
    staged = table.stage(pa.Table.from_pylist([content], LEASES.file_schema), run_id="run-elsewhere")
    table.replace([staged], lambda file: True)


def test_a_lease_is_held_for_the_block_and_free_afterwards(lake):
    with hold_lease(lake, "shop", "run-1", "train"):
        assert (row(lake)["run_id"], row(lake)["what"], row(lake)["pid"]) == ("run-1", "train", os.getpid())
        check_lease(lake, "shop")
    assert row(lake) is None
    with hold_lease(lake, "shop", "run-2", "promote"):
        assert row(lake)["run_id"] == "run-2"


def test_another_run_is_refused_and_told_who_is_at_work(lake):
    with (
        hold_lease(lake, "shop", "run-1", "train"),
        pytest.raises(BusyError) as caught,
        hold_lease(lake, "shop", "run-2", "promote"),
    ):
        pytest.fail("two runs at once")
    told = str(caught.value)
    for part in ("fleet shop", "run run-1", "(train)", f"process {os.getpid()} on ", "since 20", "nothing was changed"):
        assert part in told
    assert "wait until it has ended, or end that process" in told
    assert row(lake) is None


def test_the_same_run_holds_it_several_times_over_until_the_outermost_ends(local):
    with hold_lease(local, "shop", "run-1", "pipeline"):
        with hold_lease(local, "shop", "run-1", "train"):
            assert row(local)["what"] == "pipeline"
        assert row(local)["run_id"] == "run-1"
        with pytest.raises(BusyError), hold_lease(local, "shop", "run-2", "train"):
            pass
    assert row(local) is None


def test_fleets_do_not_wait_for_each_other(local):
    with hold_lease(local, "shop", "run-1", "train"), hold_lease(local, "other", "run-2", "train"):
        check_lease(local, "shop")
        check_lease(local, "other")


def test_an_error_in_the_block_frees_the_lease(local):
    with pytest.raises(ValueError, match="broken"), hold_lease(local, "shop", "run-1", "train"):
        raise ValueError("broken")
    assert row(local) is None


def test_of_two_processes_that_race_one_wins(lake, holders, tmp_path):
    both = [holders(lake, f"run-{number}", tmp_path / "gate") for number in (1, 2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    (tmp_path / "gate").touch()
    answers = [process.stdout.readline() for process in both]
    assert sorted(answer == "held\n" for answer in answers) == [False, True], answers
    winner = both[answers.index("held\n")]
    loser = next(answer for answer in answers if answer != "held\n")
    assert f"process {winner.pid} on" in loser
    winner.communicate()
    assert row(lake) is None


def test_a_killed_holder_is_replaced_at_once(lake, holders):
    process = holders(lake, "run-1")
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "held\n"]
    with pytest.raises(BusyError, match=f"process {process.pid} on"), hold_lease(lake, "shop", "run-2", "train"):
        pass
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # Dead, but a zombie still.
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    with hold_lease(lake, "shop", "run-2", "train"):
        assert row(lake)["run_id"] == "run-2"
    assert process.wait() == -signal.SIGKILL


def test_a_process_that_got_the_id_of_a_dead_holder_is_not_the_holder(local):
    me = lease._this_process()
    pretend(local, host=me.host, boot=me.boot, pid=me.pid, started=me.started - 60)
    with hold_lease(local, "shop", "run-2", "train"):
        assert row(local)["run_id"] == "run-2"


@pytest.mark.parametrize("changes", [{}, {"host": "here"}, {"boot": "here"}])
def test_a_holder_elsewhere_is_waited_for_until_its_lease_expires(local, changes):
    me = lease._this_process()
    changes = {name: getattr(me, name) for name in changes}
    pretend(local, **changes)
    with (
        pytest.raises(BusyError, match="its lease expires at 20") as caught,
        hold_lease(local, "shop", "run-2", "train"),
    ):
        pass
    assert "run run-elsewhere" in str(caught.value)
    pretend(local, expires_at=datetime.now(UTC) - timedelta(seconds=1), **changes)
    with hold_lease(local, "shop", "run-2", "train"):
        assert row(local)["run_id"] == "run-2"


def test_a_holder_renews_its_lease(local, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    with hold_lease(local, "shop", "run-1", "train"):
        first = row(local)
        until(lambda: row(local)["renewed_at"] > first["renewed_at"])
        assert row(local)["expires_at"] > first["expires_at"]
        assert row(local)["acquired_at"] == first["acquired_at"]
        check_lease(local, "shop")
    assert row(local) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_a_lease_that_another_run_took_is_lost(local, monkeypatch):
    with hold_lease(local, "shop", "run-1", "train"):
        pretend(local)
        with pytest.raises(BusyError, match=r"run run-1 \(train\) lost its lease.*run run-elsewhere"):
            check_lease(local, "shop")
    assert row(local)["run_id"] == "run-elsewhere"


def test_a_lease_that_could_not_be_renewed_is_lost_before_others_may_take_it(local, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_S", lease.MARGIN_S + 2.0)

    def lost():
        try:
            check_lease(local, "shop")
        except BusyError as exc:
            return "could not be renewed since 20" in str(exc)
        return False

    with hold_lease(local, "shop", "run-1", "train"):
        check_lease(local, "shop")
        until(lost)


def test_renewal_goes_on_after_the_storage_was_away(local, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    plain, away = Table.replace, threading.Event()

    def failing(self, *arguments, **options):
        if threading.current_thread().name == "lease" and not away.is_set():
            away.set()
            raise LakeError("storage is away")
        return plain(self, *arguments, **options)

    monkeypatch.setattr(Table, "replace", failing)
    with hold_lease(local, "shop", "run-1", "train"):
        first = row(local)
        assert away.wait(10)
        until(lambda: row(local)["renewed_at"] > first["renewed_at"])


def test_many_runs_of_one_process_take_turns(local):
    at_work, most = [], []

    def attempt(number):
        for _ in range(200):
            try:
                with hold_lease(local, "shop", f"run-{number}", "train"):
                    at_work.append(number)
                    most.append(len(at_work))
                    time.sleep(0.01)
                    at_work.remove(number)
                    return True
            except BusyError:
                time.sleep(0.01)
        return False

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(attempt, range(4)))
    assert most == [1] * 4


def test_without_a_lease_there_is_nothing_to_lose(local):
    check_lease(local, "shop")


def until(true, limit_s=60.0):
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
