"""The tables of the gateway's database."""

import sqlalchemy as sa

__all__ = [
    "AUDIT",
    "DELIVERIES",
    "ENDPOINTS",
    "EVENTS",
    "FILES",
    "HOOKS",
    "JOBS",
    "KEYS",
    "MESSAGES",
    "META",
    "SUBSCRIPTIONS",
    "UPLOADS",
]

META = sa.MetaData()
_TEXT, _TIMESTAMP = sa.Text, sa.String(32)
"""Timestamps are ISO 8601 texts in UTC with microseconds: they sort as they are, in every database."""
ENDPOINTS = sa.Table(
    "endpoints",
    META,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("definition", _TEXT, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("updated_at", _TIMESTAMP, nullable=False),
)
JOBS = sa.Table(
    "jobs",
    META,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("endpoint", sa.String(64), nullable=False, index=True),
    sa.Column("deployment", sa.String(64), nullable=False),
    sa.Column("fleet", sa.String(64), nullable=False),
    sa.Column("client", sa.String(64), nullable=False, index=True),
    sa.Column("idempotency_key", sa.String(255)),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("request", _TEXT, nullable=False),
    sa.Column("settings", _TEXT, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
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
)
KEYS = sa.Table(
    "keys",
    META,
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
AUDIT = sa.Table(
    "audit",
    META,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", _TIMESTAMP, nullable=False),
    sa.Column("client", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("target", sa.String(255), nullable=False),
    sa.Column("detail", _TEXT, nullable=False),
    sa.Column("endpoint", sa.String(64), index=True),
)
HOOKS = sa.Table(
    "hooks",
    META,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("definition", _TEXT, nullable=False),
    sa.Column("updated_at", _TIMESTAMP, nullable=False),
)
MESSAGES = sa.Table(
    "messages",
    META,
    sa.Column("hook", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("received_at", _TIMESTAMP, nullable=False, index=True),
)
FILES = sa.Table(
    "files",
    META,
    sa.Column("hook", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("uri", _TEXT, nullable=False),
    sa.Column("received_at", _TIMESTAMP, nullable=False),
    sa.Column("job", sa.String(64), index=True),
)
EVENTS = sa.Table(
    "events",
    META,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("body", _TEXT, nullable=False),
    sa.Column("created_at", _TIMESTAMP, nullable=False),
    sa.Column("sent_at", _TIMESTAMP, index=True),
    sa.Column("state", sa.String(16), nullable=False, server_default="waiting"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due_at", _TIMESTAMP),
    sa.Column("reason", _TEXT, nullable=False, server_default=""),
)
SUBSCRIPTIONS = sa.Table(
    "subscriptions",
    META,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("definition", _TEXT, nullable=False),
    sa.Column("updated_at", _TIMESTAMP, nullable=False),
)
DELIVERIES = sa.Table(
    "deliveries",
    META,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("subscription", sa.String(64), nullable=False),
    sa.Column("message", sa.String(128), nullable=False),
    sa.Column("body", _TEXT, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", _TIMESTAMP, nullable=False),
    sa.Column("reason", _TEXT, nullable=False),
    sa.UniqueConstraint("subscription", "message"),
)
UPLOADS = sa.Table(
    "uploads",
    META,
    sa.Column("client", sa.String(64), primary_key=True),
    sa.Column("fleet", sa.String(64), primary_key=True),
    sa.Column("uri", sa.String(255), primary_key=True),
    sa.Column("endpoint", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("uploaded_at", _TIMESTAMP, nullable=False, index=True),
)
