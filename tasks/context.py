"""What the coordinating tasks share: the run and its workers."""

from adapters.compute.dask import Workers
from adapters.lake.table import Table
from domain.config.fleet import Fleet
from domain.data.tables import TableSpec
from tasks.workers.run_context import RunContext

__all__ = ["Run"]


class Run:
    """One run of a fleet: what workers are told, and the workers.

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
        """The same run, which reads these tables as they are now; its commits apply to the newest version."""
        return Run(self.context.at_snapshot(*specs), self.workers)
