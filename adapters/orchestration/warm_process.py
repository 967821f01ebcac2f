"""Warm process: import what flows need, wait for a run, execute it, and end.

Arguments: the pool's socket, the module that the run executes, and the modules to import before it arrives. The process
has a session of its own: every process that it starts ends with it.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress

from adapters.compute.code_version import code_digest

__all__ = ["main"]


def main() -> None:
    """Wait for a run; end quietly if the pool closes first."""
    path, module, *imports = sys.argv[1:]
    for name in imports:
        importlib.import_module(name)
    code_digest()  # The digest of the code just imported, not of files that a later upgrade leaves here.
    with socket.socket(socket.AF_UNIX) as pool:
        pool.connect(path)
        pool.sendall(b"standby %d" % os.getpid())
        _, handles, _, _ = socket.recv_fds(pool, 3, 1)
    if not handles:
        return
    client = socket.socket(fileno=handles[0])
    if _take(client):
        sys.exit(_run(module, client))


def _take(client: socket.socket) -> bool:
    """Take over the run's environment, folder and output; return False if its client has gone."""
    try:
        client.sendall(b"+")
        size, handles, _, _ = socket.recv_fds(client, 4, 2)
        request = b""
        while len(request) < int.from_bytes(size, "big"):
            chunk = client.recv(1 << 16)
            if not chunk:
                return False
            request += chunk
        client.sendall(os.getpid().to_bytes(4, "big"))
    except OSError:
        return False
    if len(handles) != 2:
        return False
    message = json.loads(request)
    for descriptor, handle in enumerate(handles, 1):
        os.dup2(handle, descriptor)
        os.close(handle)
    os.environ.clear()
    os.environ.update(message["environment"])
    os.chdir(message["folder"])
    return True


def _run(module: str, client: socket.socket) -> int:
    """Execute the module, send its exit code to the client, and return it."""
    import dask
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    dask.config.refresh()
    over = threading.Event()
    threading.Thread(target=_end_with, args=(client, over.is_set), name="end-with-client", daemon=True).start()
    sys.argv = [module]
    code = 0
    # That it has been imported is what a warm process is for.
    warnings.filterwarnings("ignore", ".*found in sys.modules after import of package", RuntimeWarning)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        _send_code(client, 1)
        raise
    over.set()
    _send_code(client, code)
    return code


def _send_code(client: socket.socket, code: int) -> None:
    with suppress(OSError):
        client.sendall(bytes([code % 256]))


def _end_with(client: socket.socket, over: Callable[[], bool]) -> None:
    """Kill this process and every process it started when its client is killed."""
    with suppress(OSError):
        client.recv(1)
    if not over():
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
