"""Hand a run to a warm process, and stand in for that process towards Prefect's worker until it ends.

Executed as a file, with the standard library only, so that it starts within milliseconds. Arguments: the pool's socket,
and the module that the run executes.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

_CHUNK = 1 << 16


def main() -> int:
    """Hand over the run, wait for its end, and return its exit code."""
    remote, local = socket.socketpair()
    try:
        with socket.socket(socket.AF_UNIX) as pool:
            pool.connect(sys.argv[1])
            socket.send_fds(pool, [b"run"], [remote.fileno()])
    except OSError:
        _start_cold()
    remote.close()
    request = json.dumps({"environment": dict(os.environ), "folder": os.getcwd()}).encode()  # noqa: PTH109 - in a hurry
    try:
        if local.recv(1) != b"+":  # No warm process took the run, so the socket is closed.
            _start_cold()
        socket.send_fds(local, [len(request).to_bytes(4, "big")], [1, 2])
        local.sendall(request)
        pid = int.from_bytes(local.recv(4), "big")
    except OSError:
        return 1

    def forward(signal_number: int, _: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal_number)

    for forwarded in (signal.SIGTERM, signal.SIGINT):
        signal.signal(forwarded, forward)
    reply = b""
    with suppress(ConnectionResetError):
        while chunk := local.recv(_CHUNK):
            reply += chunk
    return reply[0] if reply else 128 + signal.SIGKILL


def _start_cold() -> None:
    """Replace this process by the one that Prefect would have started."""
    os.execv(sys.executable, [sys.executable, "-m", sys.argv[2]])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
