"""The tables as they were before there were migrations.

They are created only where they are missing, since databases of that time have no version.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT, _TIMESTAMP = sa.Text, sa.String(32)


def _number() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("number", kind, primary_key=True, autoincrement=True)


def upgrade() -> None:
    """Create every table that is missing, with its indexes."""
    _create_jobs()
    _create_access()
    _create_triggers()
    _create_subscriptions()


def _create(name: str, *items: sa.schema.SchemaItem, indexes: tuple[str, ...] = ()) -> None:
    op.create_table(name, *items, if_not_exists=True)
    for column in indexes:
        op.create_index(f"ix_{name}_{column}", name, [column], if_not_exists=True)


def _create_jobs() -> None:
    _create(
        "endpoints",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("definition", _TEXT, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=False),
    )
    _create(
        "jobs",
        _number(),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(64), nullable=False),
        sa.Column("fleet", sa.String(64), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("request", _TEXT, nullable=False),
        sa.Column("settings", _TEXT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("flow_run_id", sa.String(64)),
        sa.Column("progress", _TEXT),
        sa.Column("account", _TEXT),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("started_at", _TIMESTAMP),
        sa.Column("finished_at", _TIMESTAMP),
        sa.UniqueConstraint("endpoint", "client", "idempotency_key"),
        indexes=("endpoint", "state"),
    )


def _create_access() -> None:
    _create(
        "keys",
        sa.Column("prefix", sa.String(16), primary_key=True),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("slot", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", _TEXT, nullable=False),
        sa.Column("endpoints", _TEXT, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("expires_at", _TIMESTAMP),
        sa.Column("revoked_at", _TIMESTAMP),
    )
    _create(
        "audit",
        _number(),
        sa.Column("at", _TIMESTAMP, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(255), nullable=False),
        sa.Column("detail", _TEXT, nullable=False),
    )


def _create_triggers() -> None:
    _create(
        "hooks",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("definition", _TEXT, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=False),
    )
    _create(
        "messages",
        sa.Column("hook", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("received_at", _TIMESTAMP, nullable=False),
        indexes=("received_at",),
    )
    _create(
        "files",
        sa.Column("hook", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("uri", _TEXT, nullable=False),
        sa.Column("received_at", _TIMESTAMP, nullable=False),
        sa.Column("job", sa.String(64)),
        indexes=("job",),
    )
    _create(
        "events",
        _number(),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("body", _TEXT, nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("sent_at", _TIMESTAMP),
        indexes=("sent_at",),
    )


def _create_subscriptions() -> None:
    _create(
        "subscriptions",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("definition", _TEXT, nullable=False),
        sa.Column("updated_at", _TIMESTAMP, nullable=False),
    )
    _create(
        "deliveries",
        _number(),
        sa.Column("subscription", sa.String(64), nullable=False),
        sa.Column("message", sa.String(128), nullable=False),
        sa.Column("body", _TEXT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", _TIMESTAMP, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.UniqueConstraint("subscription", "message"),
        indexes=("state",),
    )
