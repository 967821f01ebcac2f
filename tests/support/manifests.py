"""Reads the Kubernetes manifests as kustomize would put them together, as far as ours go, and the pods in them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

K8S = Path(__file__).parents[2] / "infra" / "k8s"
CLUSTER = "dask"


@dataclass(frozen=True)
class Pod:
    """What all pods of one kind look like. labels : those by which they are selected."""

    name: str
    labels: dict
    spec: dict

    @property
    def container(self):
        (container,) = self.spec["containers"]
        return container

    @property
    def ports(self):
        """Number by name."""
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}


def documents(path):
    return [each for each in yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader) if each]


@cache
def render(folder):
    """All resources of a kustomization by (kind, name): its resources, with its patches merged in."""
    content = yaml.safe_load((K8S / folder / "kustomization.yaml").read_text(encoding="utf-8"))
    known = {"apiVersion", "kind", "namespace", "resources", "patches", "images"}
    if odd := content.keys() - known:
        raise NotImplementedError(f"{folder}: {odd}")
    found = {}
    for name in content["resources"]:
        path = (K8S / folder / name).resolve()
        made = render(path.name) if path.is_dir() else {(d["kind"], d["metadata"]["name"]): d for d in documents(path)}
        if twice := found.keys() & made.keys():
            raise ValueError(f"{folder}: {twice} twice")
        found |= made
    for patch in content.get("patches", []):
        for change in documents(K8S / folder / patch["path"]):
            key = change["kind"], change["metadata"]["name"]
            found[key] = _merged(found[key], change)
    return found


def _merged(below, above):
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merged(below.get(key), value) for key, value in above.items()}
    return above


def pods(resources):
    """Pods by name of what runs in them; those of Dask as the operator makes them."""
    made = {}
    for (kind, name), content in resources.items():
        if kind in ("Deployment", "StatefulSet"):
            template = content["spec"]["template"]
            made[name] = Pod(name, template["metadata"]["labels"], template["spec"])
        elif kind == "DaskCluster":
            made |= {
                f"dask-{part}": _of_operator(name, part, content["spec"][part]) for part in ("scheduler", "worker")
            }
    return made


def _of_operator(cluster, part, content):
    """As build_scheduler_deployment_spec and build_worker_deployment_spec of dask-kubernetes 2026.3.0 do."""
    labels = {"dask.org/cluster-name": cluster, "dask.org/component": part}
    (container,) = content["spec"]["containers"]
    env = list(container.get("env", []))
    if part == "worker":
        name = f"{cluster}-default-worker-0123456789"
        added = {"DASK_WORKER_NAME": name, "DASK_SCHEDULER_ADDRESS": f"tcp://{cluster}-scheduler.myriad.svc:8786"}
        names = {each["name"] for each in env}
        env += [{"name": name, "value": value} for name, value in added.items() if name not in names]
    return Pod(f"dask-{part}", labels, content["spec"] | {"containers": [container | {"env": env}]})


def services(resources):
    """(selector, ports) of every Service by its name, with the one that the operator makes."""
    made = {name: content["spec"] for (kind, name), content in resources.items() if kind == "Service"}
    for (kind, name), content in resources.items():
        if kind == "DaskCluster":
            made[f"{name}-scheduler"] = content["spec"]["scheduler"]["service"]
    return made


def environment(pod, resources, secrets=None):
    """The variables of a pod's container; what comes from a Secret is in `secrets`, or told as `secret:KEY`."""
    found = {}
    for source in pod.container.get("envFrom", []):
        found |= resources["ConfigMap", source["configMapRef"]["name"]]["data"]
    for each in pod.container.get("env", []):
        origin = each.get("valueFrom", {})
        if reference := origin.get("configMapKeyRef"):
            found[each["name"]] = resources["ConfigMap", reference["name"]]["data"][reference["key"]]
        elif reference := origin.get("secretKeyRef"):
            found[each["name"]] = (secrets or {}).get(reference["key"], f"secret:{reference['key']}")
        else:
            found[each["name"]] = each["value"]
    return found


def command(pod, variables):
    """The words that the container starts with, `$(NAME)` filled in as Kubernetes does."""
    words = [*pod.container.get("command", []), *pod.container.get("args", [])]
    for name, value in variables.items():
        words = [word.replace(f"$({name})", value) for word in words]
    return words


def walk(value, path=""):
    """(path, value) of all that is inside of a document."""
    yield path, value
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from walk(each, f"{path}/{key}")


def selects(selector, labels):
    """Whether a label selector, or the plain one of a Service, takes these labels."""
    wanted = selector.get("matchLabels", {}) if selector.keys() <= {"matchLabels", "matchExpressions"} else selector
    plain = all(labels.get(key) == value for key, value in wanted.items())
    rules = selector.get("matchExpressions", []) if wanted is not selector else []
    if any(rule["operator"] != "In" for rule in rules):
        raise NotImplementedError(rules)
    return plain and all(labels.get(rule["key"]) in rule["values"] for rule in rules)
