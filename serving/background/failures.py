"""Isolate records from each other: the failure of one is logged and delays that one alone."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.errors import BusyError, ClusterError, GatewayError, LakeError, MyriadError, OrchestratorError, RecordError

__all__ = ["MOST_FAILURES", "Failures"]

MOST_FAILURES = 10
"""Attempts after which a record is given up, about a quarter of an hour after the first one."""
_LOG = logging.getLogger("myriad.gateway")
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
_LONGEST_OUTAGE_PAUSE = timedelta(seconds=30)
_OUTAGES = (LakeError, ClusterError, BusyError)
"""Errors of servers that come back: no record is given up for them."""


@dataclass(frozen=True)
class _Failed:
    attempts: int
    due_at: datetime


class Failures:
    """Failures in a row by record. They are in memory: another gateway, or a new process, tries again at once."""

    def __init__(self) -> None:
        self._failed: dict[str, _Failed] = {}

    def attempt(
        self, label: str, now: datetime, action: Callable[[], object], give_up: Callable[[str], object] | None = None
    ) -> None:
        """Run an action for a record, unless a pause after a failure has not ended.

        An unreachable Prefect server or database concerns all records, and is raised.

        Parameters
        ----------
        label : names the record in the log.
        give_up : called with the reason once the record has failed too often; without it, attempts go on for ever.
        """
        former = self._failed.get(label)
        if former is not None and now < former.due_at:
            return
        try:
            action()
        except RecordError as exc:
            self._note(label, now, exc, give_up)
        except (OrchestratorError, GatewayError):
            raise
        except Exception as exc:  # noqa: BLE001 - a defect in one must not stop all
            self._note(label, now, exc, give_up)
        else:
            self._failed.pop(label, None)

    def keep(self, labels: set[str]) -> None:
        """Forget the records that are not among these."""
        self._failed = {label: failed for label, failed in self._failed.items() if label in labels}

    def _note(self, label: str, now: datetime, exc: Exception, give_up: Callable[[str], object] | None) -> None:
        attempts = self._failed[label].attempts + 1 if label in self._failed else 1
        reason = _reason(exc)
        if give_up is not None and attempts >= MOST_FAILURES and not isinstance(exc, _OUTAGES):
            _LOG.error("%s: given up after %d attempts: %s", label, attempts, reason)
            self._failed.pop(label, None)
            give_up(reason)
            return
        longest = _LONGEST_OUTAGE_PAUSE if isinstance(exc, _OUTAGES) else _LONGEST_PAUSE
        pause = min(_FIRST_PAUSE * 2 ** min(attempts - 1, 20), longest)
        self._failed[label] = _Failed(attempts, now + pause)
        # The trace of a defect is worth its place once.
        trace = attempts == 1 and not isinstance(exc, MyriadError)
        _LOG.warning("%s: %s; looking again in %.0f s", label, reason, pause.total_seconds(), exc_info=trace)


def _reason(exc: Exception) -> str:
    text = (str(exc).strip().splitlines() or [""])[0][:400]
    return text if isinstance(exc, MyriadError) else f"{type(exc).__name__}: {text}"
