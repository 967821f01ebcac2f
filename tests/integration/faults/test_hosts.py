"""Workers on several hosts: a scheduler with TLS, three hosts with `myriad workers`, and a coordinator on a fifth."""

import json
import os
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from compare_lakes import differences, tables_below
from coordinator import run_stages
from hosts import hosts, lacking

from adapters.compute.dask import InlineWorkers
from adapters.compute.tls import make_certificates
from adapters.sources.simulated import simulate_fleet

ROOT = Path(__file__).parents[3]
SCRIPTS = Path(sysconfig.get_path("scripts"))
SEGMENTS, BUCKETS, PORT = 40, 16, 8786
WORKERS = ("worker-1", "worker-2", "worker-3")
LOST = "worker-2"
TIME_TO_LIVE = "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL"


@pytest.fixture(scope="module", autouse=True)
def _namespaces():
    if reason := lacking():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true, and there can be no hosts: {reason}")
        pytest.skip(reason)


@pytest.fixture
def folder(tmp_path):
    """Raw files, a fleet of which a bucket takes about a second, and certificates."""
    simulate_fleet(tmp_path, SEGMENTS, 2, "csv", {"weeks": 80, "horizon": 4, "seed": 1}, {})
    path = tmp_path / "fleet.yaml"
    changes = {"candidates": ["seasonal_naive", "ridge", "lightgbm"], "partition": {"buckets": BUCKETS}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    make_certificates(tmp_path / "tls", ["scheduler"], 1)
    return tmp_path


def scheduler_environment(folder):
    """That of docker-compose.yml, which decides when a host is lost; a quarter of the time will do here."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    given = services["dask-scheduler"]["environment"]
    environment = {name: value.replace("/tls/", f"{folder}/tls/") for name, value in given.items()}
    assert environment[TIME_TO_LIVE] == "60 seconds"
    return environment | {TIME_TO_LIVE: "15 seconds"}


def begin(host, command, folder, environment):
    """A process on a host. What it prints is a pipe, what it complains of a file."""
    with (folder / f"{host.address}.log").open("w") as log:
        return host.start(
            *map(str, command),
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


@contextmanager
def cluster(folder):
    """The hosts by name, `myriad workers` of each of three, and the stages of a run on the coordinator's."""
    with hosts("scheduler", "coordinator", *WORKERS) as network:
        scheduler = network["scheduler"]
        ours = {
            "MYRIAD_DASK_ADDRESS": f"tls://{scheduler.address}:{PORT}",
            "MYRIAD_DASK_TLS": str(folder / "tls"),
            "MYRIAD_DASK_REQUIRE_TLS": "true",
            "MYRIAD_WORKER_MEMORY": "1GB",
        }
        command = [SCRIPTS / "dask", "scheduler", "--host", scheduler.address, "--port", PORT, "--protocol", "tls"]
        begin(scheduler, [*command, "--no-dashboard"], folder, scheduler_environment(folder))
        command = [sys.executable, "-m", "cli", "workers", "--minimum", 1, "--maximum", 1]
        serving = {name: begin(network[name], command, folder, ours) for name in WORKERS}
        for name in WORKERS:
            await_line(serving[name], "workers: 1")
        script = ROOT / "tests" / "support" / "coordinator.py"
        yield network, serving, begin(network["coordinator"], [sys.executable, script, folder], folder, ours)


def await_line(process, text):
    """Reads what a process prints until a line has the text."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"no {text!r} in {seen}")


def tables(lake):
    return tables_below(lake / "simulated")


def test_a_run_survives_a_host_that_is_cut_off_and_the_host_comes_back(folder):
    run_stages(folder, folder / "whole", InlineWorkers())
    with cluster(folder) as (network, serving, coordinator):
        addresses, lost, at_cut = {network[name].address for name in WORKERS}, network[LOST], None
        for line in coordinator.stdout:
            told = json.loads(line)
            had = {address for address, buckets in told["results"].items() if buckets}
            if at_cut is None and told["stage"] == "train" and had == addresses:
                lost.cut()
                at_cut = told
        log = folder / f"{network['coordinator'].address}.log"
        assert coordinator.wait() == 0, log.read_text()
        assert at_cut is not None, "a host had no bucket to train"
        # Buckets were at work on the host that was lost, and others have done them.
        assert at_cut["at_work"][lost.address]
        assert at_cut["done"] < at_cut["total"]
        assert told["stage"] == "score"
        assert told["results"].keys() == addresses - {lost.address}
        lost.mend()
        await_line(serving[LOST], "workers: 1")
    assert differences(tables(folder / "lake"), tables(folder / "whole")) == []
