"""The point in time that forecasts are made from."""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["PointInTime"]


@dataclass(frozen=True)
class PointInTime:
    """The point in time that forecasts are made from.

    as_of : a past moment; None for the newest rows. newest : time of the fleet's newest row, None where it has none.
    """

    as_of: datetime | None = None
    newest: datetime | None = None

    @property
    def reference(self) -> datetime | None:
        """The moment that the age of a segment's rows is measured from."""
        return self.as_of or self.newest

    def known(self, rows: pa.Table) -> pa.Table:
        """Rows up to the moment."""
        if self.as_of is None:
            return rows
        return rows.filter(pc.less_equal(rows["time"], pa.scalar(self.as_of, rows["time"].type)))

    def later(self, rows: pa.Table) -> pa.Table:
        """Rows after the moment; none where forecasts are made from the newest rows."""
        if self.as_of is None:
            return rows.slice(0, 0)
        return rows.filter(pc.greater(rows["time"], pa.scalar(self.as_of, rows["time"].type)))
