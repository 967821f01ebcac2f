"""The hour that clocks repeat in autumn, told apart by the order of the rows: first in summer time, then in winter."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from domain.arrays import BoolArray, IntArray
from domain.config.time_section import Time

__all__ = ["repeats", "told_apart"]

Times = npt.NDArray[np.datetime64]


def repeats(wall: Times, zone: str) -> BoolArray:
    """Mask of the times on the wall that clocks of a zone show twice, of shape (n,); NaT is none."""
    index = pd.DatetimeIndex(wall)
    summer, winter = (
        index.tz_localize(zone, ambiguous=np.full(len(index), first), nonexistent="NaT") for first in (True, False)
    )
    return np.asarray((summer != winter) & summer.notna(), dtype=bool)


def told_apart(wall: Times, series: IntArray, time: Time) -> Times:
    """Return the instants in UTC of times that clocks repeat; NaT for all others, and where the order does not tell.

    A series that has such a time twice has it in summer time first, or last if its rows run backwards. A time that is
    there once, or more than twice, could be either.

    Parameters
    ----------
    wall : times on the wall of the fleet's zone, in the order of the rows, NaT where there is none, of shape (n,).
    series : code of each row's series, of shape (n,); rows of -1 have none.
    """
    instants = np.full(len(wall), np.datetime64("NaT", "us"))
    rows = np.flatnonzero((series >= 0) & ~np.isnat(wall))
    rows = rows[repeats(wall[rows], time.zone_name)] if len(rows) else rows
    if not len(rows):
        return instants
    frame = pd.DataFrame({"series": series[rows], "wall": wall[rows]})
    groups = frame.groupby(["series", "wall"], sort=False)["wall"]
    place, count = groups.cumcount().to_numpy(), groups.transform("size").to_numpy()
    first = (place == 0) != _runs_backwards(wall, series)[series[rows]]
    pairs = count == 2
    index = pd.DatetimeIndex(wall[rows][pairs]).tz_localize(time.zone_name, ambiguous=first[pairs])
    instants[rows[pairs]] = index.tz_convert("UTC").tz_localize(None).as_unit("us").to_numpy()
    return instants


def _runs_backwards(wall: Times, series: IntArray) -> BoolArray:
    """Mask of the series whose last row is earlier than their first, of shape (S,)."""
    known = np.flatnonzero((series >= 0) & ~np.isnat(wall))
    backwards = np.zeros(int(series.max(initial=-1)) + 1, dtype=bool)
    codes, first = np.unique(series[known], return_index=True)
    _, last = np.unique(series[known][::-1], return_index=True)
    backwards[codes] = wall[known[len(known) - 1 - last]] < wall[known[first]]
    return backwards
