"""Commands with nothing to do, or next to nothing: in this process, without Prefect and without workers.

A command first looks whether there is work, with the functions that would do it and workers that refuse to. What has
been written by then is what a repeated run of the same id writes again. Only where there is work are Prefect and the
workers started, which takes longer than the look.
"""

from collections.abc import Callable
from typing import TypeVar

from adapters.compute.workers import LookingWorkers, WorkPendingError
from domain.data.tables import SEGMENTS
from flows.session import Session, open_session

__all__ = ["run_in_process"]

R = TypeVar("R")
_SMALL_SEGMENTS = 2_000
"""Segments up to which this process reads all models of a fleet itself, faster than workers could be started."""


def run_in_process(
    body: Callable[[Session], R],
    fleet: str,
    lake: str | None,
    run_id: str | None = None,
    *,
    exclusive: bool = False,
    small: frozenset[str] = frozenset(),
    part: str | None = None,
) -> R | None:
    """Run a step of a fleet here; None if there is work for workers.

    small : stages that this process does itself; a larger fleet leaves all of the step to workers.
    part : pattern of the segments to train.
    """
    pool = LookingWorkers()
    try:
        with open_session(fleet, lake, run_id, exclusive=exclusive, pool=pool, part=part) as session:
            if small and _segments(session) > _SMALL_SEGMENTS:
                return None
            pool.small = small
            return body(session)
    except WorkPendingError:
        return None


def _segments(session: Session) -> int:
    return sum(file.rows for file in session.run.table(SEGMENTS).files())
