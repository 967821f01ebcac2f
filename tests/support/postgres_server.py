"""A PostgreSQL server of its own for tests, from the programs of the distribution."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from adapters.local_stack.postgres import connection_error, postgres_user
from adapters.local_stack.programs import executable
from domain.errors import SettingsError

PASSWORD = "s3cret/@:#% word"


class PostgresServer:
    """port : on 127.0.0.1. Its superuser is `myriad`."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database="postgres", user="myriad", password=PASSWORD) -> str:
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def connect(self, database="postgres", **options):
        return psycopg.connect(self.url(database), **options)

    def fetch(self, query, database="postgres"):
        with closing(self.connect(database)) as connection:
            return connection.execute(query).fetchall()

    def execute(self, statement, database="postgres"):
        with closing(self.connect(database, autocommit=True)) as connection:
            connection.execute(statement)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server; skip the test where PostgreSQL is not installed, but fail it with CI=true."""
    try:
        initdb, postgres = executable("initdb"), executable("postgres")
    except SettingsError as exc:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true, and {exc}")
        pytest.skip(str(exc))
    scratch, user = Path(tempfile.mkdtemp(prefix="myriad-postgres-")), postgres_user()
    scratch.chmod(0o711)
    data, secret = scratch / "data", scratch / "secret"
    data.mkdir(mode=0o700)
    secret.write_text(PASSWORD)
    for path in (data, secret):
        if user:
            shutil.chown(path, user)
    options = ["-U", "myriad", "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run([initdb, "-D", data, *options], user=user, cwd="/", check=True, stdout=subprocess.DEVNULL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [postgres, "-D", data, "-k", data, "-h", "127.0.0.1", "-p", str(port), "-c", "fsync=off"]
    process = subprocess.Popen(command, user=user, cwd="/", stderr=subprocess.DEVNULL, umask=0o077)
    try:
        end = time.monotonic() + 60
        while reason := connection_error(str(port), "myriad", PASSWORD, "postgres"):
            assert time.monotonic() < end, reason
            time.sleep(0.1)
        yield PostgresServer(port)
    finally:
        process.send_signal(signal.SIGINT)  # Clients that are still there do not delay it.
        process.wait(60)
        shutil.rmtree(scratch, ignore_errors=True)
