"""Plain functions of `tasks` as Prefect tasks: they appear in the run's graph, with their state and duration."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from prefect import Task

__all__ = ["StageTask", "as_task", "flow_name"]

P = ParamSpec("P")
R = TypeVar("R")


def flow_name() -> str | None:
    """Return the name of the flow that is running here; None outside a flow, without importing Prefect."""
    # Within a flow, Prefect has been imported; outside, the import would take seconds.
    context: Any = sys.modules.get("prefect.context")
    run = context.FlowRunContext.get() if context is not None else None
    return str(run.flow.name) if run is not None and run.flow is not None else None


class StageTask(Generic[P, R]):
    """A function that is a Prefect task within a flow, and itself elsewhere."""

    def __init__(self, function: Callable[P, R], name: str, run_name: str | None) -> None:
        self.fn, self.name, self._run_name = function, name, run_name

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> R:
        return self.prefect_task(*arguments, **options) if flow_name() else self.fn(*arguments, **options)

    @cached_property
    def prefect_task(self) -> "Task[P, R]":
        """The task; the state of a stage is in its tables, so Prefect caches no result."""
        from prefect import task
        from prefect.cache_policies import NO_CACHE

        return task(name=self.name, task_run_name=self._run_name, cache_policy=NO_CACHE)(self.fn)


def as_task(function: Callable[P, R], name: str = "", *, run_name: str | None = None) -> StageTask[P, R]:
    """Wrap a function of `tasks`.

    Parameters
    ----------
    name : by default the function's name, with spaces.
    run_name : template of the task run's name over the function's parameters, such as ``ingest {role}``.
    """
    return StageTask(function, name or function.__name__.replace("_", " "), run_name)
