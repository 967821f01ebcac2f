"""Hand a run to a warm process, and represent that process to Prefect's worker until it ends.

Run as a file, with the standard library alone, so that it starts within milliseconds. Arguments: the pool's socket, and
the module that the run executes.
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
    """Return the exit code of the run."""
    there, here = socket.socketpair()
    try:
        with socket.socket(socket.AF_UNIX) as pool:
            pool.connect(sys.argv[1])
            socket.send_fds(pool, [b"run"], [there.fileno()])
    except OSError:
        _start_cold()
    there.close()
    request = json.dumps({"environment": dict(os.environ), "folder": os.getcwd()}).encode()  # noqa: PTH109 - in a hurry
    try:
        if here.recv(1) != b"+":  # No warm process took the run, so the socket is closed.
            _start_cold()
        socket.send_fds(here, [len(request).to_bytes(4, "big")], [1, 2])
        here.sendall(request)
        number = int.from_bytes(here.recv(4), "big")
    except OSError:
        return 1

    def pass_on(number_of_signal: int, _: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(number, number_of_signal)

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, pass_on)
    reply = b""
    with suppress(ConnectionResetError):
        while chunk := here.recv(_CHUNK):
            reply += chunk
    return reply[0] if reply else 128 + signal.SIGKILL


def _start_cold() -> None:
    """Become the process that Prefect would have started."""
    os.execv(sys.executable, [sys.executable, "-m", sys.argv[2]])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
