"""No pod of the Kubernetes manifests has more rights than it needs, and no file has a secret."""

import re

import pytest
from dask.utils import parse_bytes
from manifests import K8S, documents, pods, render, walk

RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
PINNED = re.compile(r"[a-z][\w./-]*:(?!latest)[\w.-]+(@sha256:[0-9a-f]{64})?")
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|AUTH_STRING|TOKEN")
HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "hostUsers")
PODS = pods(render("with-s3"))


@pytest.fixture(params=PODS)
def pod(request):
    return PODS[request.param]


def test_all_parts_are_there():
    expected = {"postgres", "mlflow", "prefect-server", "prefect-worker", "dask-scheduler", "dask-worker", "s3"}
    expected |= {"gateway"}
    assert set(PODS) == expected
    assert set(pods(render("base"))) == expected - {"s3"}


def test_pods_run_as_a_user_without_rights(pod):
    context = pod.spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    user = 999 if pod.name == "postgres" else 10001
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == user
    assert not [field for field in HOST_FIELDS if field in pod.spec]
    assert pod.spec["automountServiceAccountToken"] is False


def test_containers_get_no_rights_and_cannot_write_but_to_volumes(pod):
    assert "initContainers" not in pod.spec
    assert pod.container["securityContext"] == RESTRICTED
    assert not any("hostPath" in volume for volume in pod.spec["volumes"])
    assert not any("hostPort" in port for port in pod.container.get("ports", []))


def test_variables_of_services_do_not_get_among_the_settings(pod):
    assert pod.spec["enableServiceLinks"] is False


def test_our_processes_are_not_the_first_of_their_pod(pod):
    """As `init: true` in docker-compose.yml: the first one would not get signals, nor know of processes left behind."""
    ours = pod.container["image"].startswith("myriad:")
    assert pod.spec.get("shareProcessNamespace", False) is ours


def test_processor_and_memory_are_asked_for_and_limited(pod):
    resources = pod.container["resources"]
    assert resources["limits"].keys() == resources["requests"].keys() == {"cpu", "memory"}
    asked, limit = (parse_bytes(resources[each]["memory"] + "B") for each in ("requests", "limits"))
    assert 0 < asked <= limit


def test_scratch_space_is_limited(pod):
    assert all(volume["emptyDir"]["sizeLimit"] for volume in pod.spec["volumes"] if "emptyDir" in volume)


def test_images_are_pinned(pod):
    assert PINNED.fullmatch(pod.container["image"])


def test_the_namespace_enforces_all_this():
    labels = render("base")["Namespace", "myriad"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_dask_worker_has_one_processor_so_that_dask_takes_all_of_its_memory():
    resources = PODS["dask-worker"].container["resources"]
    assert resources["limits"] == resources["requests"]
    assert resources["limits"]["cpu"] == "1"
    assert {"--nthreads=1", "--memory-limit=auto", "--nanny"} <= set(PODS["dask-worker"].container["args"])


def test_workers_come_and_go_with_the_work_and_leave_in_good_order():
    scaler = render("base")["DaskAutoscaler", "dask"]["spec"]
    assert scaler == {"cluster": "dask", "minimum": 0, "maximum": 10}
    assert render("base")["ConfigMap", "myriad-settings"]["data"]["MYRIAD_WORKERS"] == str(scaler["maximum"])
    assert {"--lifetime=2h", "--lifetime-stagger=20m", "--lifetime-restart"} <= set(
        PODS["dask-worker"].container["args"]
    )


def test_only_what_runs_several_times_has_a_budget():
    budgets = [name for kind, name in render("with-s3") if kind == "PodDisruptionBudget"]
    assert budgets == ["dask-workers"]


@pytest.mark.parametrize("path", sorted(K8S.rglob("*.yaml")), ids=lambda path: path.relative_to(K8S).as_posix())
def test_no_file_has_a_secret(path):
    for document in documents(path):
        assert document["kind"] != "Secret" or not any(document["stringData"].values())
        for place, value in walk(document):
            if isinstance(value, dict) and SECRET.search(str(value.get("name", ""))):
                assert value.keys() == {"name", "valueFrom"}, place
                assert "secretKeyRef" in value["valueFrom"], place
            if isinstance(value, str):
                assert not re.search(r"://[^/\s]*:[^/\s]*@", value), place
                assert not re.search(r"PRIVATE KEY|AKIA[0-9A-Z]{16}", value), place
        if document["kind"] == "ConfigMap":
            assert not [key for key in document["data"] if SECRET.search(key)]
