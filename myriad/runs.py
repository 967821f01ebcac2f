"""Start a run in a process of its own and wait for it: progress comes, then the result, and nothing stays behind."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import psutil

from adapters.compute.processes import end_family
from adapters.compute.progress import Progress
from domain.errors import ClusterError

__all__ = ["call"]

_GRACE_S = 20.0
_MODULE = "myriad.worker"
_LAST_CHARACTERS = 2_000


def call(
    action: str,
    *arguments: object,
    home: Path,
    lake: str | None,
    show: Callable[[Progress], None],
    **options: object,
) -> Any:
    """Call a function of `flows.actions` in a process of its own.

    Works within a running event loop, and any number of times. An interrupt ends the process with its servers and
    workers before it goes on; nothing half-written is visible then.

    Parameters
    ----------
    home, lake : the settings of the run.
    show : called with the progress of each stage.

    Raises
    ------
    MyriadError
        What the function raised; a defect keeps its own class, with the other process's traceback as a note.
    ClusterError
        The process ended without a result, for instance for want of memory.
    """
    with tempfile.TemporaryFile() as output:
        parent, child = Pipe()
        process = _start(child.fileno(), _environment(home, lake), home, output)
        child.close()
        try:
            parent.send((action, arguments, options))
            result = _result(parent, show)
            _await_end(process)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise ClusterError(_ended(process, output)) from None
        except BaseException:  # an interrupt, or an error of the display
            _end(process)
            raise
        finally:
            parent.close()
    if isinstance(result, Exception):
        raise result
    return result


def _start(descriptor: int, environment: Mapping[str, str], home: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this interpreter and our own module
        # -P: modules in the home, such as a models.py of the user's, must not hide ours.
        [sys.executable, "-P", "-m", _MODULE, str(descriptor)],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=(descriptor,),
        # A Ctrl-C of the terminal reaches this process alone, which then ends the other one in order.
        start_new_session=True,
    )


def _environment(home: Path, lake: str | None) -> dict[str, str]:
    places = [str(Path(__file__).parents[1]), *(path for path in sys.path if path)]
    fixed = {"MYRIAD_HOME": str(home), "PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}
    return os.environ | fixed | ({"MYRIAD_LAKE": lake} if lake else {})


def _result(connection: Connection, show: Callable[[Progress], None]) -> Any:
    """Return the result of the call, or its error."""
    while True:
        kind, *values = connection.recv()
        if kind == "progress":
            show(Progress(*values))
        elif kind == "error":
            error, remote = values
            if remote:
                error.add_note(f"in the process of the run:\n{remote}")
            return error
        else:
            return values[0]


def _await_end(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the process has ended in order, which flushes what Prefect records."""
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(psutil.NoSuchProcess):
        end_family(psutil.Process(process.pid), _GRACE_S)
    process.wait()


def _ended(process: "subprocess.Popen[bytes]", output: IO[bytes]) -> str:
    code = process.wait()
    output.seek(0)
    words = output.read().decode(errors="replace").strip()[-_LAST_CHARACTERS:]
    reason = f"signal {-code}" if code < 0 else f"exit code {code}"
    hint = "; if it was killed, it may have needed more memory than there is" if code == -9 else ""
    return f"the process of the run ended without a result ({reason}){hint}" + (f":\n{words}" if words else "")
