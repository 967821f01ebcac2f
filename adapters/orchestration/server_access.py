"""The password of the local Prefect server, and the isolation of the one that lives inside a plain run.

Prefect's server runs whatever a client deploys, so whoever reaches it without a password executes code as its owner:
other users of the machine, and pages of the web. Both servers therefore have a random password and take no requests
from other origins, and the one inside a run has a database of its own, which ends with the run: no worker ever executes
what was planted there.
"""

import atexit
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil

from adapters.compute.processes import Known
from adapters.private_files import private_folder, write_private
from adapters.settings import Settings
from domain.errors import OrchestratorError

__all__ = ["AUTH_FILE", "auth_string", "isolate_server"]

AUTH_FILE = "var/run/prefect-auth"
"""Where the password of the local server is kept, below the home."""
CLIENT, SERVER = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
_DATABASES = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
_PARTS = ("", "-wal", "-shm", "-journal")
_MIGRATION_LIMIT_S = 180.0


def auth_string(settings: Settings, environment: Mapping[str, str]) -> str:
    """Return user and password of the local server: those of the environment, else a random one that is made once.

    The file is readable by its owner alone; only the process that starts the server makes it. Raises OrchestratorError
    if it cannot be made or read.
    """
    if named := environment.get(SERVER) or environment.get(CLIENT):
        return named
    path = settings.path(AUTH_FILE)
    try:
        if not path.exists():
            private_folder(path.parent)
            write_private(path, _random())
        content = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as exc:
        raise OrchestratorError(f"{path}: the password of the Prefect server cannot be read: {exc}") from exc
    if not re.fullmatch(r"[^:\s]+:\S+", content):
        # Never quoted: it may hold half of a password.
        state = "is not USER:PASSWORD" if content else "is empty"
        raise OrchestratorError(
            f"{path}: the password of the Prefect server {state}; delete the file, then: myriad down && myriad up"
        )
    return content


def isolate_server(settings: Settings) -> None:
    """Prepare the environment for a server inside this process: a random password, no origins, its own database."""
    password = os.environ.get(SERVER) or os.environ.get(CLIENT) or _random()
    for name in (SERVER, CLIENT):
        os.environ.setdefault(name, password)
    # An origin that no page can have: the server inside a run has no pages of its own.
    os.environ.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "http://127.0.0.1:0")
    if any(os.environ.get(name) for name in _DATABASES):
        return
    folder = settings.path("var/prefect/embedded")
    private_folder(folder)
    _sweep(folder)
    own = folder / f"{os.getpid()}-{psutil.Process().create_time():.2f}.db"
    shutil.copyfile(_template(folder), own)
    atexit.register(_remove, own)
    os.environ[_DATABASES[0]] = _url(own)


def _random() -> str:
    return f"myriad:{secrets.token_urlsafe(32)}"


def _template(folder: Path) -> Path:
    """Return an empty database with Prefect's tables, made once per version: its migrations take seconds."""
    template = folder / f"template-{version('prefect')}.db"
    if template.exists():
        return template
    draft = folder / f"{os.getpid()}-{psutil.Process().create_time():.2f}.template"
    environment = os.environ | {_DATABASES[0]: _url(draft)}
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, timeout=_MIGRATION_LIMIT_S, check=False
    )
    if done.returncode:
        raise OrchestratorError(f"Prefect's database cannot be made below {folder}: {done.stderr.strip()[-500:]}")
    draft.replace(template)
    return template


def _sweep(folder: Path) -> None:
    """End the servers of runs that were killed, and remove the databases of those runs."""
    prefix = f"{_url(folder)}/"
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            url = process.environ().get(_DATABASES[0], "")
            if url.startswith(prefix) and _was_killed(url.removeprefix(prefix)):
                process.kill()
    for path in folder.iterdir():
        if _was_killed(path.name):
            path.unlink(missing_ok=True)


def _was_killed(database: str) -> bool:
    """Return whether the name is that of the database of a run that is gone."""
    pid, _, started = database.partition(".db")[0].partition(".template")[0].partition("-")
    try:
        return Known(int(pid), float(started)).process() is None
    except ValueError:
        return False


def _url(database: Path) -> str:
    return f"sqlite+aiosqlite:///{database}"


def _remove(database: Path) -> None:
    for part in _PARTS:
        database.with_name(database.name + part).unlink(missing_ok=True)
