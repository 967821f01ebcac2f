"""Time zones: the clock on the wall at an instant, and the zones whose clocks change."""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from domain.config.time_section import Time

__all__ = ["has_clock_changes", "instants_of", "season_zone", "wall_times"]

Times = npt.NDArray[np.datetime64]
_YEARS = range(2000, 2038)
_MONTHS = (1, 4, 7, 10)


@lru_cache
def has_clock_changes(zone: str) -> bool:
    """Return True if clocks of the zone are set forward and back, as of the year 2000."""
    clock = ZoneInfo(zone)
    offsets = {datetime(year, month, 1, tzinfo=clock).utcoffset() for year in _YEARS for month in _MONTHS}
    return len(offsets) > 1


def season_zone(time: Time) -> str | None:
    """The zone by whose clock the hours of a season are counted; None where that makes no difference."""
    rule = time.rule
    if not rule.is_clock or rule.on_wall_clock or not has_clock_changes(time.zone_name):
        return None
    return time.zone_name


def wall_times(times: Times, zone: str) -> Times:
    """The clock on the wall of a zone at instants in UTC, both of shape (n,)."""
    if zone == "UTC":
        return times
    import pandas as pd  # Imported here, since most commands do without.

    local = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    return np.asarray(local.as_unit("us").to_numpy())


def instants_of(wall: Times, zone: str) -> Times:
    """Instants in UTC of times on the wall; the first of two, and the end of a gap where clocks skip the time."""
    if zone == "UTC":
        return wall
    import pandas as pd  # Imported here, since most commands do without.

    first = np.ones(wall.size, dtype=bool)
    local = pd.DatetimeIndex(wall.ravel()).tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return np.asarray(local.tz_convert("UTC").tz_localize(None).as_unit("us").to_numpy()).reshape(wall.shape)
