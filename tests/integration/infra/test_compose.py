"""The containers of docker-compose.yml are confined, and meet on networks only where they need each other."""

import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CONTENT = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = CONTENT["services"]
DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
ADDRESS = re.compile(r"(?:http|tls)://([a-z][a-z0-9-]*):\$\{")
PEERS = {
    "postgres": {"gateway", "mlflow", "prefect-server", "prefect-worker"},
    "s3": {"s3-ready", "gateway", "mlflow", "prefect-worker", "dask-workers"},
    "mlflow": {"prefect-worker"},
    "prefect-server": {"gateway", "prefect-worker", "deploy"},
    "dask-scheduler": {"dask-workers", "prefect-worker"},
}
"""Who has to reach a server."""
SIDE_BY_SIDE = {"postgres": set(), "s3": set(), "mlflow": {"postgres", "s3"}, "prefect-server": {"postgres"}}
SIDE_BY_SIDE |= {"dask-scheduler": set()}
"""Servers that a server itself reaches."""


@pytest.fixture(params=SERVICES)
def service(request):
    return SERVICES[request.param]


def networks(name):
    return set(SERVICES[name].get("networks", []))


def test_containers_have_no_rights_and_a_file_system_that_cannot_be_written(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "group_add", "userns_mode"} & service.keys()


def test_processes_and_memory_are_limited(service):
    assert 0 < service["pids_limit"] <= 8192
    assert re.fullmatch(r"\d+g|\$\{\w+:-\d+g\}", service["mem_limit"])
    assert all(re.search(r"[,:]size=\d+[mg]$", place.replace(",uid", ";uid")) for place in service["tmpfs"])


def test_nothing_runs_as_root(service):
    user = service.get("user", "10001:10001" if "build" in service else "0")
    assert int(user.partition(":")[0]) > 0


def test_what_is_not_built_here_is_pinned_by_digest(service):
    assert "build" in service or DIGEST.fullmatch(service["image"])


def test_nothing_of_this_machine_can_be_written(service):
    for volume in service.get("volumes", []):
        source, _, *mode = volume.split(":")
        assert not source.startswith(("/", "~"))
        assert mode == ["ro"] or not source.startswith(".")


def test_ports_are_published_on_loopback_only(service):
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_servers_meet_those_who_need_them_and_nobody_else():
    shared = {frozenset(pair) for pair in combinations(SERVICES, 2) if networks(pair[0]) & networks(pair[1])}
    needed = {frozenset((server, peer)) for server, peers in PEERS.items() for peer in peers}
    # Clients of one server meet as well; what they serve to each other is nothing, but for the events of the store.
    for server, peers in PEERS.items():
        assert {frozenset((server, peer)) for peer in peers} <= shared, server
    servers = set(PEERS)
    assert {pair for pair in shared if len(pair & servers) == 1 and pair & servers} - needed == set()
    assert {pair for pair in shared if pair <= servers} == {
        frozenset((server, other)) for server, others in SIDE_BY_SIDE.items() for other in others
    }


@pytest.mark.parametrize("name", SERVICES)
def test_addresses_lead_to_services_on_a_common_network(name):
    texts = [*SERVICES[name].get("command", []), *map(str, SERVICES[name].get("environment", {}).values())]
    hosts = {host for text in texts for host in ADDRESS.findall(text)} - {"localhost"}
    # Clients know all addresses of the stack; a client without an account in the databases asks no MLflow either.
    asked = {host for host in hosts if host in PEERS and name in PEERS[host]} | (hosts - PEERS.keys())
    assert all(networks(name) & networks(host) for host in asked)
    for host, peers in PEERS.items():
        if name in peers and host != "postgres":
            assert host in hosts or name in ("deploy", "s3-ready"), host


def test_databases_and_workers_reach_nothing_outside():
    internal = {name for name, settings in CONTENT["networks"].items() if (settings or {}).get("internal")}
    published = {name for name, service in SERVICES.items() if "ports" in service}
    for name in SERVICES:
        outward = networks(name) - internal
        assert len(outward) == (1 if name in published else 0), name
        assert not outward or [other for other in SERVICES if outward & networks(other)] == [name]
    assert networks("gateway") - internal == {"front"}
    assert {"postgres", "dask-workers", "prefect-worker"}.isdisjoint(published)
    assert {name for service in SERVICES.values() for name in service.get("networks", [])} == CONTENT["networks"].keys()


def test_a_service_without_a_network_says_so(service):
    assert bool(service.get("networks")) != (service.get("network_mode") == "none")
