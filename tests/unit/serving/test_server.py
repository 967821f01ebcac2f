"""The server ends connections that dawdle, believes proxies alone, and lets refused clients read their answer."""

import asyncio
import http.client
import logging
import resource
import socket
import threading
import time
from contextlib import suppress

import httpx
import pytest
from gateway import gateway, served

from domain.errors import SettingsError
from serving.connections import ConnectionLimits, ConnectionTable
from serving.server import build_server, listen, raise_file_limit


async def echo(scope, receive, send):
    """An app that answers with the client's address, once it has read the body, and a large answer at /large."""
    if scope["type"] == "lifespan":
        return
    while (await receive()).get("more_body"):
        pass
    body = b"x" * (64 << 20) if scope["path"] == "/large" else scope["client"][0].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, len(body), 65536):
        await send({"type": "http.response.body", "body": body[start : start + 65536], "more_body": True})
    await send({"type": "http.response.body"})


def connect(url):
    return socket.create_connection(("127.0.0.1", httpx.URL(url).port), timeout=10)


def closed_after(connection, within_s=6.0):
    """Seconds until the server ends a connection."""
    begun = time.monotonic()
    connection.settimeout(within_s)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - begun


def test_slow_heads_end_whatever_they_send():
    with served(echo, ConnectionLimits(head_s=1.0)) as url, connect(url) as silent, connect(url) as slow:
        begun = time.monotonic()
        with suppress(ConnectionResetError, BrokenPipeError):
            slow.sendall(b"GET / HTTP/1.1\r\n")
            while time.monotonic() < begun + 8:
                slow.sendall(b"X-A: b\r\n")
                time.sleep(0.1)
        assert time.monotonic() - begun < 4
        assert closed_after(silent) < 4


def test_a_kept_connection_has_so_long_for_the_next_head_too():
    with served(echo, ConnectionLimits(head_s=1.0)) as url, connect(url) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while b"127.0.0.1" not in answer:
            answer += connection.recv(65536)
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert closed_after(connection) < 4


def test_an_answer_that_nobody_reads_is_given_up(caplog):
    with served(echo, ConnectionLimits(head_s=30, unread_s=0.5)) as url, connect(url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        end = time.monotonic() + 10
        while "with an answer unread for 0.5 s" not in caplog.text and time.monotonic() < end:
            time.sleep(0.1)
    assert "1 with an answer unread for 0.5 s" in caplog.text


def test_a_body_is_not_read_before_the_app_asks_for_it():
    begun = threading.Event()

    async def waiting(scope, receive, send):
        if scope["type"] == "http":
            begun.set()
            await asyncio.sleep(1)
            await echo(scope, receive, send)

    with served(waiting) as url, connect(url) as connection:
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
        assert begun.wait(5)
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.sendall(b"x" * 50_000_000)
    with served(waiting) as url:
        assert httpx.put(url, content=b"x" * 5_000_000, timeout=20).text == "127.0.0.1"


def test_a_flood_of_connections_does_not_keep_a_client_out(caplog):
    caplog.set_level(logging.WARNING)
    with served(echo, ConnectionLimits(total=40, per_address=30, chance_s=0.0)) as url:
        flood = [connect(url) for _ in range(200)]
        assert httpx.get(url, timeout=5).status_code == 200
        flood[-1].sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert flood[-1].recv(12) == b"HTTP/1.1 200"
        time.sleep(1.2)
        for connection in flood:
            connection.close()
    lines = [record.message for record in caplog.records if "connections closed" in record.message]
    assert len(lines) == 1
    assert "beyond 30 of one address" in lines[0]
    assert "Traceback" not in caplog.text


def test_a_refused_client_that_still_sends_reads_its_answer(tmp_path):
    with gateway(tmp_path) as made:
        for _ in range(5):
            asked = http.client.HTTPConnection("127.0.0.1", httpx.URL(made.url).port, timeout=10)
            asked.putrequest("PUT", "/v1/batch/rides")
            asked.putheader("Content-Length", "600000")
            asked.endheaders()
            asked.send(b"x" * 600_000)
            assert asked.getresponse().status == 401
            asked.close()


def forwarded(proxies, header):
    table = ConnectionTable(ConnectionLimits())
    (listening,) = listen("127.0.0.1", 0, table)
    with listening:
        server = build_server(echo, table, proxies, log_level="critical")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = listening.getsockname()[1]
        answer = httpx.get(f"http://127.0.0.1:{port}", headers={"X-Forwarded-For": header}).text
        server.should_exit = True
        thread.join()
    return answer


def test_the_address_of_a_client_is_what_our_proxy_says():
    assert forwarded((), "192.0.2.7") == "127.0.0.1"
    assert forwarded(("10.0.0.5",), "192.0.2.7") == "127.0.0.1"
    assert forwarded(("127.0.0.1",), "192.0.2.7") == "192.0.2.7"
    # What the client itself wrote stands to the left of what the proxies add.
    assert forwarded(("127.0.0.1", "10.0.0.0/8"), "203.0.113.9, 192.0.2.7, 10.0.0.5") == "192.0.2.7"


def test_what_is_no_http_gets_a_problem_and_no_line_in_the_log(caplog):
    with served(echo) as url:
        for content in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"A" * 70_000):
            with connect(url) as connection:
                connection.sendall(content + b"\r\n\r\n")
                answer = connection.recv(65536)
                assert answer.startswith(b"HTTP/1.1 400 ")
                assert b"application/problem+json" in answer
    assert "Invalid HTTP request" not in caplog.text


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError, match="cannot listen there"):
        listen("127.0.0.1", taken.getsockname()[1], ConnectionTable())


def test_connections_fit_below_the_limit_of_files():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(600, before[0]), before[1]))
        assert raise_file_limit() >= min(ConnectionLimits().total, before[1] - 256)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
