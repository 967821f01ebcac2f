"""The inputs, the release and the point in time of a scoring job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from adapters.lake.staged_file import StagedFile
from models.inference.point_in_time import PointInTime

__all__ = ["ScoringRequest"]


@dataclass(frozen=True)
class ScoringRequest:
    """The inputs, the release and the point in time of a scoring job, fixed at its start.

    release : 0 where none is in force yet. inputs : ids of the scoring inputs that this job covers; ranks : input id ->
    place from the oldest to the newest. source : the input id of periods that no scoring input covers.
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

    @property
    def point_in_time(self) -> PointInTime:
        """The point in time that the job forecasts from."""
        return PointInTime(self.as_of, self.newest)
