"""Task types: what a fleet predicts, as one strategy per type.

A task type states its facts and its rules here; what only an upper layer can do for it, such as training, is bound to
its name there, in a `TaskBindings`. A task type that lacks a binding is refused by name, never treated as another one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from domain.errors import FleetError

if TYPE_CHECKING:
    from domain.config.fleet import Fleet

__all__ = ["TASK_TYPES", "ForecastTask", "RegressionTask", "TaskBindings", "TaskType", "task_type"]

T = TypeVar("T")


class TaskType(ABC):
    """One kind of prediction problem.

    Attributes
    ----------
    name : value of `task` in the fleet file.
    summary : what is predicted, in a few words.
    periodic : whether a segment is a series with one row per period, whose next `horizon` periods are predicted; if
        not, every row of the scoring input is predicted once.
    outcome : plural of what scoring makes.
    absolute_loss : whether LightGBM minimises absolute errors where the fleet's metric is made of them.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    periodic: ClassVar[bool]
    outcome: ClassVar[str]
    absolute_loss: ClassVar[bool]

    @abstractmethod
    def contradictions(self, fleet: Fleet) -> Iterator[str]:
        """Yield what the fleet file lacks or must not have for this task, each as `key: problem and way out`."""


class ForecastTask(TaskType):
    """Future values of one series per segment."""

    name, summary = "forecast", "future values of a series"
    periodic, outcome, absolute_loss = True, "forecasts", False

    def contradictions(self, fleet: Fleet) -> Iterator[str]:
        if fleet.time is None:
            yield "time: task forecast needs it; give {column: ..., frequency: ...}"
        if fleet.horizon is None:
            yield "horizon: task forecast needs it; give a whole number of periods, at least 1"
        if fleet.row_key:
            yield "row_key: task forecast has none; rows are identified by segment and time"


class RegressionTask(TaskType):
    """One number per row, from the other columns of the row."""

    name, summary = "regression", "a number per row"
    periodic, outcome, absolute_loss = False, "predictions", True

    def contradictions(self, fleet: Fleet) -> Iterator[str]:
        if fleet.horizon is not None:
            yield f"horizon: {fleet.horizon} is not allowed; task regression has none; remove it or use task: forecast"
        if not (fleet.features.numeric or fleet.features.categorical):
            yield "features: task regression needs at least one of known, static or categorical"


TASK_TYPES: dict[str, TaskType] = {kind.name: kind for kind in (ForecastTask(), RegressionTask())}
"""Every task type by name, in the order in which messages and documents list them."""


def task_type(name: str) -> TaskType:
    """Return the task type of a name, as fleet files and stored models spell it.

    Raises
    ------
    FleetError
        If there is no such task type.
    """
    if name not in TASK_TYPES:
        raise FleetError(f"task: {name!r} is not a task type; choose one of {', '.join(TASK_TYPES)}")
    return TASK_TYPES[name]


class TaskBindings(Generic[T]):
    """One layer's implementation per task type, such as its trainer, by the name of the task type."""

    every: ClassVar[list[TaskBindings[object]]] = []
    """All bindings of the modules imported so far; a test compares them with the task types."""

    def __init__(self, role: str, bindings: Mapping[str, T]) -> None:
        """role : what is bound, as messages name it."""
        self.role, self._bindings = role, dict(bindings)
        TaskBindings.every.append(self)  # type: ignore[arg-type]

    def __getitem__(self, name: str) -> T:
        if name not in self._bindings:
            raise FleetError(f"task {name}: it has no {self.role}; task types with one: {', '.join(self._bindings)}")
        return self._bindings[name]

    @property
    def names(self) -> frozenset[str]:
        """Names of the task types that have one."""
        return frozenset(self._bindings)
