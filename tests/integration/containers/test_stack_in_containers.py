"""The stack of docker-compose.yml in real containers: `make compose-test`, about ten minutes, 6 GB in var/containers.

Begun with the image of the commit before, filled by a pipeline, upgraded to this tree's image, hit by the death of a
container of each kind while a second fleet is trained. What comes out is what the embedded set-up makes of the same
files.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from compare_lakes import MOVED, SPARED, differences, tables_below, tables_in
from container_engine import Engine, Project, missing_programs
from scratch_stack import stack_variables

ROOT = Path(__file__).parents[3]
SCRATCH = ROOT / "var" / "containers"
COMPOSE = Path(sys.executable).with_name("docker-compose")
FLEETS = ("m3", "flights")
ONE_SHOT = ("s3-tls", "s3-ready", "tls", "deploy")
KINDS = ("dask-workers", "postgres", "s3", "mlflow", "prefect-server", "gateway", "prefect-worker", "dask-scheduler")
LIMIT_MB = 1250
ELSEWHERE = SPARED | MOVED
"""The stack's raw files lie in another place than those of the embedded set-up."""
ROUNDING = 1e-3
"""How far predictions may be apart, as a share of their size: last bits of linear algebra differ between systems."""
missing = [*missing_programs(), *([] if COMPOSE.exists() else ["docker-compose: make compose-test"])]
pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(missing), reason=f"not on this machine: {', '.join(missing)}"),
]


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def tree_of(commit, folder):
    """The files of a commit, or of the working tree where there is none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if commit:
        # With the modes of a checkout: the engine takes a layer from its cache if these are the same, too.
        archive = git("-c", "tar.umask=0022", "archive", commit)
        subprocess.run(["tar", "x", "-C", str(folder)], input=archive, check=True)
        return folder
    for name in git("ls-files", "--cached", "--others", "--exclude-standard", "-z").decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def myriad(home, *arguments):
    ours = ("MYRIAD_", "PREFECT_", "MLFLOW_", "AWS_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-m", "cli", *arguments]
    environment = clean | {"MYRIAD_HOME": str(home), "PYTHONPATH": str(home)}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home():
    """This tree, with the raw files of the example fleets."""
    home = tree_of(None, SCRATCH / "tree")
    for fleet in FLEETS:
        myriad(home, "sample", fleet)
    return home


@pytest.fixture(scope="module")
def engine(home):
    engine = Engine(SCRATCH / "engine")
    engine.build_bases()
    former = tree_of("HEAD^", SCRATCH / "former")
    for version, tree in (("former", former), ("now", home)):
        file = tree / "infra" / "Dockerfile"
        engine.build(tree, f"myriad:{version}", file=file, PYTHON_IMAGE="localhost/myriad-base:test")
    with engine.serving():
        yield engine


@pytest.fixture(scope="module")
def stack(engine, home):
    """The stack, at first of the image of the commit before."""
    stack = Project(engine, home, stack_variables(), COMPOSE)
    try:
        stack.compose("down", "--volumes", "--timeout", "1")
        stack.up("former")
        stack.finished("deploy")
        yield stack
    finally:
        (SCRATCH / "stack.log").write_text(stack.compose("logs", "--no-color", check=False))
        stack.compose("down", "--volumes", "--timeout", "1", check=False)


@pytest.fixture(scope="module")
def expected(home):
    """The tables that the embedded set-up makes of the same files, by fleet."""
    for fleet in FLEETS:
        myriad(home, "run", f"fleets/{fleet}.yaml")
    return {fleet: tables_below(home / "var/lake" / fleet) for fleet in FLEETS}


@pytest.fixture(scope="module")
def client(stack):
    """A client of the gateway, with a key made by the former version."""
    made = stack.run("gateway", "myriad", "keys", "create", "app", "--scope", "score", "--scope", "operate", "--json")
    headers = {"Authorization": f"Bearer {json.loads(made)['key']}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.variables['GATEWAY_PORT']}", headers=headers) as client:
        yield client


def pipeline(stack, fleet):
    """Run the pipeline's deployment; returns the state it ended in."""
    said = stack.run("prefect-worker", "prefect", "deployment", "run", f"pipeline/{fleet}", "--watch", check=False)
    return "COMPLETED" if re.search(r"finished .*'Completed'", said) else said


def tables(stack, fleet, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, stack.variables[name])
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{stack.variables['S3_PORT']}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return tables_in("s3://myriad/lake", fleet)


def assert_same_predictions(found, expected):
    """All tables have the same rows, and predictions are the same but for rounding; shows what is apart."""
    lines = differences(found, expected, ELSEWHERE)
    print("\napart from the embedded set-up:", *(lines or ["nothing"]), sep="\n  ")
    assert all("other values in" in line for line in lines)  # No rows and no columns are missing.
    keys = ["segment", "time", "row_key", "step"]
    one, other = (tables["predictions"].sort_values(keys, ignore_index=True) for tables in (found, expected))
    assert one[keys].equals(other[keys])
    gap = (one["prediction"] - other["prediction"]).abs() / other["prediction"].abs().clip(lower=1.0)
    print(f"  predictions: {(gap > 0).mean():.2%} differ, at most by {gap.max():.2g} of their size")
    assert (gap > ROUNDING).mean() < 0.001


def test_the_image_is_lean_and_tells_its_commands(engine):
    size = engine.size_mb("myriad:now")
    print(f"\nimage: {size:,.0f} MB, of which the base {engine.size_mb('myriad-base:test'):,.0f} MB")
    assert size < LIMIT_MB
    said = engine.podman("run", "--rm", "--read-only", "--network=none", "myriad:now")
    assert "Traceback" not in said
    assert "promote" in said


def test_the_former_image_makes_the_tables_of_the_embedded_set_up(stack, client, expected, monkeypatch):
    assert pipeline(stack, "m3") == "COMPLETED"
    assert_same_predictions(tables(stack, "m3", monkeypatch), expected["m3"])
    definition = {"deployments": {"main": {"fleet": "m3"}}, "default": "main"}
    put = client.put("/v1/batch/m3", json=definition)
    assert put.status_code == 200, put.text


def test_after_the_upgrade_nothing_is_trained_again_and_keys_and_endpoints_hold(stack, client, monkeypatch):
    before = tables(stack, "m3", monkeypatch)
    seconds = stack.up("now")
    stack.finished("deploy")
    print(f"\nupgraded in {seconds:.0f} s")
    assert {stack.image(kind) for kind in KINDS} == {"myriad:now", "myriad-postgres:test", "myriad-s3:test"}
    assert client.get("/v1/batch/m3").json()["deployments"]["main"]["fleet"] == "m3"
    assert pipeline(stack, "m3") == "COMPLETED"
    after = tables(stack, "m3", monkeypatch)
    assert after["champions"].equals(before["champions"])
    newest = after["outcomes"][after["outcomes"]["run_id"] == after["outcomes"]["run_id"].max()]
    assert set(newest["outcome"]) == {"reused"}
    assert len(after["predictions"]) == len(before["predictions"])


def test_a_container_of_each_kind_is_killed_and_the_tables_are_those_of_an_undisturbed_run(
    stack, client, expected, monkeypatch
):
    began = time.monotonic()
    for kind in KINDS:
        running = stack.begin("prefect-worker", "prefect", "deployment", "run", "pipeline/flights", "--watch")
        time.sleep(8)
        stack.kill(kind)
        stack.healthy(kind)
        running.communicate(timeout=300)
        print(f"killed {kind} after {time.monotonic() - began:.0f} s")
    stack.healthy(*KINDS)
    # Until Prefect's server misses the run that died with its worker, it cancels others.
    said = pipeline(stack, "flights")
    while said != "COMPLETED":
        assert time.monotonic() < began + 1200, said
        time.sleep(10)
        said = pipeline(stack, "flights")
    print(f"completed after {time.monotonic() - began:.0f} s")
    assert_same_predictions(tables(stack, "flights", monkeypatch), expected["flights"])
    assert client.get("/v1/batch/m3").status_code == 200


def test_doctor_finds_nothing_wrong_in_the_containers(stack):
    said = stack.run("prefect-worker", "myriad", "doctor", "--json")
    assert [check for check in json.loads(said) if check["verdict"] == "failed"] == []


def test_containers_do_not_reach_what_they_need_not(stack):
    """Of the networks: a worker has no way to the databases, the gateway none to the registry."""
    probe = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    postgres, mlflow = stack.variables["POSTGRES_PORT"], stack.variables["MLFLOW_PORT"]
    for kind, host, port in (("dask-workers", "postgres", postgres), ("gateway", "mlflow", mlflow)):
        said = stack.run(kind, "python", "-c", probe, host, port, check=False)
        assert "Error" in said or "error" in said, (kind, host)
    assert "Error" not in stack.run("prefect-worker", "python", "-c", probe, "postgres", postgres, check=False)
