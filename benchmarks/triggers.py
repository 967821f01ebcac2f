"""From a file on S3 to committed predictions, on the whole server stack: how long it takes, and what kills do to it.

A file is put into the SeaweedFS of the stack, whose own notification tells the gateway's hook; the hook's files become
a job, its run takes a standby process, and scores the file with the models of a fleet of 60 segments. Times are those
of the gateway and of Prefect. The floor is the run itself, from its start to its end: all else is on the way. Runs that
start as Prefect starts them, by a new Python process, are taken by turns with runs that take a standby process.

With `--events N` so many events about a tenth as many files come in any order, with repeats, from 16 senders at once
and beside the store's own: every file must have been scored once.

With `--kills N` files land one after another while, by turns, the gateway, the Prefect server and Prefect's worker are
killed; at the end every file must have been scored once, and every job told to a subscriber at least once.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import httpx
import numpy as np
import pandas as pd
import psutil
import yaml

from adapters.gateway.store import GatewayStore
from adapters.lake.table import Lake
from adapters.local_stack import LocalStack
from benchmarks.machine import describe
from benchmarks.timing import timed
from domain.data.tables import PREDICTIONS
from domain.gateway.api_keys import Key, make_key
from tests.support.scratch_stack import ROOT, scratch_stack

__all__ = ["Site", "main", "site"]

DEBOUNCE_S = 1.0
FILES = 10
ROWS = 60
_LIMIT_S = 240.0
_FLEET = "bench-trips"
_RAW = "s3://myriad/raw"
_KILLED = ("gateway", "prefect-server", "prefect-worker")


class Site:
    """A stack with a fleet that has a release, an endpoint for it, and a hook that the store's events reach."""

    def __init__(self, stack: LocalStack, key: str, scratch: Path, subscriber: int) -> None:
        self.stack, self.scratch = stack, scratch
        self.environment = _clean(os.environ) | stack.client_environment()
        self.environment |= {"MYRIAD_HOME": str(ROOT), "PREFECT_HOME": str(scratch / "prefect")}
        self.storage = fsspec.filesystem(
            "s3",
            key=stack.variables["AWS_ACCESS_KEY_ID"],
            secret=stack.variables["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            skip_instance_cache=True,
        )
        _knows(stack, self.environment, key)
        self.gateway = httpx.Client(
            base_url=f"http://127.0.0.1:{stack.variables['GATEWAY_PORT']}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
        user, password = stack.variables["PREFECT_API_AUTH_STRING"].split(":")
        self.prefect = httpx.Client(base_url=self.environment["PREFECT_API_URL"], auth=(user, password), timeout=30)
        _write_history(self.storage)
        self.land(999)
        for command in (("run", _FLEET), ("deploy", _FLEET)):
            _succeeded([sys.executable, "-m", "cli", *command], self.environment)
        self._put(f"/v1/batch/{_FLEET}", {"deployments": {"blue": {"fleet": _FLEET}}, "default": "blue"})
        url = f"http://127.0.0.1:{subscriber}/"
        self._put("/v1/subscriptions/app", {"url": url, "events": ["job.completed", "job.failed"]})

    def hook(self, **changes: object) -> None:
        """Change the hook that the store's events reach."""
        wishes = {"endpoint": _FLEET, "debounce_seconds": DEBOUNCE_S, "sweep_seconds": 30}
        self._put("/v1/triggers/landing", wishes | changes)

    def land(self, number: int) -> str:
        """Put a file; its address."""
        uri = f"{_RAW}/today/{number:04d}.csv"
        with self.storage.open(uri, "wb") as stream:
            stream.write(_trips(ROWS, 1000 + number).drop(columns="minutes").to_csv(index=False).encode())
        return uri

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs of the endpoint; again while the gateway is away."""
        answer = self._again(lambda: self.gateway.get(f"/v1/batch/{_FLEET}/jobs", params={"limit": 200}))
        return list(answer.json()["jobs"])

    def job_of(self, uri: str) -> dict[str, Any]:
        """The job that scores a file, once it is over."""
        found = _until(
            lambda: next((job for job in self.jobs() if uri in job["inputs"] and job["finished_at"]), None), 0.1
        )
        assert found is not None
        return found

    def run(self, identity: str) -> dict[str, Any]:
        """A run as Prefect has it."""
        return dict(self._again(lambda: self.prefect.get(f"/flow_runs/{identity}")).json())

    def start(self, **settings: object) -> dict[str, Any]:
        """A run of the deployment `score`, once it is over."""
        deployment = self.prefect.get(f"/deployments/name/score/{_FLEET}").json()["id"]
        made = self.prefect.post(f"/deployments/{deployment}/create_flow_run", json=settings).json()
        return self.over(made["id"])

    def over(self, identity: str) -> dict[str, Any]:
        """A run, once it is over."""
        found = _until(lambda: next((run for run in [self.run(identity)] if run["end_time"]), None), 0.1)
        assert found is not None
        return found

    def begun(self, tag: str) -> dict[str, Any]:
        """A run whose inputs name this file."""
        asked = {"sort": "EXPECTED_START_TIME_DESC", "limit": 20}

        def look() -> dict[str, Any] | None:
            found = self.prefect.post("/flow_runs/filter", json=asked).json()
            return next((run for run in found if tag in (run["parameters"].get("inputs") or ())), None)

        found = _until(look, 0.05)
        assert found is not None
        return found

    def post(self, uri: str) -> int:
        """An event about a file as AWS tells it, again where we are too fast; the status of the answer."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        told = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventTime": "2026-11-26T10:00:00.000Z"}
        told |= {"s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "eTag": "one"}}}
        while (answer := self.gateway.post("/v1/triggers/landing", json={"Records": [told]})).status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
        return answer.status_code

    def scored(self, numbers: Iterable[int]) -> tuple[int, int]:
        """How many of these files do not have their predictions once, and how many rows there are twice."""
        table = Lake(self.environment["MYRIAD_LAKE"]).table(_FLEET, PREDICTIONS)
        frame = table.read(["segment", "row_key", "release", "input_id"]).to_pandas()
        found = Counter(frame.row_key.str.extract(r"t(\d+)-", expand=False))
        lost = sum(found[str(1000 + number)] != ROWS for number in numbers)
        return lost, int(frame.duplicated(["segment", "row_key", "release"]).sum())

    def kill(self, service: str) -> None:
        """SIGKILL to a service's process; its supervisor starts it again."""
        entry = next(entry for entry in self.stack.entries() if entry.name == service)
        with suppress(psutil.Error):
            psutil.Process(entry.pid).send_signal(signal.SIGKILL)

    def _put(self, path: str, content: Mapping[str, object]) -> None:
        answer = self.gateway.put(path, json=content)
        if answer.status_code != 200:
            raise RuntimeError(f"PUT {path}: {answer.text}")

    def _again(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """A server that was killed comes back."""

        def answer() -> httpx.Response | None:
            try:
                found = ask()
            except httpx.TransportError:
                return None
            return found if found.is_success else None

        found = _until(answer, 0.2)
        assert found is not None
        return found


@contextmanager
def site() -> Iterator[tuple[Site, list[Mapping[str, Any]]]]:
    """A site, and what its subscriber was told: one entry a message that arrived."""
    key = make_key().text
    with tempfile.TemporaryDirectory(prefix="myriad-triggers-") as scratch, _subscriber() as (port, told):
        events = {"S3_EVENTS": "true", "S3_EVENTS_KEY": key, "MYRIAD_WEBHOOK_HOSTS": f"127.0.0.1:{port}"}
        with scratch_stack(MYRIAD_WORKERS="2", MYRIAD_GATEWAY_ROOTS=_RAW, **events) as stack:
            before = dict(os.environ)
            os.environ.update(
                {name: value for name, value in stack.client_environment().items() if name.startswith("AWS_")}
            )
            try:
                with _fleet():
                    yield Site(stack, key, Path(scratch), port), told
            finally:
                os.environ.clear()
                os.environ.update(before)


def main() -> list[str]:
    """Times of files that land one after another; lines of Markdown."""
    lines = describe("python -m benchmarks.triggers")
    with site() as (made, _):
        made.hook()
        landed = [_landed(made, number) for number in range(FILES)]
        status = _status(made, made.jobs()[0])
        made.hook(delivery="event", debounce_seconds=0)
        event = [_event(made, FILES + number) for number in range(FILES)]
        warm, cold = [], []
        command = {"job_variables": {"command": f"{sys.executable} -m prefect.engine"}}
        made.start()
        for _ in range(5):
            time.sleep(4)  # Until a process stands by again.
            warm.append(_took(made.start()))
            cold.append(_took(made.start(**command)))
    whole, floor = [one[0] for one in landed], [one[1] for one in landed]
    created = [one[2] for one in landed]
    share = statistics.median(one / other for one, other in zip(whole, floor, strict=True))
    faster = statistics.median(one / other for one, other in zip(cold, warm, strict=True))
    return [
        *lines,
        "",
        "| | median | longest |",
        "|---|---|---|",
        f"| file put -> predictions committed, without the debounce of {DEBOUNCE_S:g} s | {_both(whole)} |",
        f"| of it: the run, from its start to its end | {_both(floor)} |",
        f"| hook's job on record -> run created in Prefect | {_both(created)} |",
        f"| event posted -> run created by an automation | {_both(event)} |",
        f"| state of a job asked for, client and network included | {1000 * statistics.median(status):.1f} ms "
        f"| {1000 * max(status):.1f} ms |",
        f"| run created -> over, standby process | {_both(warm)} |",
        f"| run created -> over, new process | {_both(cold)} |",
        "",
        f"File to commit takes {share:.1f} times its run; a run by a new process takes {faster:.1f} times as long as "
        f"one by a standby process. {FILES} files of {ROWS} rows, one after another.",
    ]


def _landed(made: Site, number: int) -> tuple[float, float, float]:
    """Seconds from a file to its predictions, of its run, and from its job to the run."""
    began = datetime.now(UTC)
    job = made.job_of(made.land(number))
    if job["state"] != "completed":
        raise RuntimeError(f"job {job['id']}: {job['reason']}")
    run = made.run(job["flow_run_id"])
    over = _moment(job["finished_at"])
    created = (_moment(run["created"]) - _moment(job["created_at"])).total_seconds()
    return (over - began).total_seconds() - DEBOUNCE_S, _ran(run), created


def _status(made: Site, job: Mapping[str, Any]) -> list[float]:
    """Seconds of calls for the state of a job, one after another."""
    return [timed(lambda: made.gateway.get(job["links"]["self"]).raise_for_status()) for _ in range(200)]


def _event(made: Site, number: int) -> float:
    """Seconds from an event to the run that Prefect's automation creates."""
    uri = f"{_RAW}/elsewhere/{number:04d}.csv"
    with made.storage.open(uri, "wb") as stream:
        stream.write(_trips(ROWS, 5000 + number).drop(columns="minutes").to_csv(index=False).encode())
    began = datetime.now(UTC)
    # The store's own notification of the same file may come first: both are one event.
    made.gateway.post("/v1/triggers/landing", json={"uri": uri}).raise_for_status()
    run = made.begun(uri)
    made.over(run["id"])
    return max(0.0, (_moment(run["created"]) - began).total_seconds())


def events(count: int, seed: int) -> tuple[list[str], int]:
    """What came of so many events about a tenth as many files; lines, and how much was wrong."""
    dice = random.Random(seed)
    with site() as (made, _):
        made.hook()
        with ThreadPoolExecutor(16) as pool:
            uris = list(pool.map(made.land, range(max(1, count // 10))))
            posted = [*uris, *dice.choices(uris, k=count - len(uris))]
            dice.shuffle(posted)
            statuses = Counter(pool.map(made.post, posted))
        ends = [made.job_of(uri) for uri in uris]
        jobs = {job["id"]: job for job in ends}
        inputs = Counter(one["uri"] for job in jobs.values() for one in job["counts"]["inputs"])
        lost, doubled = made.scored(range(len(uris)))
    wrong = lost + doubled + sum(job["state"] != "completed" for job in ends) + (statuses[202] != count)
    return [
        f"{count:,} events about {len(uris)} files: {statuses[202]:,} taken; {len(jobs)} jobs with "
        f"{sum(inputs.values())} inputs; rows of {lost} files not there once, {doubled} rows twice"
    ], wrong


def kills(count: int, seed: int) -> tuple[list[str], int]:
    """What came of so many kills; lines, and how much was wrong."""
    dice, wrong = random.Random(seed), 0
    with site() as (made, told):
        made.hook()
        uris = []
        for number in range(count):
            victim = _KILLED[number % len(_KILLED)]
            uris.append(made.land(number))
            time.sleep(dice.uniform(0.0, DEBOUNCE_S + 5.0))
            made.kill(victim)
            uris.append(made.land(count + number))
            print(f"kill {number}: {victim}", flush=True)
            time.sleep(dice.uniform(2.0, 8.0))
        jobs = {uri: made.job_of(uri) for uri in uris}
        lost, doubled = made.scored(range(2 * count))
        ends = {job["id"]: job["state"] for job in jobs.values()}
        _until(lambda: {one["data"]["id"] for one in told} >= ends.keys() or None, 0.5)
        messages = Counter(one["data"]["id"] for one in told)
        wrong += lost + doubled + sum(state != "completed" for state in ends.values())
        wrong += len(ends.keys() - messages.keys())
    lines = [
        f"{count} kills of {', '.join(_KILLED)}; {len(uris)} files in {len(ends)} jobs: "
        f"{sum(state == 'completed' for state in ends.values())} completed; rows of {lost} files not there once, "
        f"{doubled} rows twice; {len(messages)} jobs told, {sum(messages.values())} messages",
    ]
    return lines, wrong


@contextmanager
def _subscriber() -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    told: list[Mapping[str, Any]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], told
        finally:
            server.shutdown()
            thread.join()


def _write_history(storage: fsspec.AbstractFileSystem) -> None:
    with storage.open(f"{_RAW}/history/trips.csv", "wb") as stream:
        stream.write(_trips(60 * 60, 1).to_csv(index=False).encode())


@contextmanager
def _fleet() -> Iterator[None]:
    """The fleet's file, where the stack's services find it while the block runs."""
    content = {
        "name": _FLEET,
        "task": "regression",
        "source": {"path": f"{_RAW}/history/*.csv"},
        "segment_by": ["city", "route"],
        "target": {"column": "minutes", "minimum": 0},
        "row_key": ["trip"],
        "features": {"known": ["distance"], "categorical": ["weather"]},
        "candidates": ["mean", "ridge"],
        "backtest": {"metric": "mae"},
        "partition": {"buckets": 2, "min_rows": 20},
        "fallback": [{"parent": "city"}, "global"],
        "score": {"source": {"path": f"{_RAW}/today/*.csv"}},
    }
    file = ROOT / "fleets" / f"{_FLEET}.yaml"
    file.write_text(yaml.safe_dump(content))
    try:
        yield
    finally:
        file.unlink()


def _trips(count: int, seed: int) -> pd.DataFrame:
    dice = np.random.default_rng(seed)
    number = np.arange(count)
    frame = pd.DataFrame(
        {
            "trip": [f"t{seed}-{each}" for each in number],
            "city": [f"c{each % 6}" for each in number],
            "route": [f"r{each % 60 // 6}" for each in number],
            "distance": dice.uniform(1, 20, count).round(2),
            "weather": dice.choice(["dry", "rain"], count),
        }
    )
    return frame.assign(minutes=5 + 3 * frame.distance + dice.normal(0, 0.5, count))


def _knows(stack: LocalStack, environment: Mapping[str, str], text: str) -> None:
    """Let the gateway know the key that its store was started with."""
    made = environment["MYRIAD_GATEWAY_DATABASE"]
    password, port = stack.variables["POSTGRES_GATEWAY_PASSWORD"], stack.variables["POSTGRES_PORT"]
    url = made.replace("///", f"//gateway:{password}@127.0.0.1:{port}/")
    _, prefix, _ = text.split("_", 2)
    key = Key("store", "primary", prefix, _digest(text), ("score", "operate"), (), datetime.now(UTC))
    store = GatewayStore(url)
    store.keys.add(key)
    store.close()


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    prefixes = ("MYRIAD_", "PREFECT_", "MLFLOW_", "AWS_", "DASK_")
    return {name: value for name, value in environment.items() if not name.startswith(prefixes)}


def _succeeded(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _until(look: Callable[[], Any], every_s: float) -> Any:
    end = time.monotonic() + _LIMIT_S
    while (found := look()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"not within {_LIMIT_S:.0f} s")
        time.sleep(every_s)
    return found


def _took(run: Mapping[str, Any]) -> float:
    """Seconds from a run's creation to its end."""
    if run["state_type"] != "COMPLETED":
        raise RuntimeError(f"run {run['name']}: {run['state']}")
    return (_moment(run["end_time"]) - _moment(run["created"])).total_seconds()


def _ran(run: Mapping[str, Any]) -> float:
    return (_moment(run["end_time"]) - _moment(run["start_time"])).total_seconds()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _both(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} s | {max(seconds):.1f} s"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=0, help="number of events about a tenth as many files")
    parser.add_argument("--kills", type=int, default=0, help="number of kills; without: times alone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.kills or options.events:
        found, bad = (kills if options.kills else events)(options.kills or options.events, options.seed)
        print("\n".join(found))
        sys.exit(bool(bad))
    print("\n".join(main()))
