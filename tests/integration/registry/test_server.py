"""Registry on a real MLflow server, through its API and beside it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from registry_store import LOAD, client, entries, fill, finished, lost_files_come_back, python

from adapters.registry import DirectAccess, Registry
from domain.errors import RegistryError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    """A real tracking server that keeps the artifacts itself."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store, artifacts = f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", artifacts]
    with (folder / "log").open("wb") as log:
        env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=env, start_new_session=True)
        try:
            await_health(f"http://127.0.0.1:{port}/health", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def await_health(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    pytest.fail(log.read_text())


def test_server_is_used_through_the_public_api(server: str) -> None:
    registry = Registry(server)
    assert registry.path == "api"
    made = fill(registry, entries(5))
    assert fill(registry, entries(5)) == [replace(item, created=False) for item in made]
    assert registry.set_alias("champion", {item.name: item.version for item in made}) == 5
    source = client(registry).get_model_version("m3.n3", "1").source
    assert source.startswith("mlflow-artifacts:/")
    out = finished(python(LOAD, MLFLOW_TRACKING_URI=server))
    assert out.splitlines()[-1] == "[13.0, 26.0, 12.0, 25.0, 14.0, 27.0]"
    with pytest.raises(RegistryError, match="in bulk: the tracking URI is neither"):
        Registry(server, mode="bulk").versions(["m3.n0"])


def test_lost_files_of_a_server_are_found_and_put_back(server: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    lost_files_come_back(Registry(server), tmp_path_factory.getbasetemp() / "server0")


def test_behind_a_server_models_are_written_in_bulk_and_read_through_it(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "server0"
    through = Registry(server)
    direct = Registry(
        server, direct_access=DirectAccess(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
    )
    assert (through.path, direct.path) == ("api", "bulk")
    # What was registered in one way is known in the other.
    made = fill(through, entries(5))
    assert fill(direct, entries(5)) == [replace(item, created=False) for item in made]
    newer = fill(direct, entries(5, "b2"), "behind")
    assert all(item.created for item in newer)
    assert fill(through, entries(5, "b2"), "behind") == [replace(item, created=False) for item in newer]
    assert direct.set_alias("champion", {item.name: item.version for item in newer}) == 5
    names = [item.name for item in newer]
    assert direct.stored(names) == through.stored(names)
    source = client(through).get_model_version("m3.n3", str(newer[3].version)).source
    assert source.startswith("mlflow-artifacts:/")
    out = finished(python(LOAD.replace("a1-3", "b2-3"), MLFLOW_TRACKING_URI=server))
    assert out.splitlines()[-1] == "[13.0, 26.0, 12.0, 25.0, 14.0, 27.0]"
