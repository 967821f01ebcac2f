"""A process that has imported what flows need, waits for one run, does it, and ends.

Arguments: the hub's socket, the module that is the run, and what to import before it comes. The process has a session
of its own: all that it starts ends with it.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from adapters.compute.code_version import code_digest

__all__ = ["main"]


def main() -> None:
    """Wait for a run; ends quietly when the hub is gone before one comes."""
    path, module, *imports = sys.argv[1:]
    for each in imports:
        importlib.import_module(each)
    code_digest()  # Of what was imported just now, not of what an upgrade leaves here later.
    with socket.socket(socket.AF_UNIX) as hub:
        hub.connect(path)
        hub.sendall(b"standby %d" % os.getpid())
        _, handles, _, _ = socket.recv_fds(hub, 3, 1)
    if not handles:
        return
    client = socket.socket(fileno=handles[0])
    if _take(client):
        sys.exit(_run(module, client))


def _take(client: socket.socket) -> bool:
    """Become the run's process: environment, folder, and where output goes. False if its client has gone."""
    try:
        client.sendall(b"+")
        size, handles, _, _ = socket.recv_fds(client, 4, 2)
        wishes = b""
        while len(wishes) < int.from_bytes(size, "big"):
            chunk = client.recv(1 << 16)
            if not chunk:
                return False
            wishes += chunk
        client.sendall(os.getpid().to_bytes(4, "big"))
    except OSError:
        return False
    if len(handles) != 2:
        return False
    wish = json.loads(wishes)
    for place, handle in enumerate(handles, 1):
        os.dup2(handle, place)
        os.close(handle)
    os.environ.clear()
    os.environ.update(wish["environment"])
    os.chdir(wish["folder"])
    return True


def _run(module: str, client: socket.socket) -> int:
    """The engine's exit code, told to the client as well."""
    import dask
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    dask.config.refresh()
    over = threading.Event()
    threading.Thread(target=_end_with, args=(client, over.is_set), name="end-with-client", daemon=True).start()
    sys.argv = [module]
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        _tell(client, 1)
        raise
    over.set()
    _tell(client, code)
    return code


def _tell(client: socket.socket, code: int) -> None:
    with suppress(OSError):
        client.sendall(bytes([code % 256]))


def _end_with(client: socket.socket, over: Callable[[], bool]) -> None:
    """When whoever stands for this process is killed, it and all that it has started are killed too."""
    with suppress(OSError):
        client.recv(1)
    if not over():
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
