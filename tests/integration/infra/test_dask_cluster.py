"""Scheduler and worker of the DaskCluster, started as the manifest says, and asked as the operator asks them."""

import json
import os
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.request
from functools import partial

import pytest
from distributed import Client
from manifests import command, environment, pods, render

from adapters.compute.dask import security_of
from adapters.compute.tls import make_certificates
from adapters.settings import Settings

RESOURCES = render("base")
PODS = pods(RESOURCES)
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What stands on this machine for ports, folders and names inside of the pods."""
    folder = tmp_path_factory.mktemp("dask")
    make_certificates(folder / "tls", ["dask-scheduler"], 1)
    sockets = [socket.socket() for _ in range(4)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = {str(old): str(new.getsockname()[1]) for old, new in zip(range(8786, 8790), sockets, strict=True)}
    for each in sockets:
        each.close()
    return {
        "/tls": f"{folder}/tls",
        "/tmp/dask": f"{folder}/scratch",
        "0.0.0.0": "127.0.0.1",
        "dask-scheduler": "127.0.0.1",
    } | ports


def start(name, places, log):
    pod = PODS[name]
    variables = environment(pod, RESOURCES)
    words = command(pod, variables)

    def here(text):
        for theirs, ours in places.items():
            text = text.replace(theirs, ours)
        return text

    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    environ = {"PATH": path, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    environ |= {key: here(value) for key, value in variables.items() if not value.startswith("secret:")}
    with log.open("w") as stream:
        return subprocess.Popen([*map(here, words)], env=environ, stdout=stream, stderr=stream, start_new_session=True)


@pytest.fixture(scope="module")
def cluster(places, tmp_path_factory):
    """Both processes; `ask(path)` speaks to the scheduler's HTTP server."""
    folder, started = tmp_path_factory.mktemp("logs"), []

    class Cluster:
        address = f"tls://127.0.0.1:{places['8786']}"

        @staticmethod
        def start(name):
            started.append(start(name, places, folder / name))

        @staticmethod
        def ask(path, body=None):
            data = None if body is None else json.dumps(body).encode()
            with urllib.request.urlopen(f"http://127.0.0.1:{places['8787']}{path}", data, timeout=10) as answer:
                return answer.read().decode()

        @staticmethod
        def log(name):
            return (folder / name).read_text(encoding="utf-8")

    try:
        yield Cluster
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            process.wait(30)


def wait_for(condition, told):
    end = time.monotonic() + LIMIT_S
    while True:
        try:
            if found := condition():
                return found
        except OSError:
            pass
        assert time.monotonic() < end, told()
        time.sleep(0.1)


def test_the_operator_can_scale_what_the_manifest_starts(cluster, places):
    cluster.start("dask-scheduler")
    told = partial(cluster.log, "dask-scheduler")
    assert wait_for(lambda: cluster.ask("/health"), told) == "ok"
    assert json.loads(cluster.ask("/api/v1/adaptive_target")) == {"workers": 0}
    settings = Settings(dask_address=cluster.address, dask_tls=places["/tls"], dask_require_tls=True)
    with Client(cluster.address, security=security_of(settings), set_as_default=False) as client:
        future = client.submit(pow, 2, 10)
        wait_for(lambda: json.loads(cluster.ask("/api/v1/adaptive_target"))["workers"] == 1, told)
        cluster.start("dask-worker")
        assert future.result(LIMIT_S) == 1024
        (worker,) = client.scheduler_info()["workers"].values()
        name = environment(PODS["dask-worker"], RESOURCES)["DASK_WORKER_NAME"]
        assert worker["name"] == name
        assert worker["nthreads"] == 1
        assert worker["nanny"].startswith("tls://")
        assert worker["nanny"].endswith(f":{places['8789']}")
        future.release()  # A result that is still wanted keeps its worker.
        wait_for(lambda: json.loads(cluster.ask("/api/v1/adaptive_target"))["workers"] == 0, told)
        retired = json.loads(cluster.ask("/api/v1/retire_workers", {"n": 1}))
        assert [each["name"] for each in retired.values()] == [name]


def test_without_a_certificate_nobody_gets_in(cluster):
    with pytest.raises(OSError), Client(cluster.address.replace("tls", "tcp"), timeout=3, set_as_default=False):
        pass
