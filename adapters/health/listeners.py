"""Check which ports this account's servers listen on: an address open to other machines must be on the command line."""

import ipaddress
import re
from collections.abc import Iterator

import psutil

from adapters.settings import Settings
from domain.checks.health import Check

_SERVERS = {
    "prefect": "Prefect",
    "mlflow": "MLflow",
    "weed": "SeaweedFS",
    "seaweedfs": "SeaweedFS",
    "distributed": "Dask",
    "dask": "Dask",
    "postgres": "PostgreSQL",
    "myriad": "Myriad",
    "adapters": "Myriad",
    "cli": "Myriad",
}
"""Server by a part of a command line: a program or module, or the first part of a module's name."""
_APPLICATION = re.compile(r"(prefect|mlflow)\.server[\w.]*:\w+$")
"""An application as uvicorn and gunicorn are told to load it."""
_PROGRAM_WORDS = 3
"""Words of a command line among which the program is: an interpreter, an option, and a script or module."""
_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what is looked for


def listeners(settings: Settings) -> Iterator[Check]:
    """Check the listening sockets of this account's servers; other accounts' processes cannot be seen."""
    local: set[str] = set()
    for server, process, words in _servers():
        if server == "SeaweedFS" and any(word in ("-telemetry", "-telemetry=true") for word in words):
            state, way_out = f"on in process {process.pid}", "start it without -telemetry"
            yield Check("ports", "SeaweedFS telemetry", "warning", state, way_out)
        for host, port in sorted(_listening(process)):
            if _is_loopback(host):
                local.add(f"{server} {port}")
            else:
                yield _exposed(server, host, port, words)
    if local:
        yield Check("ports", "this machine", "ok", f"on loopback only: {', '.join(sorted(local))}")
    else:
        yield Check("ports", "this machine", "unused", "no server of this account listens on loopback")


def _servers() -> Iterator[tuple[str, psutil.Process, list[str]]]:
    """Yield servers with their command lines, and the processes that they started under the names of theirs."""
    processes = {process.pid: process for process in psutil.process_iter(["cmdline", "ppid"])}
    for process in processes.values():
        ancestor: psutil.Process | None = process
        while ancestor is not None:
            words = ancestor.info["cmdline"] or []
            if server := _server(words):
                yield server, process, words
                break
            ancestor = processes.get(ancestor.info["ppid"])


def _server(words: list[str]) -> str | None:
    """Return the server that a command line starts: by its program, its module, or the application that it loads."""
    for place, word in enumerate(words):
        if (match := _APPLICATION.match(word)) and place:
            return _SERVERS[match.group(1)]
        is_module = place > 0 and words[place - 1] == "-m"
        name = word.partition(".")[0] if is_module else word.rpartition("/")[2]
        if place < _PROGRAM_WORDS and (place == 0 or is_module or "/" in word) and name in _SERVERS:
            return _SERVERS[name]
    return None


def _listening(process: psutil.Process) -> set[tuple[str, int]]:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:  # It has ended, or is another account's.
        return set()
    return {(item.laddr.ip, item.laddr.port) for item in connections if item.status == psutil.CONN_LISTEN}


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _exposed(server: str, host: str, port: int, words: list[str]) -> Check:
    """Judge a socket that other machines may reach: a warning if the command line names its address, else a failure."""
    names = _ANYWHERE if host in _ANYWHERE else (host,)
    requested = any(name in word for name in names for word in words)
    state = f"listens on {host}:{port}, which other machines may reach"
    if requested:
        return Check(
            "ports", f"{server} {port}", "warning", f"{state}, as its command says", "see that a firewall agrees"
        )
    way_out = "bind it to 127.0.0.1: --host 127.0.0.1, or what the server calls it"
    return Check("ports", f"{server} {port}", "failed", state, way_out)
