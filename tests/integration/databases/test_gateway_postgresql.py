"""The gateway's records in PostgreSQL count what they wrote: new files, and no message a second time."""

import pytest

from adapters.gateway.store import GatewayStore
from domain.gateway.file_events import FileEvent

pytestmark = pytest.mark.server


@pytest.fixture
def store(server):
    server.execute("CREATE DATABASE gateway")
    opened = GatewayStore(server.url("gateway").replace("postgresql://", "postgresql+psycopg://"))
    yield opened
    opened.close()
    server.execute("DROP DATABASE gateway WITH (FORCE)")


def test_files_that_wait_are_counted_once(store):
    take, files = store.triggers.take_files, [FileEvent("s3://raw/a.csv", "1"), FileEvent("s3://raw/b.csv", "1")]
    assert take("landing", "first", files) == 2
    assert take("landing", "first", files) is None
    assert take("landing", "second", [*files, FileEvent("s3://raw/c.csv", "1")]) == 1
