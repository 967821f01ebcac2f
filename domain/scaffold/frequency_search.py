"""The frequency at which almost every period has one row: a usual one, a multiple of it, or half months."""

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from domain.arrays import IntArray
from domain.calendar.ordinals import ordinals
from domain.config.frequency import frequency_rule
from domain.config.time_section import Time

__all__ = ["consecutive_frequency"]

_CONSECUTIVE = 0.9
_MULTIPLE = 0.98
_MANY_REPEATED = 0.02


def consecutive_frequency(
    codes: IntArray, instants: npt.NDArray[np.datetime64], finer: str, usual: str | None = None
) -> str | None:
    """Find a frequency at which rows of a segment nearly always fall in consecutive periods, such as 2W or 6h.

    Parameters
    ----------
    codes : segment of each row, of shape (n,).
    instants : time of each row in UTC, of shape (n,), none missing.
    finer : frequency that leaves every other period empty. usual : one to try first.
    """
    order = np.lexsort((instants, codes))
    inner, ordered = np.diff(codes[order]) == 0, instants[order]
    candidates = [usual] if usual is not None else []
    if not inner.any():
        return None
    for frequency in (*candidates, *_wider(ordered, inner, finer)):
        steps = _steps(ordered, inner, frequency)
        # Rows 15 days apart are half months for years.
        repeated = 0.0 if frequency_rule(frequency).unit == "half_month" else _MANY_REPEATED
        if np.mean(steps == 1) >= _CONSECUTIVE and np.mean(steps == 0) <= repeated:
            return frequency
    return None


def _steps(ordered: npt.NDArray[np.datetime64], inner: npt.NDArray[np.bool_], frequency: str) -> IntArray:
    """Periods from each row to the next one of its segment."""
    return np.diff(ordinals(ordered, Time(column="", frequency=frequency)))[inner]


def _wider(ordered: npt.NDArray[np.datetime64], inner: npt.NDArray[np.bool_], finer: str) -> Iterator[str]:
    """Multiples that rows follow, and for weeks the half months."""
    rule = frequency_rule(finer)
    for base in ("min",) if rule.is_clock else dict.fromkeys((finer, "D")):
        steps = _steps(ordered, inner, base)
        count = int(np.median(steps))
        if count < 2 or count <= rule.minutes:
            return
        multiple = _multiple(base, count)
        if multiple is not None and np.mean(steps % count == 0) >= _MULTIPLE:
            yield multiple
        if base == finer and rule.unit == "week" and count == 2:
            yield from ("SM", "SMS")


def _multiple(base: str, count: int) -> str | None:
    """Such as 4W for two of 2W, 6h for 360 of min and 2W for 14 of D; None where there is none."""
    for unit, wider, size in (("min", "h", 60), ("D", "W", 7)):
        if base == unit and count % size == 0:
            base, count = wider, count // size
    own = re.match(r"\d*", base)[0]  # type: ignore[index]
    try:
        return frequency_rule(f"{count * int(own or 1)}{base.removeprefix(own)}").text
    except ValueError:
        return None
