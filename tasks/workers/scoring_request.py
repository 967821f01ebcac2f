"""What a scoring job was pinned to at its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.table import StagedFile

__all__ = ["ScoringRequest"]


@dataclass(frozen=True)
class ScoringRequest:
    """What a scoring job was pinned to at its start.

    release : 0 where none is in force yet. inputs : ids of the scoring inputs that this job covers; ranks : input id ->
    place from the oldest to the newest. source : what forecasts without covariates came from.
    as_of : the past moment that the job forecasts from; None for the newest rows.
    newest : time of the fleet's newest row.
    """

    job_id: str
    release: int
    buckets: int
    requests: tuple[StagedFile, ...]
    inputs: tuple[str, ...]
    ranks: Mapping[str, int]
    source: str
    scored_at: datetime
    as_of: datetime | None = None
    newest: datetime | None = None

    def known(self, rows: pa.Table) -> pa.Table:
        """Rows up to the job's moment."""
        if self.as_of is None:
            return rows
        return rows.filter(pc.less_equal(rows["time"], pa.scalar(self.as_of, rows["time"].type)))

    def later(self, rows: pa.Table) -> pa.Table:
        """Rows after the job's moment; none for the newest rows."""
        if self.as_of is None:
            return rows.slice(0, 0)
        return rows.filter(pc.greater(rows["time"], pa.scalar(self.as_of, rows["time"].type)))
