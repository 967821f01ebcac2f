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

    def __init__(self, job: RunContext, workers: Workers) -> None:
        self.job = job
        self.workers = workers

    @property
    def fleet(self) -> Fleet:
        return self.job.fleet

    def table(self, spec: TableSpec) -> Table:
        return self.job.table(spec)

    def pinned(self, *specs: TableSpec) -> "Run":
        """The same run, which sees these tables as they are now; what it commits is judged by the newest."""
        return Run(self.job.pinned(*specs), self.workers)
