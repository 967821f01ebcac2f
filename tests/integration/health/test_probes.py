"""What is wrong with a set-up is one clear line each, before any work starts: real S3, real Dask, real MLflow."""

import json
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from adapters.compute import dask as cluster
from adapters.compute import tls
from adapters.health import examination, preflight, probes
from adapters.health.examination import examine
from adapters.health.servers import check_prefect, check_tracking_server
from adapters.lake.s3 import Bucket
from adapters.lake.table import Lake
from adapters.settings import Settings
from domain.checks.health import Check, counts, too_old
from domain.errors import ClusterError, SettingsError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def told(checks, part):
    return {check.name: (check.verdict, check.found, check.way_out) for check in checks if check.part == part}


# -- the embedded size ------------------------------------------------------------------------------------------------


def test_an_embedded_set_up_is_fine(tmp_path):
    checks = examine(Settings(home=tmp_path))
    assert counts(checks)["failed"] == 0, checks
    assert told(checks, "lake")["writable"][0] == "ok"
    assert told(checks, "prefect")["server"][0] == "unused"
    assert not list((tmp_path / "var/lake").iterdir())


def test_folders_that_no_fleet_can_have_are_none(tmp_path):
    for name in ("_doctor", ".hidden", "shop"):
        (tmp_path / name).mkdir()
    assert Lake(str(tmp_path)).fleets() == ["shop"]


def test_a_part_that_hangs_fails_alone(tmp_path, monkeypatch):
    def hangs(settings):
        yield Check("lake", "begun", "ok", "")
        time.sleep(60)

    monkeypatch.setattr(examination, "_PROBES", (("lake", hangs), ("telemetry", probes.telemetry)))
    told = []
    checks = examine(Settings(home=tmp_path), limit_s=0.5, tell=told.append)
    assert sorted(map(str, told)) == sorted(map(str, checks))
    assert [(check.part, check.verdict) for check in checks] == [
        ("lake", "ok"),
        ("lake", "failed"),
        ("telemetry", "ok"),
    ]
    assert "no answer within" in checks[1].found


def test_telemetry_that_is_on_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "True")  # As good as 1.
    (check,) = probes.telemetry(Settings(home=tmp_path))
    assert (check.verdict, check.found) == ("warning", "on: MLFLOW_DISABLE_TELEMETRY")


def test_more_memory_than_there_is_is_told(tmp_path):
    (check,) = probes.workers(Settings(home=tmp_path, workers=2, worker_memory="4TB"))
    assert check.verdict == "warning"
    assert "lower MYRIAD_WORKERS" in check.way_out


def test_versions_are_compared_by_number():
    assert too_old("3.7.9", (3, 8))
    assert not too_old("3.10.0", (3, 8))
    assert not too_old("3.8", (3, 8))
    assert not too_old("main", (3, 8))


# -- the lake on S3 ---------------------------------------------------------------------------------------------------


def test_a_lake_on_s3_is_examined(s3):
    found = {check.name: check.verdict for check in probes.lake(Settings(lake="s3://lake/doctor"))}
    assert found == {"reachable": "ok", "clock": "ok", "writable": "ok", "conditional writes": "ok"}
    assert not list(Bucket("s3://lake/doctor").unfinished_uploads())
    assert Lake("s3://lake/doctor").fleets() == []


@pytest.mark.parametrize(
    ("variables", "lake", "line"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://lake/x", "access refused .SignatureDoesNotMatch.*AWS_SECRET_ACCESS"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, "s3://lake/x", "access refused .InvalidAccessKeyId"),
        ({}, "s3://nosuchbucket/x", "bucket nosuchbucket does not exist; create it, or set MYRIAD_LAKE"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "s3://lake/x", "no S3 server answers.*AWS_ENDPOINT_URL"),
    ],
)
def test_a_lake_that_cannot_be_used_is_one_line_at_once(s3, monkeypatch, variables, lake, line):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    began = time.monotonic()
    with pytest.raises(SettingsError, match=f"^MYRIAD_LAKE: {lake}: {line}"):
        preflight(Settings(lake=lake), registers=False)
    assert time.monotonic() - began < 60  # Not the minutes that S3's own retries take.
    (failed,) = [check for check in examine(Settings(lake=lake)) if check.part == "lake"]
    assert failed.verdict == "failed"
    assert failed.way_out


def test_a_server_that_takes_the_second_of_two_conditional_writes_fails(s3, monkeypatch):
    plain = Bucket._client

    class Careless:
        def __init__(self, client):
            self._client = client

        def __getattr__(self, name):
            return getattr(self._client, name)

        def put_object(self, IfNoneMatch=None, **arguments):
            return self._client.put_object(**arguments)

    monkeypatch.setattr(Bucket, "_client", lambda self: Careless(plain(self)))
    found = {check.name: check.verdict for check in probes.lake(Settings(lake="s3://lake/doctor"))}
    assert found["conditional writes"] == "failed"


def test_a_clock_that_is_off_is_told(s3, monkeypatch):
    monkeypatch.setattr(Bucket, "reach", lambda self: datetime.now(UTC) - timedelta(minutes=6))
    found = {check.name: check for check in probes.lake(Settings(lake="s3://lake/doctor"))}
    assert found["clock"].verdict == "failed"
    assert "NTP" in found["clock"].way_out


# -- servers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pretender():
    """A server that answers every path with what it is told: `.answers[path] = (status, text)`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, text = self.server.answers.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.answers = {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


SEARCH = "/api/2.0/mlflow/experiments/search"


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ({"/version": (200, "2.9.0")}, "has version 2.9.0; 3.0 or later is needed"),
        ({"/version": (200, "3.17.2"), SEARCH: (401, "")}, "refuses the account; MLFLOW_TRACKING_USERNAME"),
        ({}, "answers 404 where MLflow's API should be"),
    ],
)
def test_a_tracking_server_that_cannot_be_used_is_one_line(pretender, answers, line):
    pretender.answers |= answers
    settings = Settings(tracking_uri=pretender.url)
    with pytest.raises(SettingsError, match=f"^MYRIAD_TRACKING_URI: the MLflow server at {pretender.url} {line}"):
        preflight(settings, registers=True)
    preflight(settings, registers=False)


def test_a_tracking_server_that_is_not_there_is_one_line():
    with pytest.raises(SettingsError, match=r"http://127.0.0.1:1 does not answer: .*refused; start it, or set another"):
        check_tracking_server("http://127.0.0.1:1")


def test_a_real_tracking_server_is_fine(tmp_path):
    port = free_port()
    command = ["server", "--port", str(port), "--backend-store-uri", f"sqlite:///{tmp_path}/m.db", "--workers", "1"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command], cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health").is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.3)
        assert check_tracking_server(f"http://127.0.0.1:{port}").startswith("3.")
    finally:
        import os
        import signal

        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ((200, json.dumps("3.2.1")), "has version 3.2.1; 3.8 or later is needed"),
        ((401, ""), "refuses the account; set PREFECT_API_AUTH_STRING"),
        ((404, ""), "answers 404 where Prefect's API should be; end it with /api"),
    ],
)
def test_a_prefect_server_that_cannot_be_used_is_one_line(pretender, answer, line):
    pretender.answers["/api/admin/version"] = answer
    with pytest.raises(SettingsError, match=f"PREFECT_API_URL: the Prefect server at {pretender.url}/api {line}"):
        check_prefect(f"{pretender.url}/api")


def test_a_prefect_server_that_is_not_there_is_one_line():
    with pytest.raises(SettingsError, match=r"no Prefect server answers at http://127.0.0.1:1/api: .*myriad up"):
        check_prefect("http://127.0.0.1:1/api")


# -- scheduler and certificates ---------------------------------------------------------------------------------------


@pytest.fixture
def scheduler(tmp_path):
    """Address and certificates of a real scheduler that takes encrypted connections only."""
    folder = tmp_path / "tls"
    tls.make_certificates(folder, ["127.0.0.1"], 90)
    port = free_port()
    files = [f"--tls-ca-file={folder}/ca.pem", f"--tls-cert={folder}/cert.pem", f"--tls-key={folder}/key.pem"]
    command = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--protocol", "tls", *files]
    command += ["--dashboard-address", "127.0.0.1:0"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", *command[1:]], stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 30
        while time.monotonic() < end and "Scheduler at" not in (tmp_path / "log").read_text():
            time.sleep(0.1)
        yield f"tls://127.0.0.1:{port}", folder
    finally:
        server.kill()
        server.wait()


def test_a_scheduler_without_workers_is_told(scheduler, monkeypatch):
    address, folder = scheduler
    monkeypatch.setattr(probes, "_ANSWER_S", 0.5)
    found = {check.name: check for check in probes.workers(Settings(dask_address=address, dask_tls=str(folder)))}
    assert found["scheduler"].verdict == "ok"
    assert found["certificates"].verdict == "ok"
    assert found["workers"].verdict == "failed"
    assert "myriad workers" in found["workers"].way_out


def test_a_scheduler_with_other_versions_is_refused(scheduler, monkeypatch):
    address, folder = scheduler
    monkeypatch.setattr(cluster, "version", lambda name: "2020.1.0")
    opened = cluster.open_workers(Settings(dask_address=address, dask_tls=str(folder)))
    with pytest.raises(ClusterError, match=r"has dask 2026\S+, not 2020.1.0, .*give both the same versions"), opened:
        pytest.fail("it was opened")


def test_certificates_of_another_authority_are_refused(scheduler, tmp_path):
    address, _ = scheduler
    tls.make_certificates(tmp_path / "other", ["127.0.0.1"], 90)
    opened = cluster.open_workers(Settings(dask_address=address, dask_tls=str(tmp_path / "other")))
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tls://.*(?i:certificate|tls|ssl)"), opened:
        pytest.fail("it was opened")


def test_an_expired_certificate_is_told_before_anything_is_opened(tmp_path, monkeypatch):
    folder = tmp_path / "tls"
    tls.make_certificates(folder, ["127.0.0.1"], 1)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=2)

    monkeypatch.setattr(tls, "datetime", Later)
    settings = Settings(dask_address="tls://127.0.0.1:1", dask_tls=str(folder))
    with pytest.raises(SettingsError, match=r"cert.pem: expired on .*; `myriad tls .*` makes a new one"):
        preflight(settings, registers=False)
