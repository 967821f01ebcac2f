"""Do the work of PostgreSQL's image: create the data folder once, with its databases and roles, and never as root."""

import os
import pwd
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.local_stack.programs import executable, run_program
from adapters.private_files import write_private
from domain.errors import OrchestratorError, SettingsError

__all__ = [
    "ROLES",
    "PasswordError",
    "check_accounts",
    "connection_error",
    "postgres_user",
    "prepare_data",
    "run_scripts",
]

ROLES = {"prefect": "prefect", "mlflow": "mlflow", "gateway": "gateway", "runs": "mlflow", "operator": "gateway"}
"""Roles that infra/postgres/databases.sql makes, each with a database that it reaches."""


class PasswordError(SettingsError):
    """The superuser's password is not that of the databases."""


def postgres_user() -> str | None:
    """Return the account to run PostgreSQL as if we are root, which it refuses to be."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise SettingsError(
        "PostgreSQL does not run as root, and there is no user postgres; start the stack as another user"
    )


def prepare_data(data: Path, user: str | None, scripts: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Give the data folder to its user; fill it if it is empty.

    scripts : run by psql, as the superuser, in a new data folder. environment : of the service, with POSTGRES_USER,
    POSTGRES_PASSWORD and what the scripts read.
    Raises SettingsError if the folder cannot be reached, or a script fails.
    """
    if user is not None:
        shutil.chown(data, user)
        if not _reaches(user, data):
            raise SettingsError(
                f"{data}: user {user}, as whom PostgreSQL has to run, cannot reach it; start the stack as another "
                "user than root, or from a folder that others may enter"
            )
    if not (data / "PG_VERSION").exists():
        _make_databases(data, user, scripts, environment)


def check_accounts(port: str, scripts: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Run the scripts again if a role is missing, as in databases of an earlier version, or has another password.

    Otherwise every server would fail, in its log only.
    Raises PasswordError if the superuser's password is wrong, OrchestratorError if the server refuses otherwise.
    """
    reason = connection_error(port, environment["POSTGRES_USER"], environment["POSTGRES_PASSWORD"], "postgres")
    if "password authentication failed" in reason:
        raise PasswordError(reason)
    if reason:
        raise OrchestratorError(f"postgres: {reason}")
    passwords = {role: environment[f"POSTGRES_{role.upper()}_PASSWORD"] for role in ROLES}
    if any(connection_error(port, role, passwords[role], database) for role, database in ROLES.items()):
        run_scripts("127.0.0.1", port, scripts, environment)


def connection_error(port: str, user: str, password: str, database: str) -> str:
    """Return why a user cannot connect to a database; an empty text if it can."""
    import psycopg

    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user={user} dbname={database}", password=password).close()
    except psycopg.OperationalError as exc:
        return str(exc).strip()
    return ""


def run_scripts(host: str, port: str, scripts: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Run scripts by psql as the superuser. host : also the folder of a socket. Raises SettingsError if one fails."""
    superuser = environment["POSTGRES_USER"]
    client = [executable("psql"), "--no-psqlrc", "--quiet", "-h", host, "-p", port, "-U", superuser, "-d", "postgres"]
    ours = {**environment, "PGPASSWORD": environment["POSTGRES_PASSWORD"]}
    for script in scripts:
        # As ourselves: the scripts may not be PostgreSQL's user's to read.
        run_program([*client, "-v", "ON_ERROR_STOP=1", "-f", str(script)], None, ours)


def _make_databases(data: Path, user: str | None, scripts: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Create the databases atomically: in a draft folder, which then replaces `data`."""
    draft, secret = data.with_name("postgres.new"), data.with_name("postgres.secret")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    write_private(secret, environment["POSTGRES_PASSWORD"])
    if user is not None:
        for path in (draft, secret):
            shutil.chown(path, user)
    try:
        options = ["-U", environment["POSTGRES_USER"], "--auth=scram-sha-256", f"--pwfile={secret}"]
        initdb = [executable("initdb"), "-D", str(draft), *options, "-E", "UTF8", "--locale=C.UTF-8"]
        run_program(initdb, user, environment)
    finally:
        secret.unlink()
    _run_alone(draft, user, scripts, environment)
    data.rmdir()
    draft.replace(data)


def _run_alone(data: Path, user: str | None, scripts: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Run the scripts in a server that only its own folder leads to: nobody else connects meanwhile."""
    control, log, port = executable("pg_ctl"), data / "scripts.log", "5432"
    options = f"-p {port} -k {shlex.quote(str(data))} -c listen_addresses=''"
    server = ["-D", str(data), "-w", "-t", "120", "-l", str(log), "-o", options]
    run_program([control, *server, "start"], user, environment)
    try:
        run_scripts(str(data), port, scripts, environment)
    finally:
        run_program([control, "-D", str(data), "-w", "-m", "fast", "stop"], user, environment)
    log.unlink(missing_ok=True)


def _reaches(user: str, folder: Path) -> bool:
    done = subprocess.run(["/usr/bin/env", "test", "-w", folder], user=user, check=False, cwd="/")  # noqa: S603
    return done.returncode == 0
