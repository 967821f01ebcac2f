"""The gateway's database is created, upgraded without loss, and refused if a newer version has upgraded it."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from adapters.gateway import schema
from adapters.gateway.store import GatewayStore
from adapters.gateway.tables import META
from domain.errors import GatewayError

OLD = Path(__file__).parents[3] / "data" / "gateway_before_migrations.sql"
"""What a gateway had written before there were migrations: an endpoint, two jobs, a key, a hook, a subscription."""


def database(folder):
    return f"sqlite:///{folder}/gateway.db"


@pytest.fixture
def old(tmp_path):
    connection = sqlite3.connect(tmp_path / "gateway.db")
    connection.executescript(OLD.read_text("utf-8"))
    connection.close()
    return database(tmp_path)


def revision(url):
    with sa.create_engine(url).connect() as connection:
        return connection.execute(sa.text(f"SELECT version_num FROM {schema.VERSION_TABLE}")).scalars().all()


def differences(url):
    """What the tables of a database lack, or have too much, against those of the code."""
    ours = {"include_name": lambda name, kind, _: kind != "table" or name in META.tables}
    with sa.create_engine(url).connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=ours), META)


def test_a_new_database_has_the_tables_of_the_code(tmp_path):
    GatewayStore(database(tmp_path)).close()
    assert differences(database(tmp_path)) == []
    assert revision(database(tmp_path)) == [schema.HEAD]


def test_the_newest_revision_is_the_one_that_the_code_names():
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_a_database_from_before_migrations_is_upgraded_without_loss(old):
    store = GatewayStore(old)
    assert differences(old) == []
    assert revision(old) == [schema.HEAD]
    assert store.endpoints.get("rides")[1] == 1
    page = store.jobs.page("rides", 10)
    assert [(job.state, job.idempotency_key) for job in page.jobs] == [("queued", "two"), ("completed", "one")]
    assert page.jobs[1].account
    assert [key.client for key in store.keys.all()] == ["operator"]
    assert store.triggers.all()["landing"].endpoint == "rides"
    assert [event for event, _ in store.events.unsent()] == ["event-1"]
    assert len(store.audit.newest(100)) == 7
    of_rides = {entry["action"] for entry in store.audit.newest(100, endpoints=("rides",))}
    assert of_rides == {"endpoint.put", "job.create", "job.completed"}, (
        "entries of that time get the endpoint that they are about"
    )
    assert [message.state for message in store.deliveries.newest("app", None, 10)] == ["waiting"]
    store.close()


def test_an_upgraded_database_works_on(old):
    store = GatewayStore(old)
    (waiting,) = store.jobs.unfinished()
    assert store.jobs.find("rides", "operator", "two") == waiting
    assert store.triggers.take_files("landing", "message-1", []) is None, "the message was taken before"
    assert store.jobs.change(waiting, state="failed", reason="gone", finished_at=datetime.now(UTC)).final
    messages = store.deliveries.newest("app", None, 10)
    assert messages[0].message == f"{waiting.id}.failed"
    store.close()


def test_a_database_that_lacks_newer_tables_gets_them(old):
    """Gateways of the first weeks had no events."""
    with sa.create_engine(old).begin() as connection:
        connection.execute(sa.text("DROP TABLE events"))
    store = GatewayStore(old)
    assert store.events.unsent() == []
    assert differences(old) == []
    store.close()


def test_gateways_that_start_at_once_make_one_schema(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: GatewayStore(database(tmp_path)), range(8)))
    for store in stores:
        store.ping()
        store.close()
    assert revision(database(tmp_path)) == [schema.HEAD]
    assert differences(database(tmp_path)) == []


def test_a_database_that_is_up_to_date_is_left_alone(tmp_path, monkeypatch):
    GatewayStore(database(tmp_path)).close()

    def refuse(_):
        raise AssertionError("it migrates again")

    monkeypatch.setattr(schema, "_migrate", refuse)
    GatewayStore(database(tmp_path)).close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(old):
    GatewayStore(old).close()
    with sa.create_engine(old).begin() as connection:
        connection.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(GatewayError, match=r"revision 9999, of a newer Myriad; this one knows revisions up to 0002"):
        GatewayStore(old)
    assert revision(old) == ["9999"]
