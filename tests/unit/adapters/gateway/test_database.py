"""The file of the gateway's database, and those that SQLite makes beside it, are their owner's alone."""

import os
import stat

import pytest

from adapters.gateway.database import GatewayDatabase
from domain.errors import GatewayError


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_nobody_else_may_read_the_database_its_log_and_its_index(tmp_path):
    database = GatewayDatabase(f"sqlite:///{tmp_path}/made/gateway.db")
    with database.begin():
        assert modes(tmp_path / "made") == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    database.close()


def test_an_open_database_of_an_earlier_version_is_tightened(tmp_path):
    earlier = GatewayDatabase(f"sqlite:///{tmp_path}/gateway.db")
    earlier.ping()
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    database = GatewayDatabase(f"sqlite:///{tmp_path}/gateway.db")
    database.ping()
    assert set(modes(tmp_path).values()) == {0o600}
    assert len(modes(tmp_path)) == 3
    database.close()
    earlier.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GatewayError, match=r"MYRIAD_GATEWAY_DATABASE: .*/file/gateway.db cannot be used: "):
        GatewayDatabase(f"sqlite:///{tmp_path}/file/gateway.db")
