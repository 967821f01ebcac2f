"""Layout: small folders, tests that mirror packages, homes of libraries, and pure layers without I/O."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("domain", "models", "adapters", "tasks", "flows", "serving", "cli", "myriad")
MAX_MODULES = 25

# Packages whose tests need servers or processes and therefore live in another place.
MIRRORED_ELSEWHERE = {
    "adapters/gateway/migrations/versions": "tests/unit/adapters/gateway",
    "adapters/health": "tests/integration/health",
    "cli/commands": "tests/unit/cli",
}

# Where each library may be imported: a folder, with what is below it, or a module.
HOMES = {
    "adbc_driver_manager": ("adapters/databases",),
    "adbc_driver_postgresql": ("adapters/databases",),
    "alembic": ("adapters/gateway", "adapters/registry"),
    "boto3": ("adapters/lake",),
    "botocore": ("adapters/lake",),
    "dask": (
        "adapters/compute",
        "adapters/health/probes.py",  # Reads a memory limit as Dask's workers do.
        "adapters/orchestration/warm_process.py",  # Refreshes the settings of a run.
        "adapters/settings.py",  # Validates sizes and times as Dask reads them.
    ),
    "deltalake": ("adapters/lake",),
    "duckdb": ("adapters/databases",),
    "distributed": ("adapters/compute",),
    "fastapi": ("serving",),
    "fsspec": ("adapters/lake",),
    "httpx": (
        "adapters/gateway",
        "adapters/health",
        "adapters/orchestration",
        "flows/failures.py",  # Translates a Prefect server that is away into a message.
        "myriad/gateway",
    ),
    "jwt": ("adapters/gateway",),
    "lightgbm": ("models/regressors",),
    "mlflow": ("adapters/registry",),
    "onnxruntime": ("models/onnx_graphs/runtime.py",),
    "prefect": ("adapters/orchestration", "flows"),
    "requests": (),
    "rich": ("cli",),
    "s3fs": ("adapters/lake",),
    "skl2onnx": ("models/regressors",),
    "sklearn": ("models/regressors",),
    "sqlalchemy": ("adapters/gateway", "adapters/registry"),
    "starlette": ("serving", "adapters/orchestration/prefect_server.py"),
    "typer": ("cli",),
    "uvicorn": ("cli/commands/gateway.py", "serving", "adapters/orchestration/prefect_server.py"),
}

# What `domain` and `models` must not use: arrays and values come in, arrays and values go out.
IO_MODULES = frozenset(
    [
        "asyncio",
        "ftplib",
        "http",
        "multiprocessing",
        "os",
        "pathlib",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "urllib.request",
    ]
)
IO_METHODS = frozenset(["mkdir", "read_bytes", "read_text", "rmdir", "touch", "unlink", "write_bytes", "write_text"])
CLOCKS = frozenset(
    [
        "date.today",
        "datetime.now",
        "datetime.today",
        "datetime.utcnow",
        "time.monotonic",
        "time.perf_counter",
        "time.sleep",
        "time.time",
    ]
)
# Every exception, with its reason. Report page and fleet file also load templates packaged beside them, through jinja2.
IO_ALLOWED = {
    ("domain/data/jsonable.py", "pathlib"),  # PurePath, the type of a value.
    ("models/onnx_graphs/runtime.py", "time.perf_counter"),  # The latency of a graph is a gate of its own.
}


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def packages() -> list[str]:
    """Folders that hold a module besides `__init__.py`."""
    folders = {path.parent for path in modules(*LAYERS) if path.name != "__init__.py"}
    return sorted(folder.relative_to(ROOT).as_posix() for folder in folders)


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def effects(source: str) -> set[str]:
    """Names of modules, methods and clocks in a module's source that stand for input, output or the time of day."""
    tree = ast.parse(source)
    names = {
        name
        for imported in imports(tree)
        for name in IO_MODULES | CLOCKS
        if imported == name or imported.startswith(f"{name}.")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "open" and isinstance(node.ctx, ast.Load):
            names.add("open")
        elif isinstance(node, ast.Attribute):
            if node.attr in IO_METHODS:
                names.add(node.attr)
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if f"{owner}.{node.attr}" in CLOCKS:
                names.add(f"{owner}.{node.attr}")
    return names


@pytest.mark.parametrize("package", packages())
def test_a_folder_holds_few_modules(package: str) -> None:
    names = [path.name for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"]
    assert len(names) <= MAX_MODULES, f"{package} holds {len(names)} modules: make rooms"


@pytest.mark.parametrize("package", packages())
def test_unit_tests_mirror_the_package(package: str) -> None:
    mirror = ROOT / MIRRORED_ELSEWHERE.get(package, f"tests/unit/{package}")
    assert any(mirror.rglob("test_*.py")), f"{package} has no tests in {mirror.relative_to(ROOT)}"


def test_exceptions_from_the_mirror_are_needed() -> None:
    assert set(MIRRORED_ELSEWHERE) <= set(packages())
    assert [package for package in MIRRORED_ELSEWHERE if any((ROOT / "tests/unit" / package).glob("test_*.py"))] == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_at_home_only(library: str) -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for path in modules(*LAYERS)
        if any(name.split(".")[0] == library for name in imports(ast.parse(path.read_text())))
    ]
    homes = HOMES[library]
    assert [user for user in users if not any(user == home or user.startswith(f"{home}/") for home in homes)] == []


def test_domain_and_models_do_no_io() -> None:
    uses = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in modules("domain", "models")
        for name in effects(path.read_text())
    }
    assert uses - IO_ALLOWED == set()
    assert IO_ALLOWED - uses == set(), "an exception that is no longer needed"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import os\nos.environ['A']", {"os"}),
        ("from os import environ", {"os"}),
        ("import urllib.request", {"urllib.request"}),
        ("from urllib import request", {"urllib.request"}),
        ("open('a')", {"open"}),
        ("path.write_text('a')", {"write_text"}),
        ("import datetime\ndatetime.datetime.now()", {"datetime.now"}),
        ("from datetime import datetime\ndatetime.now(UTC)", {"datetime.now"}),
        ("from time import monotonic", {"time.monotonic"}),
        ("import time\ntime.time()", {"time.time"}),
        ("from urllib.parse import quote\nfrom datetime import datetime\nmoment.timestamp()", set()),
    ],
)
def test_effects_are_seen(source: str, names: set[str]) -> None:
    assert effects(source) == names
