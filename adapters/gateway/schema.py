"""Migrations of the gateway's database (alembic), applied when a gateway opens it.

A database that was made before there were migrations has no version: the first revision creates what is missing of the
tables of that time, and leaves the others as they are.
"""

from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa

from domain.errors import GatewayError

__all__ = ["HEAD", "VERSION_TABLE", "upgrade"]

HEAD = "0002"
"""The newest revision: that of adapters/gateway/tables.py."""
VERSION_TABLE = "gateway_schema_version"
"""A name of our own: others, such as MLflow, may keep theirs in the same database."""
_MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = 7_049_117_003
"""Number of the advisory lock that gateways take in PostgreSQL while they upgrade."""


def upgrade(engine: sa.Engine) -> None:
    """Bring the database to the newest revision; several gateways may do so at once.

    Raises
    ------
    GatewayError
        If the database has a revision that this version of Myriad does not know.
    """
    if _revision(engine) == HEAD:
        return  # The common case, without importing alembic.
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        _migrate(connection)
        connection.commit()


def _revision(engine: sa.Engine) -> str | None:
    """Return the database's revision; None for one that was made before there were migrations."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608


def _migrate(connection: sa.Connection) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext, RevisionStep
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)

    def steps(current: Iterable[str] | str | None, _: MigrationContext) -> list[RevisionStep]:
        revisions = (current,) if isinstance(current, str) else tuple(current or ())
        known = {script.revision for script in scripts.walk_revisions()}
        if unknown := sorted(set(revisions) - known):
            raise GatewayError(
                f"MYRIAD_GATEWAY_DATABASE: its schema is at revision {', '.join(unknown)}, of a newer Myriad; "
                f"this one knows revisions up to {HEAD}. Run the newer version, or use another database"
            )
        return list(scripts._upgrade_revs("head", current))  # type: ignore[arg-type]

    with EnvironmentContext(config, scripts, fn=steps) as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE)
        environment.run_migrations()
