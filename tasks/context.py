"""The run and its workers, which all coordinating tasks share."""

from adapters.compute.workers import Workers
from adapters.lake.table import Table
from domain.config.fleet import Fleet
from domain.data.tables import TableSpec
from tasks.workers.run_context import RunContext

__all__ = ["Run"]


class Run:
    """One run of a fleet: its workers, and the context that they receive.

    Not a dataclass: Prefect walks through dataclasses among a task's parameters and would rebuild it.
    """

    def __init__(self, context: RunContext, workers: Workers) -> None:
        self.context = context
        self.workers = workers

    @property
    def fleet(self) -> Fleet:
        return self.context.fleet

    def table(self, spec: TableSpec) -> Table:
        return self.context.table(spec)

    def at_snapshot(self, *specs: TableSpec) -> "Run":
        """Return the run with these tables read as they are now; its commits still apply to the newest version."""
        return Run(self.context.at_snapshot(*specs), self.workers)
