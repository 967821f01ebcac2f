"""What stages and operations of a fleet do, as functions of a session: the same within a flow and without Prefect."""

from collections.abc import Sequence
from dataclasses import replace

from domain.errors import RequestError
from flows.events import publish_pin, publish_release
from flows.session import Session
from flows.tasks import as_task
from models.promotion.releases import PinSummary
from tasks.accuracy import AccuracySummary, measure_accuracy
from tasks.ingest import IngestReceipt, ingest_files
from tasks.partition import PartitionSummary, partition_observations
from tasks.pin import pin_segment, unpin_segment
from tasks.promote import PromoteSummary, current_release, promote_challengers, restore_release, sync_aliases
from tasks.register import RegisterSummary, register_challengers
from tasks.score import ScoreSummary, past_moments, score_fleet
from tasks.train import TrainSummary, train_challengers

__all__ = [
    "accuracy",
    "backfill",
    "deliver",
    "ingest",
    "ingest_requests",
    "partition",
    "pin",
    "promote",
    "register",
    "rollback",
    "score",
    "score_job",
    "train",
    "unpin",
]

_ingest = as_task(ingest_files, run_name="ingest {role}")
_partition = as_task(partition_observations)
_train, _register = as_task(train_challengers), as_task(register_challengers)
_promote, _restore = as_task(promote_challengers), as_task(restore_release)
_pin, _unpin = as_task(pin_segment), as_task(unpin_segment)
_sync_aliases = as_task(sync_aliases)
_score = as_task(score_fleet)
_measure = as_task(measure_accuracy)


def ingest(session: Session) -> IngestReceipt:
    """Land the raw files and the scoring input; return the receipt of the raw files."""
    run = session.run
    receipt = _ingest(run, "observations", run.fleet.source)
    if run.fleet.score is not None:
        _ingest(run, "requests", run.fleet.score.source)
    return receipt


def partition(session: Session) -> PartitionSummary:
    """Partition the landed rows."""
    return _partition(session.run)


def train(session: Session) -> TrainSummary:
    """Train the segments that need it."""
    return _train(session.run)


def register(session: Session) -> RegisterSummary:
    """Register the challengers."""
    return _register(session.run, session.registry, only_look=session.looks)


def promote(session: Session) -> PromoteSummary:
    """Judge the challengers, release those that pass, and publish the release."""
    return _released(session, _promote(session.run, only_look=session.looks))


def rollback(session: Session, to: int) -> PromoteSummary:
    """Release the champions of release `to` again, and publish the release."""
    return _released(session, _restore(session.run, to, session.registry))


def _released(session: Session, summary: PromoteSummary) -> PromoteSummary:
    _sync_aliases(session.run, session.registry)
    publish_release(session, summary)
    return summary


def pin(session: Session, segment: str, version: int) -> PinSummary:
    """Pin a segment to a version of its model, and publish the release."""
    return _pinned(session, _pin(session.run, session.registry, segment, version))


def unpin(session: Session, segment: str) -> PinSummary:
    """End the pin of a segment, and publish the release."""
    return _pinned(session, _unpin(session.run, segment))


def _pinned(session: Session, summary: PinSummary) -> PinSummary:
    _sync_aliases(session.run, session.registry)
    publish_pin(session, summary)
    return summary


def ingest_requests(session: Session, inputs: Sequence[str] | None = None, max_rejected_share: float = 1.0) -> None:
    """Land the scoring input. Raises RequestError for inputs of a fleet that takes none."""
    rule = session.run.fleet.score
    if rule is not None:
        _ingest(session.run, "requests", rule.source, inputs, max_rejected_share)
    elif inputs:
        raise RequestError(f"fleet {session.run.fleet.name}: takes no scoring input; its file has no `score.source`")


def score(
    session: Session,
    release: int | None = None,
    as_of: str | None = None,
    inputs: Sequence[str] | None = None,
    *,
    deliver_to_sink: bool = True,
) -> ScoreSummary:
    """Ingest the scoring input, score, and deliver to the sink."""
    summary = score_job(session, release, as_of, inputs)
    return deliver(session, summary) if deliver_to_sink else summary


def score_job(
    session: Session,
    release: int | None = None,
    as_of: str | None = None,
    inputs: Sequence[str] | None = None,
    max_rejected_share: float = 1.0,
) -> ScoreSummary:
    """Ingest the scoring input and score."""
    moment = past_moments(session.run, as_of)[0] if as_of else None
    ingest_requests(session, inputs, max_rejected_share)
    return _score(session.run, release, moment)


def backfill(session: Session, first: str, last: str, release: int | None = None) -> list[ScoreSummary]:
    """Forecast as of the end of every period from the first date to the last, with one release."""
    moments = past_moments(session.run, first, last)
    ingest_requests(session)
    # All jobs use one release, whatever is promoted meanwhile.
    pinned = release if release is not None else current_release(session.run) or None
    return [_score(session.run, pinned, moment) for moment in moments]


def deliver(session: Session, summary: ScoreSummary) -> ScoreSummary:
    """Write new predictions to the fleet's sink, if it has one."""
    if not session.run.fleet.sink:
        return summary
    from flows.bodies.sink import to_sink

    return replace(summary, delivery=to_sink(session.run))


def accuracy(session: Session) -> AccuracySummary:
    """Join predictions with observations."""
    return _measure(session.run)
