import pytest
from reports import summary

from domain.reporting.balance import balance_checks
from domain.reporting.summary import OutcomeCounts, RowCounts


def test_a_run_whose_counts_agree_balances():
    checks = balance_checks(summary())
    assert len(checks) == 6
    assert all(check.ok for check in checks)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"rows": RowCounts(700, 690, 9)}, "rows read"),
        ({"rows": RowCounts(700, 600, 10, 91)}, "rows read"),
        ({"segments": 5}, "segments"),
        ({"registered": 3}, "challengers to register"),
        ({"unchanged": 0}, "challengers to judge"),
        ({"predictions": 107}, "predictions"),
        ({"fallbacks": {"": 99}}, "predictions with a value"),
    ],
)
def test_each_lost_count_breaks_its_own_check(change, name):
    assert [check.name for check in balance_checks(summary(**change)) if not check.ok] == [name]


def test_a_run_that_predicted_nothing_has_no_predictions_to_balance():
    idle = summary(outcomes=OutcomeCounts(), segments=0, registered=0, promoted=0, held=0, unchanged=0, statuses={})
    assert [check.name for check in balance_checks(idle)][-1] == "challengers to judge"
