"""The Kubernetes manifests are valid: by the schemas of Kubernetes, and by those of the Dask operator."""

import copy
import re
from importlib.metadata import distribution, version
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from manifests import K8S, documents, pods, render

FOLDERS = ["base", "with-s3"]
VERSIONS = ["1.30", "1.37"]
DEFINITIONS = "dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds"
OURS = {
    key: each for key, each in render("with-s3").items() if not each["apiVersion"].startswith("kubernetes.dask.org")
}


def validate(document, version="1.37"):
    kubernetes_validate.validate(document, version, strict=True)


def closed(schema):
    """A resource definition, strictly: fields that it lacks are refused, which the API server drops in silence."""
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(each) for key, each in schema.items() if key not in ("properties", "default")}
    if "properties" in schema:
        made["properties"] = {name: closed(each) for name, each in schema["properties"].items()}
        made.setdefault("additionalProperties", False)
    if made.pop("x-kubernetes-int-or-string", False):
        made["type"] = ["integer", "string"]
    return made


def operator_schema(kind):
    """Of the whole document, with what every document has."""
    wheel = distribution("dask-kubernetes")
    (definition,) = documents(Path(str(wheel.locate_file(f"{DEFINITIONS}/{kind.lower()}.yaml"))))
    (version,) = definition["spec"]["versions"]
    assert definition["spec"]["names"]["kind"] == kind
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"apiVersion": {"const": "kubernetes.dask.org/v1"}, "kind": {"const": kind}, "metadata": {}}
    return schema


@pytest.fixture(scope="module")
def checks():
    """Validators of the operator's kinds."""
    kinds = ("DaskCluster", "DaskAutoscaler")
    return {kind: jsonschema.Draft202012Validator(operator_schema(kind)).validate for kind in kinds}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", OURS, ids="-".join)
def test_every_document_is_valid(key, version):
    validate(OURS[key], version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_example_of_the_secret_is_valid(version):
    (secret,) = documents(K8S / "secret.example.yaml")
    validate(secret, version)


@pytest.mark.parametrize("kind", ["DaskCluster", "DaskAutoscaler"])
def test_what_the_operator_reads_is_valid(checks, kind):
    checks[kind](render("base")[kind, "dask"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["dask-scheduler", "dask-worker"])
def test_pods_that_the_operator_makes_are_valid(name, version):
    pod = pods(render("base"))[name]
    validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": pod.labels}, "spec": pod.spec}, version
    )


BROKEN = {
    "a word for a number": ("Deployment", "mlflow", ["spec", "replicas"], "one"),
    "a field that does not exist": ("Deployment", "mlflow", ["spec", "template", "spec", "restart"], "Always"),
    "a number for a text": ("ConfigMap", "myriad-database", ["data", "PGPORT"], 5432),
    "a list for a mapping": ("NetworkPolicy", "mlflow", ["spec", "podSelector"], ["app"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_document_is_refused(case):
    kind, name, path, value = BROKEN[case]
    document = copy.deepcopy(OURS[kind, name])
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(document)


def test_a_broken_cluster_is_refused(checks):
    for change in (
        lambda spec: spec["worker"]["spec"].update(secrets=[]),
        lambda spec: spec["worker"].update(replicas="none"),
        lambda spec: spec["scheduler"].pop("service"),
        lambda spec: spec["worker"]["spec"]["containers"][0]["resources"].update(limit={}),
    ):
        document = copy.deepcopy(render("base")["DaskCluster", "dask"])
        change(document["spec"])
        with pytest.raises(jsonschema.ValidationError):
            checks["DaskCluster"](document)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_belongs_to_its_kustomization(folder):
    content = yaml.safe_load((K8S / folder / "kustomization.yaml").read_text(encoding="utf-8"))
    listed = {*content["resources"], *(patch["path"] for patch in content.get("patches", []))}
    there = {path.name for path in (K8S / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in listed if name.endswith(".yaml")} == there
    assert content["namespace"] == "myriad"


def test_all_is_in_one_namespace_whose_name_kustomize_sets():
    for (kind, name), content in render("with-s3").items():
        assert "namespace" not in content["metadata"], (kind, name)
    assert ("Namespace", "myriad") in render("base")


def test_the_example_of_an_overlay_changes_what_is_there():
    page = (K8S / "README.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)]
    (example,) = [block for block in blocks if "resources" in block]
    (base,) = example["resources"]
    resources = render(Path(base).name)
    images = {pod.container["image"].partition(":")[0] for pod in pods(resources).values()}
    assert {image["name"] for image in example["images"]} <= images
    for change in example["patches"]:
        if target := change.get("target"):
            assert (target["kind"], target["name"]) in resources
            for step in yaml.safe_load(change["patch"]):
                place = resources[target["kind"], target["name"]]
                for name in step["path"].strip("/").split("/")[:-1]:
                    place = place[name]
        else:
            content = yaml.safe_load(change["patch"])
            below = resources[content["kind"], content["metadata"]["name"]]["data"]
            assert content["data"].keys() <= below.keys() | {"AWS_ENDPOINT_URL"}


def test_fleets_come_from_a_config_map_that_the_page_makes():
    page = (K8S / "README.md").read_text(encoding="utf-8")
    assert "create configmap myriad-fleets --from-file=fleets/" in page
    readers = {name for name, pod in pods(render("base")).items() if "/srv/myriad/fleets" in mounts(pod)}
    assert readers == {"prefect-worker", "gateway"}


def mounts(pod):
    """Where a pod of ours finds the ConfigMap of fleets."""
    named = {volume["name"] for volume in pod.spec["volumes"] if volume.get("configMap") == {"name": "myriad-fleets"}}
    return {mount["mountPath"] for mount in pod.container["volumeMounts"] if mount["name"] in named}


def test_the_operator_that_is_installed_is_the_one_whose_definitions_were_checked():
    page = (K8S / "README.md").read_text(encoding="utf-8")
    assert re.search(r"--version (\S+)", page)[1] == version("dask-kubernetes")
