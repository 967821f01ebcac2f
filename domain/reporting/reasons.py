"""Reasons for outcomes, rejected rows and missing predictions, grouped, with a remedy for each."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import get_args

from domain.reporting.summary import Outcome, OutcomeReason

__all__ = ["REMEDIES", "group_reasons"]

_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.])")
_EXAMPLES = 3

REMEDIES = {
    "fallback": "Nothing to do while their history is short: a fallback model predicts for them. To train on "
    "fewer rows, lower partition.min_rows.",
    "skipped": "Inspect their rows. If they are correct, set validation.outliers: keep, or raise outlier_threshold; "
    "otherwise fix them at the source.",
    "failed": "The previous champion stays in production; without one, the fallback predicts. Check the reason and the "
    "segment's rows, or add a robust candidate such as seasonal_naive or moving_average.",
    "ok": "",
    "no_model": "No champion or fallback model covers these segments: add `global` to fallback, or train on "
    "their rows.",
    "missing_covariates": "Supply the known features of the future rows in score.source, or set "
    "score.missing_covariates: last.",
    "missing_key": "Fill in the segment and time columns at the source.",
    "unparsable": "Fix the value at the source, or declare its format or time zone in the fleet file.",
    "null_target": "Expected for rows whose result is not known yet; otherwise fill in the target at the source.",
    "non_finite_target": "Replace infinite values at the source.",
    "non_finite_feature": "Replace infinite values at the source; leave the cell empty if the value is unknown.",
    "unreadable_file": "Write the file again; the next run reads it. Rows read from it earlier stay.",
    "copied_file": "Remove the copy; its rows count only once.",
    "duplicate": "Keep one row per period at the source, or choose which one counts with validation.duplicates.",
    "outlier": "Check the rows; if they are correct, set validation.outliers: keep.",
}
"""Remedies by outcome, prediction status and quarantine reason."""


def group_reasons(rows: Iterable[tuple[Outcome, str, str]]) -> tuple[OutcomeReason, ...]:
    """Count segments by outcome and reason, most frequent first; merge reasons that differ only in their figures.

    A figure that varies becomes a range: `3 to 19 rows, fewer than partition.min_rows = 20`.

    Parameters
    ----------
    rows : triples (outcome, reason, segment).
    """
    groups: defaultdict[tuple[Outcome, str], list[tuple[str, str]]] = defaultdict(list)
    for outcome, reason, segment in rows:
        groups[outcome, _NUMBER.sub("#", reason)].append((reason, segment))
    order = get_args(Outcome)
    reasons = [
        OutcomeReason(outcome, _merged([reason for reason, _ in pairs]), len(pairs), _names(pairs))
        for (outcome, _), pairs in groups.items()
    ]
    return tuple(sorted(reasons, key=lambda reason: (-reason.segments, order.index(reason.outcome), reason.reason)))


def _names(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted(segment for _, segment in pairs)[:_EXAMPLES])


def _merged(reasons: Sequence[str]) -> str:
    """Merge reasons with the same words and the same number of figures into one text."""
    distinct = sorted(set(reasons))
    columns = zip(*(_NUMBER.findall(reason) for reason in distinct), strict=True)
    ranges = iter([_range(column) for column in columns])
    return _NUMBER.sub(lambda match: next(ranges), distinct[0])


def _range(texts: Sequence[str]) -> str:
    ordered = sorted(set(texts), key=lambda text: float(text.replace(",", "")))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
