"""Why segments, rows and predictions went wrong, told so that a person can act on it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import get_args

from domain.reporting.summary import Outcome, OutcomeReason

__all__ = ["REMEDIES", "group_reasons"]

_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.])")
_EXAMPLES = 3

REMEDIES = {
    "fallback": "Nothing to do while they are young: a parent or the global model predicts for them. To model them "
    "with fewer rows, lower partition.min_rows.",
    "skipped": "Look at their rows: if they are right, set validation.outliers: keep or raise outlier_threshold; "
    "else mend them at the source.",
    "failed": "A former champion stays, else the fallback predicts. Look at the reason and at the segment's rows; "
    "add a candidate that copes, such as seasonal_naive or moving_average.",
    "ok": "",
    "no_model": "No champion and no fallback level fits: add `global` to fallback, or train on rows of these segments.",
    "missing_covariates": "Give the future rows their known features in score.source, or set "
    "score.missing_covariates: last.",
    "missing_key": "Fill the segment and time columns at the source.",
    "unparsable": "Mend the value at the source, or declare the format or time zone in the fleet file.",
    "null_target": "Normal for rows whose result is not known yet; else fill the target at the source.",
    "non_finite_target": "Replace infinite values at the source.",
    "non_finite_feature": "Replace infinite values at the source; leave the cell empty where nothing is known.",
    "unreadable_file": "Write the file again; the next run reads it. What it gave before stays.",
    "copied_file": "Remove the copy; its rows count once.",
    "duplicate": "Keep one row a period at the source, or choose which one counts with validation.duplicates.",
    "outlier": "Check the rows; set validation.outliers: keep if they are right.",
}
"""What to do, by outcome, prediction status and quarantine reason."""


def group_reasons(rows: Iterable[tuple[Outcome, str, str]]) -> tuple[OutcomeReason, ...]:
    """Count (outcome, reason, segment), the most frequent first; reasons that differ in figures alone are one.

    A figure that varies is told as its range: `3 to 19 rows, fewer than partition.min_rows = 20`.
    """
    groups: defaultdict[tuple[Outcome, str], list[tuple[str, str]]] = defaultdict(list)
    for outcome, reason, segment in rows:
        groups[outcome, _NUMBER.sub("#", reason)].append((reason, segment))
    order = get_args(Outcome)
    found = [
        OutcomeReason(outcome, _merged([reason for reason, _ in pairs]), len(pairs), _names(pairs))
        for (outcome, _), pairs in groups.items()
    ]
    return tuple(sorted(found, key=lambda reason: (-reason.segments, order.index(reason.outcome), reason.reason)))


def _names(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted(segment for _, segment in pairs)[:_EXAMPLES])


def _merged(reasons: Sequence[str]) -> str:
    """One text for reasons that have the same words and as many figures."""
    distinct = sorted(set(reasons))
    columns = zip(*(_NUMBER.findall(reason) for reason in distinct), strict=True)
    ranges = iter([_range(column) for column in columns])
    return _NUMBER.sub(lambda match: next(ranges), distinct[0])


def _range(texts: Sequence[str]) -> str:
    ordered = sorted(set(texts), key=lambda text: float(text.replace(",", "")))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
