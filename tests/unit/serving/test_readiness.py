"""Readiness is checked once for all who ask, and tells strangers nothing."""

import asyncio
import threading
import time

from gateway import gateway, is_problem

from domain.errors import GatewayError
from serving.readiness import Readiness


def test_many_who_ask_get_one_check():
    checks = []

    def check():
        time.sleep(0.05)
        checks.append(threading.current_thread())

    async def ask():
        readiness = Readiness(check, fresh_s=0.2)
        assert await asyncio.gather(*[readiness.is_ready() for _ in range(500)]) == [True] * 500
        assert len(checks) == 1
        await asyncio.sleep(0.25)
        assert await readiness.is_ready()
        assert len(checks) == 2
        assert threading.current_thread() not in checks

    asyncio.run(ask())


def test_a_check_that_hangs_is_a_failure_and_not_started_again():
    release, checks = threading.Event(), []

    def check():
        checks.append(1)
        release.wait()

    async def ask():
        readiness = Readiness(check, fresh_s=0.0, deadline_s=0.1)
        assert [await readiness.is_ready() for _ in range(3)] == [False] * 3
        assert len(checks) == 1
        release.set()
        await asyncio.sleep(0.1)
        assert await readiness.is_ready()

    asyncio.run(ask())


def test_the_cause_is_in_the_log_once(caplog):
    def check():
        raise GatewayError("postgresql://db.internal/myriad cannot be used")

    async def ask():
        readiness = Readiness(check, fresh_s=0.0)
        assert [await readiness.is_ready() for _ in range(5)] == [False] * 5

    asyncio.run(ask())
    assert caplog.text.count("db.internal") == 1


def test_strangers_learn_only_that_it_is_not_ready(tmp_path):
    with gateway(tmp_path) as running:
        running.runs.away = True
        assert is_problem(running.nobody.get("/readyz"), 503) == "not ready; the gateway's log has the cause"
