"""Time from a file on S3 to committed predictions on the whole server stack, and correctness under kills.

The benchmark writes a file to the SeaweedFS of the stack, which notifies a trigger of the gateway. The gateway creates
a job, whose run uses a warm process and scores the file with the models of a fleet of 60 segments. Times are those
of the gateway and of Prefect. The floor is the run itself, from its start to its end. Runs in a new Python process, as
Prefect starts them, alternate with runs in a warm process.

With `--events N`, 16 senders post N events about N / 10 files in any order and with repeats, in addition to the store's
own events: every file must be scored exactly once.

With `--kills N`, files arrive one after another while the gateway, the Prefect server and Prefect's worker are killed
in turn: every file must be scored exactly once, and a subscriber must hear of every job at least once.
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
from benchmarks.timing import ratio, timed
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
    """A stack with a fleet that has a release, an endpoint for it, and a trigger that the store's events reach."""

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
        _store_key(stack, self.environment, key)
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
            _run_command([sys.executable, "-m", "cli", *command], self.environment)
        self._put(f"/v1/batch/{_FLEET}", {"deployments": {"blue": {"fleet": _FLEET}}, "default": "blue"})
        url = f"http://127.0.0.1:{subscriber}/"
        self._put("/v1/subscriptions/app", {"url": url, "events": ["job.completed", "job.failed"]})

    def set_trigger(self, **changes: object) -> None:
        """Create or change the trigger that the store's events reach."""
        settings = {"endpoint": _FLEET, "debounce_seconds": DEBOUNCE_S, "sweep_seconds": 30}
        self._put("/v1/triggers/landing", settings | changes)

    def land(self, number: int) -> str:
        """Write a file of input and return its address."""
        uri = f"{_RAW}/today/{number:04d}.csv"
        with self.storage.open(uri, "wb") as stream:
            stream.write(_trips(ROWS, 1000 + number).drop(columns="minutes").to_csv(index=False).encode())
        return uri

    def jobs(self) -> list[dict[str, Any]]:
        """List all jobs of the endpoint; retries while the gateway is unreachable."""
        answer = self._again(lambda: self.gateway.get(f"/v1/batch/{_FLEET}/jobs", params={"limit": 200}))
        return list(answer.json()["jobs"])

    def job_of(self, uri: str) -> dict[str, Any]:
        """Wait until the job that scores a file has finished, and return it."""
        finished = _until(
            lambda: next((job for job in self.jobs() if uri in job["inputs"] and job["finished_at"]), None), 0.1
        )
        assert finished is not None
        return finished

    def run(self, identity: str) -> dict[str, Any]:
        """Read a run from Prefect."""
        return dict(self._again(lambda: self.prefect.get(f"/flow_runs/{identity}")).json())

    def start(self, **settings: object) -> dict[str, Any]:
        """Start a run of the deployment `score`, wait for its end, and return it."""
        deployment = self.prefect.get(f"/deployments/name/score/{_FLEET}").json()["id"]
        created = self.prefect.post(f"/deployments/{deployment}/create_flow_run", json=settings).json()
        return self.over(created["id"])

    def over(self, identity: str) -> dict[str, Any]:
        """Wait until a run has ended, and return it."""
        ended = _until(lambda: next((run for run in [self.run(identity)] if run["end_time"]), None), 0.1)
        assert ended is not None
        return ended

    def begun(self, uri: str) -> dict[str, Any]:
        """Wait for a run whose inputs name this file, and return it."""
        query = {"sort": "EXPECTED_START_TIME_DESC", "limit": 20}

        def look() -> dict[str, Any] | None:
            runs = self.prefect.post("/flow_runs/filter", json=query).json()
            return next((run for run in runs if uri in (run["parameters"].get("inputs") or ())), None)

        run = _until(look, 0.05)
        assert run is not None
        return run

    def post(self, uri: str) -> int:
        """Post an event about a file in the form of AWS, again while the rate limit refuses it; returns the status."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventTime": "2026-11-26T10:00:00.000Z"}
        record |= {"s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "eTag": "one"}}}
        while (answer := self.gateway.post("/v1/triggers/landing", json={"Records": [record]})).status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
        return answer.status_code

    def scored(self, numbers: Iterable[int]) -> tuple[int, int]:
        """Count the files without exactly one set of predictions, and the rows that are there twice."""
        table = Lake(self.environment["MYRIAD_LAKE"]).table(_FLEET, PREDICTIONS)
        frame = table.read(["segment", "row_key", "release", "input_id"]).to_pandas()
        rows = Counter(frame.row_key.str.extract(r"t(\d+)-", expand=False))
        lost = sum(rows[str(1000 + number)] != ROWS for number in numbers)
        return lost, int(frame.duplicated(["segment", "row_key", "release"]).sum())

    def kill(self, service: str) -> None:
        """Send SIGKILL to a service's process; its supervisor starts it again."""
        entry = next(entry for entry in self.stack.entries() if entry.name == service)
        with suppress(psutil.Error):
            psutil.Process(entry.pid).send_signal(signal.SIGKILL)

    def _put(self, path: str, content: Mapping[str, object]) -> None:
        answer = self.gateway.put(path, json=content)
        if answer.status_code != 200:
            raise RuntimeError(f"PUT {path}: {answer.text}")

    def _again(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Repeat a request until a server that was killed answers again."""

        def answer() -> httpx.Response | None:
            try:
                response = ask()
            except httpx.TransportError:
                return None
            return response if response.is_success else None

        response = _until(answer, 0.2)
        assert response is not None
        return response


@contextmanager
def site() -> Iterator[tuple[Site, list[Mapping[str, Any]]]]:
    """Yield a site, and the messages that its subscriber has received."""
    key = make_key().text
    with tempfile.TemporaryDirectory(prefix="myriad-triggers-") as scratch, _subscriber() as (port, messages):
        events = {"S3_EVENTS": "true", "S3_EVENTS_KEY": key, "MYRIAD_WEBHOOK_HOSTS": f"127.0.0.1:{port}"}
        with scratch_stack(MYRIAD_WORKERS="2", MYRIAD_GATEWAY_ROOTS=_RAW, **events) as stack:
            before = dict(os.environ)
            os.environ.update(
                {name: value for name, value in stack.client_environment().items() if name.startswith("AWS_")}
            )
            try:
                with _fleet():
                    yield Site(stack, key, Path(scratch), port), messages
            finally:
                os.environ.clear()
                os.environ.update(before)


def main() -> list[str]:
    """Measure files that arrive one after another. Returns lines of Markdown."""
    lines = describe("python -m benchmarks.triggers")
    with site() as (target, _):
        target.set_trigger()
        landed = [_landed(target, number) for number in range(FILES)]
        status = _status(target, target.jobs()[0])
        target.set_trigger(delivery="event", debounce_seconds=0)
        event = [_event(target, FILES + number) for number in range(FILES)]
        warm, cold = [], []
        command = {"job_variables": {"command": f"{sys.executable} -m prefect.engine"}}
        target.start()
        for _ in range(5):
            time.sleep(4)  # Until a warm process is ready again.
            warm.append(_took(target.start()))
            cold.append(_took(target.start(**command)))
    whole, floor, created = ([times[column] for times in landed] for column in range(3))
    share, faster = ratio(whole, floor), ratio(cold, warm)
    return [
        *lines,
        "",
        "| | median | longest |",
        "|---|---|---|",
        f"| file written -> predictions committed, without the debounce of {DEBOUNCE_S:g} s | {_both(whole)} |",
        f"| the run in it, from its start to its end | {_both(floor)} |",
        f"| job recorded -> run created in Prefect | {_both(created)} |",
        f"| event posted -> run created by an automation | {_both(event)} |",
        f"| request for the state of a job, client and network included | {1000 * statistics.median(status):.1f} ms "
        f"| {1000 * max(status):.1f} ms |",
        f"| run created -> run ended, warm process | {_both(warm)} |",
        f"| run created -> run ended, new process | {_both(cold)} |",
        "",
        f"The whole way takes {share:.1f} times as long as its run; a run in a new process takes {faster:.1f} times as "
        f"long as a run in a warm process. {FILES} files of {ROWS} rows, one after another.",
    ]


def _landed(target: Site, number: int) -> tuple[float, float, float]:
    """Measure the seconds from a file to its predictions, of its run, and from its job to the run."""
    began = datetime.now(UTC)
    job = target.job_of(target.land(number))
    if job["state"] != "completed":
        raise RuntimeError(f"job {job['id']}: {job['reason']}")
    run = target.run(job["flow_run_id"])
    finished = _moment(job["finished_at"])
    created = (_moment(run["created"]) - _moment(job["created_at"])).total_seconds()
    return (finished - began).total_seconds() - DEBOUNCE_S, _ran(run), created


def _status(target: Site, job: Mapping[str, Any]) -> list[float]:
    """Measure the seconds of requests for the state of a job, one after another."""
    return [timed(lambda: target.gateway.get(job["links"]["self"]).raise_for_status()) for _ in range(200)]


def _event(target: Site, number: int) -> float:
    """Measure the seconds from an event to the run that Prefect's automation creates."""
    uri = f"{_RAW}/elsewhere/{number:04d}.csv"
    with target.storage.open(uri, "wb") as stream:
        stream.write(_trips(ROWS, 5000 + number).drop(columns="minutes").to_csv(index=False).encode())
    began = datetime.now(UTC)
    # The store's own notification of the same file may come first: both are one event.
    target.gateway.post("/v1/triggers/landing", json={"uri": uri}).raise_for_status()
    run = target.begun(uri)
    target.over(run["id"])
    return max(0.0, (_moment(run["created"]) - began).total_seconds())


def events(count: int, seed: int) -> tuple[list[str], int]:
    """Post `count` events about a tenth as many files. Returns lines and the number of errors."""
    dice = random.Random(seed)
    with site() as (target, _):
        target.set_trigger()
        with ThreadPoolExecutor(16) as pool:
            uris = list(pool.map(target.land, range(max(1, count // 10))))
            posted = [*uris, *dice.choices(uris, k=count - len(uris))]
            dice.shuffle(posted)
            statuses = Counter(pool.map(target.post, posted))
        ends = [target.job_of(uri) for uri in uris]
        jobs = {job["id"]: job for job in ends}
        inputs = Counter(entry["uri"] for job in jobs.values() for entry in job["counts"]["inputs"])
        lost, doubled = target.scored(range(len(uris)))
    wrong = lost + doubled + sum(job["state"] != "completed" for job in ends) + (statuses[202] != count)
    return [
        f"{count:,} events about {len(uris)} files: {statuses[202]:,} accepted; {len(jobs)} jobs with "
        f"{sum(inputs.values())} inputs; {lost} files not scored exactly once, {doubled} duplicate rows"
    ], wrong


def kills(count: int, seed: int) -> tuple[list[str], int]:
    """Kill services `count` times while files arrive. Returns lines and the number of errors."""
    dice, wrong = random.Random(seed), 0
    with site() as (target, received):
        target.set_trigger()
        uris = []
        for number in range(count):
            victim = _KILLED[number % len(_KILLED)]
            uris.append(target.land(number))
            time.sleep(dice.uniform(0.0, DEBOUNCE_S + 5.0))
            target.kill(victim)
            uris.append(target.land(count + number))
            print(f"kill {number}: {victim}", flush=True)
            time.sleep(dice.uniform(2.0, 8.0))
        jobs = {uri: target.job_of(uri) for uri in uris}
        lost, doubled = target.scored(range(2 * count))
        ends = {job["id"]: job["state"] for job in jobs.values()}
        _until(lambda: {message["data"]["id"] for message in received} >= ends.keys() or None, 0.5)
        messages = Counter(message["data"]["id"] for message in received)
        wrong += lost + doubled + sum(state != "completed" for state in ends.values())
        wrong += len(ends.keys() - messages.keys())
    lines = [
        f"{count} kills of {', '.join(_KILLED)}; {len(uris)} files in {len(ends)} jobs: "
        f"{sum(state == 'completed' for state in ends.values())} completed; {lost} files not scored exactly once, "
        f"{doubled} duplicate rows; {len(messages)} jobs announced by {sum(messages.values())} messages",
    ]
    return lines, wrong


@contextmanager
def _subscriber() -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    messages: list[Mapping[str, Any]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], messages
        finally:
            server.shutdown()
            thread.join()


def _write_history(storage: fsspec.AbstractFileSystem) -> None:
    with storage.open(f"{_RAW}/history/trips.csv", "wb") as stream:
        stream.write(_trips(60 * 60, 1).to_csv(index=False).encode())


@contextmanager
def _fleet() -> Iterator[None]:
    """Provide the fleet's file to the stack's services while the block runs."""
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
            "trip": [f"t{seed}-{trip}" for trip in number],
            "city": [f"c{trip % 6}" for trip in number],
            "route": [f"r{trip % 60 // 6}" for trip in number],
            "distance": dice.uniform(1, 20, count).round(2),
            "weather": dice.choice(["dry", "rain"], count),
        }
    )
    return frame.assign(minutes=5 + 3 * frame.distance + dice.normal(0, 0.5, count))


def _store_key(stack: LocalStack, environment: Mapping[str, str], text: str) -> None:
    """Store the key with which the stack's object store was started in the gateway's database."""
    template = environment["MYRIAD_GATEWAY_DATABASE"]
    password, port = stack.variables["POSTGRES_GATEWAY_PASSWORD"], stack.variables["POSTGRES_PORT"]
    url = template.replace("///", f"//gateway:{password}@127.0.0.1:{port}/")
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


def _run_command(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _until(look: Callable[[], Any], every_s: float) -> Any:
    end = time.monotonic() + _LIMIT_S
    while (result := look()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"no result within {_LIMIT_S:.0f} s")
        time.sleep(every_s)
    return result


def _took(run: Mapping[str, Any]) -> float:
    """Return the seconds from a run's creation to its end."""
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
    parser.add_argument("--kills", type=int, default=0, help="number of kills; without kills and events only times")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.kills or options.events:
        report, errors = (kills if options.kills else events)(options.kills or options.events, options.seed)
        print("\n".join(report))
        sys.exit(bool(errors))
    print("\n".join(main()))
