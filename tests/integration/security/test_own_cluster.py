"""A run's own Dask cluster, attacked by another user of the machine at each port that it opens."""

import asyncio
import os
import ssl
import urllib.error
import urllib.request

import psutil
import pytest
from distributed.comm import connect
from distributed.security import Security

from adapters.compute import dask as cluster
from adapters.settings import Settings


@pytest.fixture(scope="module")
def ports():
    """Ports that the processes of a cluster with two workers listen on."""
    before = {connection.laddr.port for connection in listening()}
    with cluster.start_workers(Settings(workers=2)) as workers:
        assert sorted(workers.map("warm", process_id, [0, 1])) != [os.getpid()] * 2
        yield sorted({connection.laddr.port for connection in listening()} - before), workers


def listening():
    """Sockets of this process and its children, all of which must be on loopback."""
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1"), connection
                yield connection


def process_id(_):
    return os.getpid()


@pytest.mark.parametrize("security", [None, Security.temporary()])
def test_nobody_without_the_certificate_of_the_run_is_served(ports, security):
    numbers, workers = ports
    assert len(numbers) >= 5, "a scheduler, two nannies, two workers"
    for port in numbers:
        scheme = "tls" if security is not None and security.tls_ca_file else "tcp"
        with pytest.raises((OSError, ValueError, TypeError)):  # Includes timeouts and what is no message of Dask.
            asyncio.run(asyncio.wait_for(identity(f"{scheme}://127.0.0.1:{port}", security), 4))
    client = workers._client
    assert asyncio.run(identity(client.scheduler.address, client.security))["type"] == "Scheduler"


async def identity(address, security):
    """Ask a scheduler, worker or nanny who it is: whoever gets an answer may have code run as well."""
    arguments = (security or Security()).get_connection_args("client")
    comm = await connect(address, timeout=2, **arguments)
    try:
        await comm.write({"op": "identity", "reply": True})
        return await comm.read()
    finally:
        comm.abort()


def test_pages_say_nothing_but_that_the_process_lives(ports):
    numbers, _ = ports
    pages = (
        "/info/main/workers.html",
        "/json/identity.json",
        "/metrics",
        "/proxy/8786/127.0.0.1/",
        "/api/v1/get_workers",
    )
    answers = {}
    for port in numbers:
        for page in ("/health", *pages):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=5) as answer:
                    answers[port, page] = answer.read()
            except (urllib.error.URLError, OSError, ssl.SSLError):
                continue
    assert set(answers.values()) == {b"ok"}, answers
