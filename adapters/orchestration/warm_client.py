"""What Prefect's worker starts for a run: hands it over to a standby process, and stands for that one until it ends.

Run as a file, with the standard library alone: it has to be there in milliseconds. Arguments: the hub's socket, and the
module that is the run.
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
    """Exit code of the run."""
    there, here = socket.socketpair()
    try:
        with socket.socket(socket.AF_UNIX) as hub:
            hub.connect(sys.argv[1])
            socket.send_fds(hub, [b"run"], [there.fileno()])
    except OSError:
        _start_cold()
    there.close()
    wishes = json.dumps({"environment": dict(os.environ), "folder": os.getcwd()}).encode()  # noqa: PTH109 - in a hurry
    try:
        if here.recv(1) != b"+":  # Nobody took it, and then it is closed.
            _start_cold()
        socket.send_fds(here, [len(wishes).to_bytes(4, "big")], [1, 2])
        here.sendall(wishes)
        number = int.from_bytes(here.recv(4), "big")
    except OSError:
        return 1

    def pass_on(number_of_signal: int, _: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(number, number_of_signal)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, pass_on)
    told = b""
    with suppress(ConnectionResetError):
        while chunk := here.recv(_CHUNK):
            told += chunk
    return told[0] if told else 128 + signal.SIGKILL


def _start_cold() -> None:
    """Become the process that Prefect would have started."""
    os.execv(sys.executable, [sys.executable, "-m", sys.argv[2]])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
