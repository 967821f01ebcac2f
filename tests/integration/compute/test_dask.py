"""Workers of our own cluster: how many there are, what they get first, and what becomes of them when something ends."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from itertools import accumulate
from pathlib import Path

import psutil
import pytest

import adapters.compute.dask as cluster
from adapters.compute.progress import subscribed
from adapters.settings import Settings
from domain.errors import ClusterError

ROOT = Path(__file__).parents[3]


def levels(_):
    return {name: logging.getLogger(name).level for name in ("distributed.worker", "distributed.core", "distributed")}


def main():
    with cluster.open_workers(Settings(workers=1)) as workers:
        print(workers.map("levels", levels, [0])[0])


def test_workers_are_quiet_and_a_taken_port_is_no_warning():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        except OSError:
            pass  # Somebody else has it: taken all the same.
        done = subprocess.run(
            [sys.executable, __file__],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stderr == ""
    assert done.stdout.strip() == str(
        {"distributed.worker": logging.CRITICAL, "distributed.core": logging.CRITICAL, "distributed": logging.WARNING}
    )


@pytest.fixture(scope="module")
def one_worker():
    with cluster.start_workers(Settings(workers=1)) as workers:
        yield workers


def when(_):
    time.sleep(0.01)
    return time.monotonic()


def doubled(number):
    return 2 * number


def failing(folder, number):
    """Fails once, and then does what it should."""
    mark = folder / str(number)
    if mark.exists():
        return number
    mark.touch()
    raise ValueError(f"number {number} failed on purpose")


def always_failing(number):
    raise ValueError(f"number {number} failed on purpose")


def dying(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def endless(folder, number):
    (folder / str(os.getpid())).touch()
    while number:
        time.sleep(0.1)
    return number


def test_the_heaviest_items_begin_first_and_results_keep_their_order(one_worker):
    weights = [3, 9, 1, 7, 5]
    began = one_worker.map("heavy", when, list(range(5)), weight=lambda place: weights[place])
    assert sorted(range(5), key=lambda place: began[place]) == [1, 3, 4, 0, 2]
    assert one_worker.map("plain", doubled, list(range(50)), weight=lambda number: number % 7) == [
        2 * number for number in range(50)
    ]


def begin_and_end(_):
    began = time.monotonic()
    time.sleep(0.1)
    return began, time.monotonic()


def allocation(_):
    return os.environ["MALLOC_TRIM_THRESHOLD_"], os.environ["MALLOC_MMAP_THRESHOLD_"]


def test_workers_keep_freed_memory(one_worker):
    assert one_worker.map("memory", allocation, [0]) == [(str(128 << 20), str(32 << 20))]


def test_a_limit_holds_items_back_and_all_are_done():
    with cluster.start_workers(Settings(workers=2)) as two:
        spans = two.map("two", begin_and_end, list(range(6)))
        assert most_at_once(spans) == 2
        seen = []
        with subscribed(seen.append):
            spans = two.limited(1).map("one", begin_and_end, list(range(6)), before=1)
        assert most_at_once(spans) == 1
        assert [one.done for one in seen] == list(range(1, 8))
        assert two.limited(4).map("few", doubled, [1, 2]) == [2, 4]
        assert two.limited(1).map("none", doubled, []) == []
        with pytest.raises(ValueError, match="on purpose"):
            two.limited(1).map("fails", always_failing, [1, 2], retries=0)


def most_at_once(spans):
    return max(sum(began <= moment < end for began, end in spans) for moment, _ in spans)


def test_what_had_been_done_before_counts_in_the_progress(one_worker):
    seen = []
    with subscribed(seen.append):
        one_worker.map("bucket", doubled, [1, 2], before=3)
    assert [(one.stage, one.done, one.total) for one in seen] == [("bucket", done, 5) for done in (3, 4, 5)]


def test_an_item_that_fails_is_tried_again_and_its_error_is_raised_in_the_end(one_worker, tmp_path):
    assert one_worker.map("some", partial(failing, tmp_path), [1, 2]) == [1, 2]
    with pytest.raises(ValueError, match="number 7 failed on purpose"):
        one_worker.map("all", always_failing, [7])
    assert one_worker.map("after", doubled, [4]) == [8]


def test_a_worker_with_other_code_is_refused_by_its_address(one_worker, monkeypatch):
    monkeypatch.setattr(cluster, "code_digest", lambda: "of-another-version")
    told = r"worker tls://127\.0\.0\.1:\d+: it has another version of Myriad than the coordinator; give both the"
    with pytest.raises(ClusterError, match=told):
        one_worker.map("odd", doubled, [1])


def test_an_item_that_kills_its_workers_ends_the_map_with_the_way_out(monkeypatch):
    monkeypatch.setattr(cluster, "ALLOWED_FAILURES", 1)
    with cluster.start_workers(Settings(workers=1)) as workers:
        with pytest.raises(ClusterError) as caught:
            workers.map("train", dying, [0, 1])
        assert workers.map("after", doubled, [4]) == [8]
    told = str(caught.value)
    assert told.startswith("train: 2 workers died over the same item (train-bucket-")
    assert told.endswith("raise MYRIAD_WORKER_MEMORY, or give the fleet more buckets")


def test_a_map_that_is_interrupted_ends_the_processes_at_work_for_it(tmp_path):
    class Interrupted(BaseException):
        pass

    def interrupt(progress):
        if progress.done:
            raise Interrupted

    with cluster.start_workers(Settings(workers=2)) as workers:
        with subscribed(interrupt), pytest.raises(Interrupted):
            workers.map("stuck", partial(endless, tmp_path), [0, 1, 2, 3])
        at_work = [int(path.name) for path in tmp_path.iterdir()]
        end = time.monotonic() + 60
        # The one that was done with number 0 may have begun another one since.
        while len(left := [pid for pid in at_work if psutil.pid_exists(pid)]) > 1 and time.monotonic() < end:
            time.sleep(0.1)
        assert len(left) <= 1
        assert workers.map("after", doubled, [1, 2, 3, 4]) == [2, 4, 6, 8]


def slowly(number):
    time.sleep(0.25)
    return number


def test_workers_come_with_the_work_and_leave_after_it():
    """As the scheduler itself tells it."""
    with cluster.start_workers(Settings(workers=2, min_workers=0)) as workers:
        client = workers._client
        assert client.scheduler_info()["workers"] == {}
        for _ in range(2):
            assert workers.map("slow", slowly, list(range(40)), weight=lambda number: number) == list(range(40))
            end = time.monotonic() + 30
            while client.scheduler_info()["workers"] and time.monotonic() < end:
                time.sleep(0.1)
        events = [event["action"] for _, event in client.get_events("all") if isinstance(event, dict)]
        changes = [{"add-worker": 1, "remove-worker": -1}[each] for each in events if each.endswith("-worker")]
        counts = list(accumulate(changes))
        assert max(counts) == 2
        assert counts.count(0) == 2, "to nothing after each of the two"
        assert counts[-1] == 0


def test_a_scheduler_with_other_versions_is_refused(one_worker, monkeypatch):
    theirs = one_worker._client.get_versions()
    theirs["scheduler"]["packages"]["distributed"] = "2024.1.0"
    monkeypatch.setattr(one_worker._client, "get_versions", lambda: theirs)
    assert cluster.odd_versions(one_worker._client).startswith("distributed 2024.1.0, not ")


if __name__ == "__main__":
    main()
