"""Bring the local server up: a Prefect server, the fleets' deployments, and a worker that runs them."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.orchestration.local_server import WORKER, LocalServer, LocalServerManager, healthy
from adapters.settings import Settings, embedded_defaults
from adapters.sources.fleet_files import load_fleet
from domain.errors import FleetError, OrchestratorError

if TYPE_CHECKING:
    from adapters.orchestration.deployments import Deployment

__all__ = ["DEFAULT_PORT", "bring_up", "deploy_fleets", "find_fleets", "watch"]

DEFAULT_PORT = 4200
_WATCH_S = 0.5


def find_fleets(settings: Settings, references: Sequence[str], tell: Callable[[str], None]) -> dict[str, str]:
    """Return name and reference of each fleet; without references, of all in `fleets/` that are usable.

    Raises FleetError for a named fleet that is not usable, and for two fleets of one name.
    """
    home, fleets = settings.home.resolve(), dict[str, str]()
    files = references or sorted(str(path.relative_to(home)) for path in (home / "fleets").glob("*.yaml"))
    for file in files:
        try:
            name, reference = load_fleet(file, home).name, _reference(file, home)
        except FleetError as exc:
            if references:
                raise
            tell(f"not deployed: {exc}")
            continue
        if fleets.get(name, reference) != reference:
            raise FleetError(f"fleet {name!r}: {fleets[name]} and {reference} have the same name; rename one of them")
        fleets[name] = reference
    return fleets


def _reference(file: str, home: Path) -> str:
    """Reference by which a run finds the file: its name below `fleets/`, else its path, below the home if possible."""
    path = home / file
    if not path.suffix:
        return file
    path = path.resolve()
    if path.parent == home / "fleets" and path.suffix == ".yaml":
        return path.stem
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)


def deploy_fleets(api_url: str, fleets: Mapping[str, str]) -> list[str]:
    """Deploy every flow for each fleet; return the deployments as `prefect deployment run` takes them."""
    from adapters.orchestration.deployments import Orchestrator

    planned, orchestrator = _planned(fleets), Orchestrator(api_url)
    orchestrator.ensure_pool()
    orchestrator.deploy(planned)
    return [deployment.label for deployment in planned]


def _planned(fleets: Mapping[str, str]) -> "list[Deployment]":
    """Import all flows here, since they are heavy and `up` imports them while the server starts."""
    from flows.deployments import deployments_of

    return [deployment for name, reference in fleets.items() for deployment in deployments_of(name, reference)]


def bring_up(
    manager: LocalServerManager,
    settings: Settings,
    port: int | None,
    references: Sequence[str],
    tell: Callable[[str], None],
) -> LocalServer:
    """Start what is missing of the server, deploy the fleets, and wait until all of it works.

    references : fleets to deploy; without any, those in `fleets/`, unless all runs already.
    A server that was started here is stopped again when any of that fails.
    """
    before = manager.running()
    if before is not None and port not in (None, before.port):
        raise OrchestratorError(f"Prefect runs at port {before.port} already; first stop it: myriad down")
    if before is not None and before.complete and not references:
        _check_health(manager, before)
        tell("runs already")
        return before
    fleets = find_fleets(settings, references, tell)
    try:
        return _completed(manager, before or LocalServer(port or DEFAULT_PORT), settings, fleets, tell)
    except BaseException:
        if before is None:
            manager.stop()
        raise


def _check_health(manager: LocalServerManager, server: LocalServer) -> None:
    if not healthy(server.api_url, limit_s=10.0):
        log = manager.logs["server"]
        raise OrchestratorError(f"the Prefect server does not answer at {server.api_url}; see {log}, then: myriad down")


def _completed(
    manager: LocalServerManager,
    server: LocalServer,
    settings: Settings,
    fleets: Mapping[str, str],
    tell: Callable[[str], None],
) -> LocalServer:
    api_url = server.api_url
    if server.child("server") is None:
        tell(f"starting the Prefect server at port {server.port} ...")
        server = manager.start(server, "server")
    embedded_defaults(settings)
    os.environ.setdefault("PREFECT_API_AUTH_STRING", manager.auth_string)
    planned = _planned(fleets)
    manager.await_ready(server, "server", lambda: healthy(api_url))

    from adapters.orchestration.deployments import Orchestrator

    orchestrator = Orchestrator(api_url)
    orchestrator.ensure_pool()
    if server.child("worker") is None:
        if orphans := orchestrator.crash_orphans():
            tell(f"marked {orphans} runs as crashed that had been stopped with an earlier worker")
        tell("starting a worker ...")
        server = manager.start(server, "worker")
    if planned:
        tell(f"deploying {', '.join(fleets)} ...")
        orchestrator.deploy(planned)
    began = min(child.began for child in server.children if child.role == "worker")
    manager.await_ready(server, "worker", lambda: orchestrator.worker_seen(WORKER, began))
    return server


def watch(manager: LocalServerManager, server: LocalServer) -> None:
    """Wait until the server or the worker ends, which raises OrchestratorError."""
    while all(server.child(child.role) for child in server.children):
        time.sleep(_WATCH_S)
    gone = next(child.role for child in server.children if not child.process())
    raise OrchestratorError(f"the Prefect {gone} has ended; see {manager.logs[gone]}")
