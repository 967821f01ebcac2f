from dataclasses import replace

from reports import changes, summary

from domain.reporting.balance import balance_checks
from domain.reporting.comparison_charts import compare_errors
from domain.reporting.narrative import alerts, headline
from domain.reporting.summary import BacktestMetric, FileCounts, OutcomeCounts, TestMetric

NONE = compare_errors([], [])
GOOD = compare_errors([0.5, 0.5, 1.0, 2.0], [1.0, 1.0, 1.0, 1.0])


def told(s, comparison=GOOD, found=None, interval=0.9):
    return [
        (alert.tone, alert.text, alert.anchor) for alert in alerts(s, comparison, balance_checks(s), found, interval)
    ]


def quiet(**changes):
    clean = {
        "segments": 4,
        "outcomes": OutcomeCounts(trained=4),
        "promoted": 4,
        "held": 0,
        "unchanged": 0,
        "rows": replace(summary().rows, read=690, quarantined=0),
        "predictions": 100,
        "statuses": {"ok": 100},
    }
    return summary(**clean | changes)


def test_headline_says_what_the_fleet_is_worth_and_what_the_run_did():
    worth, done = headline(summary(), GOOD)
    assert worth == (
        "5 of 6 segments have a model in production; forecasts beat the naive baseline in 50 % of them and are worse "
        "in 25 %. On unseen data, the total error (sMAPE) is 13.25 % against 16.50 %: 20 % lower."
    )
    assert done == (
        "This run trained 3 segments and reused 1 unchanged model; 2 models went into production, "
        "108 predictions are in the table."
    )


def test_headline_without_test_part_tells_the_backtest_and_without_figures_nothing():
    assert "In the backtest, the total error (WAPE) is 0.2000 against 0.1000: 100 % higher." in " ".join(
        headline(summary(metric=BacktestMetric("wape", 0.2, 0.1)), GOOD)
    )
    assert headline(summary(champions=0, metric=BacktestMetric("wape", None, None)), NONE)[0] == (
        "0 of 6 segments have a model in production."
    )
    assert "predictions beat" in headline(summary(config={"task": "regression"}), GOOD)[0]


def test_a_run_without_trouble_has_no_alerts():
    assert told(quiet()) == []


def test_what_went_wrong_is_told_most_serious_first():
    found = told(summary(files=FileCounts(3, 0, ("a",))))
    assert [(tone, anchor) for tone, _, anchor in found] == [
        ("bad", "problems"),
        ("bad", "files"),
        ("warn", "predictions"),
        ("warn", "quarantine"),
        ("warn", "promotion"),
    ]
    assert found[1][1] == "1 of 3 files was refused."


def test_no_release_and_a_stopped_promotion_are_told():
    stopped = quiet(release=None, config={"promotion": "all failed"})
    assert [text for _, text, _ in told(stopped)] == [
        "No release is in force: predictions repeat the last value or are missing.",
        "Promotion: all failed.",
    ]


def test_quality_below_the_baseline_or_beside_the_interval_is_told():
    weak = quiet(metric=BacktestMetric("wape", 0.2, 0.3, TestMetric("wape", 0.5, 0.4, 0.7, 10, 2, "x")))
    assert [text for _, text, _ in told(weak, compare_errors([2.0, 1.0], [1.0, 1.0]))] == [
        "On unseen data, the naive baseline has the lower total error.",
        "The naive baseline is better in 50 % of the segments.",
        "The 90 % interval covers 70.0 % of the unseen rows.",
    ]
    assert told(weak, interval=0.7)[-1][0] == "bad"


def test_a_higher_error_and_segments_that_are_gone_are_told():
    texts = [text for _, text, anchor in told(quiet(), found=changes()) if anchor == "changes"]
    assert texts == [
        "The backtest error is 12.5 % higher than in the previous run.",
        "1 segment of the previous run is gone.",
    ]
