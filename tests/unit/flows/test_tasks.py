import importlib
import pkgutil
from types import SimpleNamespace

import pytest
from prefect import flow
from prefect.cache_policies import NO_CACHE

import flows
from flows.tasks import StageTask, as_task, flow_name

NAMES = {
    "ingest files",
    "partition observations",
    "estimate training",
    "train challengers",
    "record in MLflow",
    "register challengers",
    "promote challengers",
    "restore release",
    "sync aliases",
    "pin segment",
    "unpin segment",
    "score fleet",
    "account for inputs",
    "deliver output",
    "deliver to sink",
    "measure accuracy",
    "evaluate predictions",
    "write report",
    "maintain fleet",
    "sync registry",
}


@pytest.fixture(scope="module")
def declared():
    modules = [importlib.import_module(module.name) for module in pkgutil.walk_packages(flows.__path__, "flows.")]
    return [value for module in modules for value in vars(module).values() if isinstance(value, StageTask)]


def test_task_names_are_those_that_people_know_from_prefect(declared):
    assert {task.name for task in declared} == NAMES


def test_no_task_caches_or_retries(declared):
    assert all((task.prefect_task.cache_policy, task.prefect_task.retries) == (NO_CACHE, 0) for task in declared)


def test_ingest_runs_are_named_by_their_role(declared):
    assert {task.prefect_task.task_run_name for task in declared if task.name == "ingest files"} == {"ingest {role}"}


def test_a_task_outside_a_flow_is_the_plain_function():
    def add_numbers(first, second):
        return first + second, flow_name()

    task = as_task(add_numbers)
    assert (task.name, task(1, 2)) == ("add numbers", (3, None))


def test_a_task_within_a_flow_is_a_task_of_prefect(monkeypatch):
    def add_numbers(first, second):
        return first + second

    task = as_task(add_numbers)
    monkeypatch.setattr(task, "prefect_task", lambda first, second: f"recorded {first} {second}")

    @flow(name="adding")
    def adding():
        return flow_name(), task(1, 2)

    monkeypatch.setattr("prefect.context.FlowRunContext.get", lambda: None)
    assert task(1, 2) == 3
    monkeypatch.setattr("prefect.context.FlowRunContext.get", lambda: SimpleNamespace(flow=adding))
    assert adding.fn() == ("adding", "recorded 1 2")
