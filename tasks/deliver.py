"""Deliver predictions to the fleet's sink, a table in a database of the user's."""

import logging

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from adapters.compute.progress import Progress, emit
from adapters.databases.address import DatabaseAddress, resolve_address
from adapters.databases.connection import TableName, open_database
from adapters.databases.delivery import Delivery, deliver
from adapters.queries.predictions_by_job import PredictionsByJob
from domain.config.database import Sink
from domain.data.tables import PREDICTIONS
from domain.errors import DatabaseBusyError, DatabaseError, LakeError
from tasks.context import Run

__all__ = ["deliver_predictions"]

_ATTEMPTS = 4
_PATIENCE_S = 600.0
"""As long as one attempt waits for a lock: after that, there is no other."""
_LOG = logging.getLogger(__name__)


def deliver_predictions(run: Run) -> Delivery | None:
    """Write to the sink what it lacks of the committed predictions; None without a sink or predictions.

    Raises
    ------
    DatabaseError
        The database refused, also after retries. The predictions stay committed; the next delivery, of this or any
        other job of the fleet, writes what is missing.
    """
    fleet = run.fleet
    if fleet.sink is None or run.table(PREDICTIONS).version() < 0:
        return None
    try:
        address = resolve_address(fleet.sink.url, run.context.home, "sink.url")
        delivery = _delivered(run, fleet.sink, address)
    except (DatabaseError, LakeError) as exc:
        raise DatabaseError(
            # Clients of the gateway see the first line alone; the cause names servers.
            f"fleet {fleet.name}: the predictions are committed, but the sink lacks some of them; the next job "
            f"delivers them, or a repeated `myriad score {fleet.name}`\n{exc}"
        ) from None
    emit(Progress("deliver", delivery.jobs, delivery.jobs, f"{delivery.rows:,} rows to {delivery.target}"))
    return delivery


def _delivered(run: Run, sink: Sink, address: DatabaseAddress) -> Delivery:
    fleet, table = run.fleet, TableName.parse(sink.table_of(run.fleet.name))
    attempts = Retrying(
        retry=retry_if_exception_type(DatabaseBusyError),
        stop=stop_after_attempt(_ATTEMPTS) | stop_after_delay(_PATIENCE_S),
        wait=wait_random_exponential(multiplier=1, max=10),
        before_sleep=_log_retry,
        reraise=True,
    )
    for attempt in attempts:
        with attempt, open_database(address) as database:
            return deliver(
                database, table, fleet.name, run.context.run_id, lambda: PredictionsByJob(run.context.lake, fleet)
            )
    raise AssertionError("unreachable")


def _log_retry(state: RetryCallState) -> None:
    reason = state.outcome.exception() if state.outcome else None
    _LOG.warning("the sink is not reached at attempt %d: %s", state.attempt_number, reason)
