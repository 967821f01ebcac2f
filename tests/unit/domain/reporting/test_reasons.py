from typing import get_args

import pytest

from domain.reporting.reasons import REMEDIES, group_reasons
from domain.reporting.summary import Outcome


def test_reasons_that_differ_in_figures_alone_are_one_with_their_range():
    rows = [
        ("fallback", f"{count} rows, fewer than partition.min_rows = 20", f"s{count:02}") for count in (19, 3, 7, 3)
    ]
    [group] = group_reasons(rows)
    assert group.reason == "3 to 19 rows, fewer than partition.min_rows = 20"
    assert (group.segments, group.examples) == (4, ("s03", "s03", "s07"))


def test_the_most_frequent_reason_comes_first_and_outcomes_are_apart():
    rows = [("failed", "broken", "a"), ("fallback", "broken", "b"), ("fallback", "broken", "c"), ("failed", "nan", "d")]
    reasons = group_reasons(rows)
    assert [(reason.outcome, reason.reason, reason.segments) for reason in reasons] == [
        ("fallback", "broken", 2),
        ("failed", "broken", 1),
        ("failed", "nan", 1),
    ]


@pytest.mark.parametrize("reason", ["theta2 raised at v1.2.3", "1,024 of 2.5", "", "10 # 20"])
def test_a_single_reason_stays_as_it_is(reason):
    [group] = group_reasons([("failed", reason, "a")])
    assert group.reason == reason


def test_thousands_of_distinct_figures_are_still_one_reason():
    assert len(group_reasons(("failed", f"error {number / 7:.3f}", str(number)) for number in range(5_000))) == 1


def test_every_outcome_that_is_no_model_has_advice():
    assert set(get_args(Outcome)) - {"trained", "reused"} <= REMEDIES.keys()
