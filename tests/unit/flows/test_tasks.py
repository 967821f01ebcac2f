import importlib
import pkgutil

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE

import flows
from flows.tasks import as_task

NAMES = {
    "ingest files",
    "partition observations",
    "estimate training",
    "train challengers",
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
    modules = [importlib.import_module(f"flows.{module.name}") for module in pkgutil.iter_modules(flows.__path__)]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Task)]


def test_task_names_are_those_that_people_know_from_prefect(declared):
    assert {task.name for task in declared} == NAMES


def test_no_task_caches_or_retries(declared):
    assert all(task.cache_policy == NO_CACHE and task.retries == 0 for task in declared)


def test_ingest_runs_are_named_by_their_role(declared):
    assert {task.task_run_name for task in declared if task.name == "ingest files"} == {"ingest {role}"}


def test_as_task_runs_the_plain_function():
    def add_numbers(first, second):
        return first + second

    task = as_task(add_numbers)
    assert (task.name, task.fn(1, 2)) == ("add numbers", 3)
