"""The table of connections makes room for clients, and ends what takes too long."""

import socket
from types import SimpleNamespace

import pytest

from serving.connections import ConnectionLimits, ConnectionTable

LIMITS = ConnectionLimits(total=6, per_address=3, chance_s=0.0, proxies=("10.9.0.0/16",))


@pytest.fixture
def table():
    clock = SimpleNamespace(now=0.0)
    made = ConnectionTable(LIMITS, lambda: clock.now)
    made.clock, made.pairs = clock, []
    yield made
    for pair in made.pairs:
        for end in pair:
            end.close()


def connect(table, host="192.0.2.1"):
    pair = socket.socketpair()
    table.pairs.append(pair)
    admitted = table.admit(pair[0], host)
    return table.find(pair[0].fileno()) if admitted else None


def is_closed(table, entry):
    return table.find(entry.descriptor) is not entry


def test_the_oldest_of_an_address_makes_room(table):
    entries = [connect(table) for _ in range(4)]
    assert [is_closed(table, entry) for entry in entries] == [True, False, False, False]
    assert entries[0].connection.recv(1) == b"", "it was shut down"


def test_a_young_connection_need_not_make_room():
    clock = SimpleNamespace(now=0.0)
    table = ConnectionTable(ConnectionLimits(per_address=1, chance_s=1.0), lambda: clock.now)
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        assert table.admit(first, "192.0.2.1")
        clock.now = 0.9
        assert not table.admit(second, "192.0.2.1")
        clock.now = 1.1
        assert table.admit(third, "192.0.2.1")


def test_connections_of_clients_are_kept(table):
    entries = [connect(table) for _ in range(3)]
    for entry in entries:
        entry.trust("192.0.2.1")
    assert connect(table) is None
    assert not any(is_closed(table, entry) for entry in entries)
    assert connect(table, "192.0.2.2") is not None


def test_the_total_is_for_all_addresses_and_proxies(table):
    entries = [connect(table, f"10.9.0.{number % 2}") for number in range(8)]
    assert len(table) == 6
    assert [is_closed(table, entry) for entry in entries] == [True] * 2 + [False] * 6


def test_addresses_of_one_network_count_together(table):
    entries = [connect(table, f"2001:db8::{number}") for number in range(4)]
    assert is_closed(table, entries[0])
    assert connect(table, "2001:db8:1::1") is not None
    assert not is_closed(table, entries[1])


def test_connections_without_a_request_end(table, caplog):
    idle, busy = connect(table), connect(table)
    busy.begin(busy=True)
    table.clock.now = 10.5
    table.sweep()
    assert (is_closed(table, idle), is_closed(table, busy)) == (True, False)
    assert "1 without a whole request head in 10 s" in caplog.text


def test_readers_that_do_not_read_end(table):
    entry = connect(table)
    entry.begin(busy=True)
    entry.paused_at = 0.0
    table.clock.now = 29.0
    table.sweep()
    assert not is_closed(table, entry)
    table.clock.now = 31.0
    table.sweep()
    assert is_closed(table, entry)


def test_the_log_has_one_line_a_minute(table, caplog):
    for second in range(1, 121):
        table.clock.now = float(second)
        for _ in range(10):
            connect(table)
        table.sweep()
    lines = [record.message for record in caplog.records]
    assert 2 <= len(lines) <= 3
    assert "beyond 3 of one address" in lines[1]


def test_a_closed_connection_leaves_the_table(table):
    entry = connect(table)
    table.forget(entry.connection)
    assert len(table) == 0
    table.forget(entry.connection)
    assert len(table) == 0
