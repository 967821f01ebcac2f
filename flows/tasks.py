"""Plain functions of `tasks` as Prefect tasks: they appear in the run's graph, with their state and duration."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

__all__ = ["as_task"]

P = ParamSpec("P")
R = TypeVar("R")


def as_task(function: Callable[P, R], name: str = "", *, run_name: str | None = None) -> Task[P, R]:
    """Wrap a function of `tasks`; the state of a stage is in its tables, so Prefect caches no result.

    Parameters
    ----------
    name : by default the function's name, with spaces.
    run_name : template of the task run's name over the function's parameters, such as ``ingest {role}``.
    """
    shown = name or function.__name__.replace("_", " ")
    return task(name=shown, task_run_name=run_name, cache_policy=NO_CACHE)(function)
