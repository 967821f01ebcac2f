"""Read the predictions of single jobs, at one snapshot of the lake, with the columns that databases get."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from adapters.databases.tables import to_database_rows
from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Lake, Table
from domain.config.fleet import Fleet
from domain.data.tables import PREDICTIONS

__all__ = ["PredictionsByJob"]

_BATCH_ROWS = 65_536


class PredictionsByJob:
    """The predictions of a fleet at the moment of construction. See JobRows in adapters/databases/delivery.py."""

    def __init__(self, lake: Lake, fleet: Fleet) -> None:
        table = lake.table(fleet.name, PREDICTIONS)
        self._fleet, self.lake = fleet, table.identity()
        self._table: Table = lake.table(fleet.name, PREDICTIONS, table.snapshot())
        self.schema: pa.Schema = self._shaped(PREDICTIONS.schema.empty_table()).schema

    def counts(self) -> Mapping[str, int]:
        """Return the number of rows of every job."""
        counts: Counter[str] = Counter()
        for jobs in self._jobs_of_files.values():
            counts.update(jobs)
        return dict(sorted(counts.items()))

    def batches(self, jobs: Collection[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some jobs, in batches of bounded size."""
        chosen = set(jobs)
        condition = pc.field("job_id").isin(sorted(chosen))
        for file in self._files:
            held = self._jobs_of_files[file.path].keys()
            if held & chosen:
                rows = self._table.read_files([file], rows=None if held <= chosen else condition)
                yield from self._shaped(rows).cast(self.schema).combine_chunks().to_batches(_BATCH_ROWS)

    @cached_property
    def _files(self) -> list[StagedFile]:
        return sorted(self._table.files(), key=lambda file: (file.committed_ms, file.path))

    @cached_property
    def _jobs_of_files(self) -> Mapping[str, Mapping[str, int]]:
        """Rows of each job by file."""
        jobs = {}
        for file in self._files:
            column = self._table.read_files([file], ["job_id"])["job_id"]
            jobs[file.path] = {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()}
        return jobs

    def _shaped(self, rows: pa.Table) -> pa.Table:
        return to_database_rows(rows.drop_columns(["part"]), self._fleet.name, self._fleet.segment_by)
