"""The parts of the Kubernetes manifests fit each other, and the services of docker-compose.yml."""

import os
import re
import subprocess
from itertools import product
from pathlib import Path

import pytest
from dotenv import dotenv_values
from manifests import K8S, command, documents, environment, pods, render, selects, services, walk

from adapters.local_stack.compose_file import read_compose

ROOT = Path(__file__).parents[3]
SECRETS = set(dotenv_values(ROOT / ".env.example"))
URL = re.compile(r"(?:http|tls)://([a-z][a-z0-9-]*):(\d+)")
IN_IMAGE = {"DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "PREFECT_SERVER_ANALYTICS_ENABLED", "MYRIAD_HOME"}
WORKER = {"dask.org/cluster-name": "dask", "dask.org/component": "worker"}
# Everybody who may open a port, and nobody else.
REACHABLE = {
    "postgres": {5432: {"gateway", "mlflow", "prefect-server", "prefect-worker"}},
    "mlflow": {5000: {"prefect-worker"}},
    "prefect-server": {4200: {"gateway", "prefect-worker"}},
    "gateway": {8700: set()},
    "dask-scheduler": {8786: {"prefect-worker", "dask-worker"}, 8787: {"operator"}},
    "dask-worker": {8788: {"dask-scheduler", "dask-worker"}, 8789: {"dask-scheduler", "dask-worker"}},
    "s3": {8333: {"gateway", "mlflow", "prefect-worker", "dask-worker"}},
}


@pytest.fixture(params=["base", "with-s3"])
def resources(request):
    return render(request.param)


@pytest.fixture(scope="module")
def composed():
    """Services of docker-compose.yml; secrets are told as `secret:NAME`."""
    given = {name: f"secret:{name}" for name in SECRETS}
    return {service.name: service for service in read_compose(ROOT / "docker-compose.yml", given)}


def references(pod, kind):
    """(name of the Secret or ConfigMap, key) of all single values that a pod takes from there."""
    return {
        (each[kind]["name"], each[kind]["key"]) for _, each in walk(pod.spec) if isinstance(each, dict) and kind in each
    }


def may_open(resources, pod, port, peer, namespace):
    """Whether the policies let a peer in. namespace : labels of the peer's, or None if it is in ours."""
    policies = [each["spec"] for (kind, _), each in resources.items() if kind == "NetworkPolicy"]
    rules = [rule for each in policies if selects(each["podSelector"], pod.labels) for rule in each.get("ingress", [])]
    for rule in rules:
        if port in [pod.ports[each["port"]] for each in rule["ports"]]:
            for origin in rule["from"]:
                there = origin.get("namespaceSelector")
                at_home = there is None if namespace is None else there is not None and selects(there, namespace)
                if at_home and selects(origin["podSelector"], peer):
                    return True
    return False


def test_what_pods_take_from_config_maps_and_secrets_is_there(resources):
    for pod in pods(resources).values():
        environment(pod, resources)  # A KeyError where a ConfigMap, or a key of one, is missing.
        assert references(pod, "secretKeyRef") <= {("myriad-secrets", name) for name in SECRETS}, pod.name


def test_the_example_of_the_secret_has_all_keys_and_no_value():
    (secret,) = documents(K8S / "secret.example.yaml")
    used = set().union(*(references(pod, "secretKeyRef") for pod in pods(render("with-s3")).values()))
    assert secret["metadata"]["name"] == "myriad-secrets"
    assert secret["stringData"] == dict.fromkeys(SECRETS, "")
    assert {key for _, key in used} == SECRETS


def test_volumes_are_mounted_and_what_they_are_made_of_is_there(resources):
    for pod in pods(resources).values():
        claims = [d for (kind, name), d in resources.items() if kind == "StatefulSet" and name == pod.name]
        templates = {each["metadata"]["name"] for d in claims for each in d["spec"]["volumeClaimTemplates"]}
        mounted = {each["name"] for each in pod.container["volumeMounts"]}
        assert mounted == {each["name"] for each in pod.spec["volumes"]} | templates, pod.name
        for volume in pod.spec["volumes"]:
            certificates = "myriad-s3-tls" if pod.name == "s3" else "myriad-tls"
            assert volume.get("secret", {}).get("secretName", certificates) == certificates
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in resources
            if config := volume.get("configMap"):
                # That of the fleets is made by whoever installs the stack.
                assert config["name"] == "myriad-fleets" or ("ConfigMap", config["name"]) in resources


def test_services_lead_to_one_kind_of_pod_with_that_port(resources):
    for name, service in services(resources).items():
        (pod,) = [each for each in pods(resources).values() if selects(service["selector"], each.labels)]
        assert pod.name == name
        for port in service["ports"]:
            assert pod.ports[port["targetPort"]] == port["port"], name


def test_selectors_of_workloads_and_budgets_take_their_own_pods_alone(resources):
    made = pods(resources)
    selectors = {
        name: content["spec"]["selector"]
        for (kind, name), content in resources.items()
        if kind in ("Deployment", "StatefulSet")
    }
    selectors["dask-worker"] = resources["PodDisruptionBudget", "dask-workers"]["spec"]["selector"]
    for name, selector in selectors.items():
        assert [each.name for each in made.values() if selects(selector, each.labels)] == [name]


def test_addresses_lead_to_a_service_and_its_port(resources):
    ports = {name: {str(port["port"]) for port in each["ports"]} for name, each in services(resources).items()}
    seen = set()
    for pod in pods(resources).values():
        variables = environment(pod, resources)
        texts = [*variables.values(), *command(pod, variables)]
        for host, port in {found for text in texts for found in URL.findall(text)} - {("localhost", "4200")}:
            assert port in ports[host], (pod.name, host, port)
            seen.add(host)
        if "PGHOST" in variables:
            assert variables["PGPORT"] in ports[variables["PGHOST"]]
    assert {"mlflow", "prefect-server", "dask-scheduler"} <= seen


def test_processes_listen_on_the_ports_that_they_declare(resources):
    for pod in pods(resources).values():
        variables = environment(pod, resources)
        told = " ".join([*command(pod, variables), *variables.values()])
        for port in pod.ports.values():
            assert re.search(rf"\b{port}\b", told), (pod.name, port)


def test_probes_ask_a_port_of_the_container(resources):
    asked = {}
    for pod in pods(resources).values():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = pod.container.get(kind, {})
            where = probe.get("httpGet") or probe.get("tcpSocket")
            if where:
                assert where["port"] in pod.ports, (pod.name, kind)
                asked.setdefault(pod.name, set()).add(where.get("path"))
    assert asked["mlflow"] == {"/health"}
    assert asked["prefect-server"] == {"/api/health"}
    assert asked["dask-scheduler"] == {"/health"}


def test_ports_can_be_opened_by_those_who_need_them_and_nobody_else(resources):
    made = pods(resources)
    operator = {"app.kubernetes.io/name": "dask-kubernetes-operator"}
    peers = {name: (pod.labels, None) for name, pod in made.items()}
    peers["operator"] = (operator, {"kubernetes.io/metadata.name": "dask-operator"})
    peers["stranger"] = (WORKER, {"kubernetes.io/metadata.name": "default"})
    found = {name: {port: set() for port in pod.ports.values()} for name, pod in made.items() if pod.ports}
    for name, (peer, (labels, namespace)) in product(found, peers.items()):
        for port in found[name]:
            if may_open(resources, made[name], port, labels, namespace):
                found[name][port].add(peer)
    s3 = {"s3"} - made.keys()
    assert found == {name: ports for name, ports in REACHABLE.items() if name not in s3}


def test_what_no_policy_allows_is_refused(resources):
    spec = resources["NetworkPolicy", "nobody"]["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress"]}


@pytest.mark.parametrize("name", ["postgres", "mlflow", "prefect-server", "prefect-worker", "gateway"])
def test_commands_and_settings_are_those_of_the_compose_file(composed, name):
    resources = render("with-s3")
    pod, service = pods(resources)[name], composed[name]
    variables = environment(pod, resources)
    shell = ["sh", "-c"]
    words = command(pod, variables)
    if words[:2] == shell:
        words = words[2].rpartition(" exec ")[2].split()
    assert words == list(service.command)
    sizes = {"MYRIAD_WORKERS"}  # Of the scheduler's own host.
    wanted = {key: value for key, value in service.environment.items() if key not in IN_IMAGE | sizes}
    assert {key: variables.get(key) for key in wanted} == wanted


def test_databases_are_those_of_the_compose_file():
    made = render("base")["ConfigMap", "postgres-databases"]["data"]
    assert made == {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "infra" / "postgres").iterdir()}


def test_the_store_starts_as_in_the_compose_file(composed):
    resources = render("with-s3")
    pod, service = pods(resources)["s3"], composed["s3"]
    assert pod.container["image"] == service.image
    ours, theirs = set(command(pod, {})), set(service.command)
    assert ours ^ theirs == {"-ip=127.0.0.1", "-ip=s3"}
    variables = environment(pod, resources)
    wanted = {name: value for name, value in service.environment.items() if "NOTIFICATION" not in name}
    assert {name: variables.get(name) for name in wanted} == wanted
    assert {"name": "tls", "mountPath": "/s3-tls", "readOnly": True} in pod.container["volumeMounts"]


def test_the_postgres_image_is_that_of_the_compose_file(composed):
    image = pods(render("base"))["postgres"].container["image"]
    assert image == composed["postgres"].image


@pytest.mark.parametrize("secret", ["", None])
def test_prefect_does_not_start_without_a_password(secret):
    words = command(pods(render("base"))["prefect-server"], {})
    environ = {"PATH": os.environ["PATH"]} | ({} if secret is None else {"PREFECT_SERVER_API_AUTH_STRING": secret})
    told = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert told.returncode != 0
    assert "fill in the Secret myriad-secrets" in told.stderr


def test_dask_has_its_certificates_where_they_are_mounted_and_takes_no_other_connection():
    resources = render("base")
    made = pods(resources)
    roles = {"dask-scheduler": {"SCHEDULER"}, "dask-worker": {"WORKER", "CLIENT"}}
    for name, wanted in roles.items():
        variables = environment(made[name], resources)
        prefix = "DASK_DISTRIBUTED__COMM__"
        assert variables[f"{prefix}REQUIRE_ENCRYPTION"] == "true"
        assert variables[f"{prefix}TLS__CA_FILE"] == "/tls/ca.pem"
        for role in wanted:
            assert variables[f"{prefix}TLS__{role}__CERT"] == "/tls/cert.pem"
            assert variables[f"{prefix}TLS__{role}__KEY"] == "/tls/key.pem"
    # The operator would set an address without tls.
    assert environment(made["dask-worker"], resources)["DASK_SCHEDULER_ADDRESS"] == "tls://dask-scheduler:8786"
    settings = environment(made["prefect-worker"], resources)
    assert settings["MYRIAD_DASK_TLS"] == "/tls"
    assert settings["MYRIAD_DASK_REQUIRE_TLS"] == "true"
    for name in ("dask-scheduler", "dask-worker", "prefect-worker"):
        (mount,) = [each for each in made[name].container["volumeMounts"] if each["name"] == "tls"]
        assert (mount["mountPath"], mount["readOnly"]) == ("/tls", True)
