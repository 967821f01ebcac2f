"""Scoring input and published actuals compared with the training data: common segments and periods."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from domain.calendar.ordinals import ordinals
from domain.checks.findings import Problem, Role, WindowFacts
from domain.checks.segments import SegmentRows
from domain.config.fleet import Fleet
from domain.reporting.formatting import format_percent

__all__ = ["window_facts", "window_problems"]

_ENOUGH = 0.95


def window_facts(accepted: pa.Table, training: SegmentRows, *, whole: bool) -> WindowFacts:
    """Count the segments and steps that the rows of a window have in common with the training data.

    accepted : valid rows of the window. whole : False leaves out the coverage, which a sample cannot show.
    """
    encoded = accepted["segment"].combine_chunks().dictionary_encode()
    keys = encoded.dictionary.to_pylist()
    indices = {key: index for index, key in enumerate(training.keys)}
    unseen = sum(key not in indices for key in keys)
    if not training.fleet.task_type.periodic or not whole:
        return WindowFacts(len(keys), unseen, None)
    trained = np.array([indices.get(key, -1) for key in keys], dtype=np.int64)
    segment = trained[encoded.indices.to_numpy(zero_copy_only=False)]
    period = ordinals(accepted["time"].to_numpy(), training.fleet.clock)
    step = period - training.last_periods[segment]
    horizon, alive = training.fleet.steps, ~training.ended
    inside = (segment >= 0) & (step >= 1) & (step <= horizon) & alive[segment]
    covered = len(np.unique(segment[inside] * horizon + step[inside]))
    return WindowFacts(len(keys), unseen, covered / max(1, int(alive.sum()) * horizon))


def window_problems(facts: WindowFacts, accepted: pa.Table, training: SegmentRows, role: Role) -> Iterator[Problem]:
    """Segments without training data, and steps without a row."""
    fleet = training.fleet
    if facts.unseen == facts.segments > 0:
        unseen, trained = accepted["segment"][0].as_py(), training.keys[0]
        message = f"none of its {facts.segments:,} segments is in the training data"
        yield Problem("error", role, f"{message}: here {unseen!r}, there {trained!r}; make the keys the same")
        return
    if facts.unseen and role == "score.source":
        message = f"{facts.unseen:,} of {facts.segments:,} segments are not in the training data"
        yield Problem("warning", role, f"{message}; they get the fallback, or no_model without one")
    if facts.covered is None or facts.covered >= _ENOUGH:
        return
    message = f"rows for {format_percent(facts.covered)} of the next {fleet.steps} periods of the segments"
    if facts.covered == 0:
        yield Problem("error" if role == "test.source" else "warning", role, _no_overlap(accepted, training))
    elif role == "test.source":
        yield Problem("warning", role, f"{message}; the others are not compared")
    elif fleet.features.numeric or fleet.features.categorical:
        rule = fleet.score.missing_covariates if fleet.score else "last"
        effect = "use the last known covariates" if rule == "last" else "get no prediction"
        yield Problem("warning", role, f"{message}; the others {effect} (score.missing_covariates: {rule})")


def _no_overlap(accepted: pa.Table, training: SegmentRows) -> str:
    times = accepted["time"].to_numpy()
    span = " to ".join(np.datetime_as_string(end, "D") for end in (times.min(), times.max())) if len(times) else "none"
    newest = np.datetime_as_string(training.times.max(), "D")
    message = f"no row is within the {training.fleet.steps} periods after the training data"
    return f"{message}, which end on {newest}; its rows are from {span}"


def missing_input_problems(fleet: Fleet) -> Iterator[Problem]:
    """Warn of a fleet without scoring input, and say what a run does instead."""
    names = [*fleet.features.known, *fleet.features.categorical]
    if fleet.score is not None:
        return
    if not fleet.task_type.periodic:
        yield Problem(
            "warning", "score", "there is no scoring input, so a run ends without predictions; give score.source.path"
        )
    elif names:
        message = f"there is no scoring input, so forecasts carry the last known {', '.join(names)} forward"
        yield Problem("warning", "score", f"{message}; give score.source.path with the future values")
