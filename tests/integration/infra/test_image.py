"""The image: what infra/Dockerfile would copy, set and run; without an engine, but for steps that can be run here."""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from dockerfile import Ignored, copy_context, read_dockerfile

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
CODE = ("domain", "models", "adapters", "tasks", "flows", "serving", "cli", "myriad")
QUIET = {
    "MYRIAD_HOME": "/srv/myriad",
    "PYTHONUNBUFFERED": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


@pytest.fixture(scope="module")
def stages():
    return read_dockerfile(ROOT / "infra" / "Dockerfile")


@pytest.fixture(scope="module")
def ignored():
    return Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))


def files_below(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_both_stages_start_from_one_base_that_is_pinned_by_digest(stages):
    assert [stage.name for stage in stages] == ["build", ""]
    assert len({stage.base for stage in stages}) == 1
    assert PINNED.fullmatch(stages[0].base)
    assert "python:3.11." in stages[0].base
    assert "slim-bookworm" in stages[0].base


def test_packages_are_installed_from_the_locks_and_their_hashes_alone(stages):
    commands = [each.strip() for text in stages[0].texts("RUN") for each in text.split("&&") if "pip install" in each]
    locked, ours = commands[:-1], commands[-1]
    assert [each.split()[-1] for each in locked] == ["requirements/build.lock", "requirements/runtime.lock"]
    assert all("--require-hashes" in each for each in locked)
    assert all("--only-binary=:all:" in each for each in locked)
    assert ours.endswith("pip install --no-deps --no-build-isolation .")
    assert not any("pip install" in text for text in stages[-1].texts("RUN"))


def test_processes_run_as_a_fixed_user_without_rights(stages):
    last = stages[-1]
    assert [name for name, _ in last.steps].index("USER") > max(
        place for place, (name, _) in enumerate(last.steps) if name in ("RUN", "COPY")
    )
    assert last.texts("USER") == ["10001:10001"]
    made = " ".join(last.texts("RUN"))
    assert "groupadd --gid 10001 " in made
    assert "useradd --uid 10001 --gid 10001 " in made


def test_environment_has_what_is_promised_and_no_secret(stages):
    given = stages[-1].environment()
    assert QUIET.items() <= given.items()
    assert given["PATH"].startswith("/opt/venv/bin:")
    # Prefect's server writes the files of its UI when it starts, by default beside its code.
    assert given["PREFECT_SERVER_UI_STATIC_DIRECTORY"].startswith(f"{given['HOME']}/")
    assert not [name for name in given if re.search("PASSWORD|SECRET|KEY|TOKEN|AUTH", name)]
    assert not any(stage.texts("ARG") for stage in stages)


def test_nothing_but_the_product_reaches_the_engine(ignored):
    inside = ["cli/main.py", "prefect.yaml", "domain/config/fleet.py", "domain/reporting/templates/report.css"]
    inside += ["infra/mlflow/auth.ini"]
    outside = [".env", "var/lake/x", ".venv/bin/python", ".git/config", "tests/conftest.py", "benchmarks/__main__.py"]
    outside += ["models/__pycache__/fleet.cpython-311.pyc", "fleets/.env", "infra/k8s/README.md", "docs/fleet.md"]
    assert [path for path in inside if ignored(path)] == []
    assert [path for path in outside if not ignored(path)] == []


def test_all_code_of_the_tree_is_in_the_image(stages, ignored, tmp_path):
    copy_context(stages[-1], ROOT, ignored, tmp_path)
    expected = {f"{name}/{file}" for name in (*CODE, "fleets") for file in files_below(ROOT / name)}
    assert files_below(tmp_path) == expected | {"prefect.yaml", "infra/mlflow/auth.ini"}


def test_what_is_copied_can_be_imported_and_is_what_is_imported(stages, ignored, tmp_path):
    copy_context(stages[-1], ROOT, ignored, tmp_path)
    code = "import cli.app, flows.pipeline, myriad, sys\nfor name in sys.argv[1:]: print(sys.modules[name].__file__)"
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "HOME": str(tmp_path / "var"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    asked = [
        sys.executable,
        "-c",
        code,
        "models",
        "adapters",
        "tasks",
        "flows",
        "cli.options",
        "flows.pipeline",
        "myriad",
    ]
    told = subprocess.run(asked, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert all(Path(line).is_relative_to(tmp_path) for line in told.stdout.split()), told.stdout


def test_the_build_step_makes_a_wheel_with_all_code_and_the_command(stages, ignored, tmp_path):
    context, out = tmp_path / "build", tmp_path / "out"
    copy_context(stages[0], ROOT, ignored, context)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, "."],
        cwd=context,
        check=True,
    )
    (wheel,) = out.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert b"myriad = cli.main:main" in archive.read(entry_points)
    assert names == {f"{name}/{file}" for name in CODE for file in files_below(ROOT / name)}


def test_trimming_keeps_all_packages_and_names_nothing_that_is_gone():
    spec = importlib.util.spec_from_file_location("trim", ROOT / "infra" / "trim.py")
    trim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(trim)
    assert trim.PACKAGES == CODE
    kept = {"hatchling", "editables", "wheel", "pkg_resources"}  # Of builds: not in every environment.
    gone = [pattern for pattern in trim.UNUSED if not any(trim.SITE.glob(pattern))]
    assert [pattern for pattern in gone if pattern.partition("-")[0] not in kept] == []


def test_volumes_of_the_compose_file_are_folders_that_the_user_may_write(stages):
    made = {
        (owner, folder)
        for owner, folders in re.findall(r"install -d -o (\d+) -g \d+ ([^&]*)", " ".join(stages[-1].texts("RUN")))
        for folder in folders.split()
    }
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    ours = [service for service in compose["services"].values() if "build" in service]
    named = set()
    for service in ours:
        user = service.get("user", "10001:10001").partition(":")[0]
        mounts = [volume.split(":") for volume in service.get("volumes", [])]
        named |= {(user, target) for source, target, *mode in mounts if not source.startswith(".") and mode != ["ro"]}
    assert named
    assert named <= made


def test_files_that_services_are_told_of_are_in_the_image(stages, ignored, tmp_path):
    copy_context(stages[-1], ROOT, ignored, tmp_path)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    told = compose["services"]["mlflow"]["environment"]["MLFLOW_AUTH_CONFIG_PATH"]
    assert (tmp_path / Path(told).relative_to("/srv/myriad")).is_file()
