"""Endpoints of audit entries, attempts of events, and uploads.

Entries about endpoints and jobs get the endpoint that they are about; the others of that time stay without one, so that
only clients that may use every endpoint see them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, fill them where the past can be told, and create the table of uploads."""
    op.add_column("audit", sa.Column("endpoint", sa.String(64)))
    op.create_index("ix_audit_endpoint", "audit", ["endpoint"])
    op.execute("UPDATE audit SET endpoint = target WHERE action = 'endpoint.put'")
    op.execute(
        "UPDATE audit SET endpoint = (SELECT jobs.endpoint FROM jobs WHERE jobs.id = audit.target) "
        "WHERE target LIKE 'job-%'"
    )
    op.add_column("events", sa.Column("state", sa.String(16), nullable=False, server_default="waiting"))
    op.add_column("events", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("events", sa.Column("due_at", sa.String(32)))
    op.add_column("events", sa.Column("reason", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_jobs_client", "jobs", ["client"])
    op.execute("UPDATE events SET state = 'sent' WHERE sent_at IS NOT NULL")
    op.create_table(
        "uploads",
        sa.Column("client", sa.String(64), primary_key=True),
        sa.Column("fleet", sa.String(64), primary_key=True),
        sa.Column("uri", sa.String(255), primary_key=True),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("uploaded_at", sa.String(32), nullable=False),
    )
    op.create_index("ix_uploads_uploaded_at", "uploads", ["uploaded_at"])
