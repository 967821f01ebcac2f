from dataclasses import replace

from reports import changes, summary

from domain.reporting.balance import balance_checks
from domain.reporting.comparison_charts import compare_errors
from domain.reporting.narrative import alerts, headline
from domain.reporting.summary import BacktestMetric, FileCounts, OutcomeCounts, TestMetric

NONE = compare_errors([], [])
GOOD = compare_errors([0.5, 0.5, 1.0, 2.0], [1.0, 1.0, 1.0, 1.0])


def alert_rows(s, comparison=GOOD, since=None, interval=0.9):
    return [
        (alert.tone, alert.text, alert.anchor) for alert in alerts(s, comparison, balance_checks(s), since, interval)
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


def test_headline_describes_the_accuracy_and_the_run():
    accuracy, actions = headline(summary(), GOOD)
    assert accuracy == (
        "5 of 6 segments have a model in production; forecasts beat the naive baseline in 50 % of them and are worse "
        "in 25 %. On unseen data, the total error (sMAPE) is 13.25 % against 16.50 % for the baseline: 20 % lower."
    )
    assert actions == (
        "This run trained 3 segments and reused 1 unchanged model; 2 models went into production, and "
        "108 predictions are in the table."
    )


def test_headline_without_test_data_gives_the_backtest_and_without_figures_no_error():
    assert (
        "In the backtest, the total error (WAPE) is 0.2000 against 0.1000 for the baseline: 100 % higher."
        in " ".join(headline(summary(metric=BacktestMetric("wape", 0.2, 0.1)), GOOD))
    )
    assert headline(summary(champions=0, metric=BacktestMetric("wape", None, None)), NONE)[0] == (
        "0 of 6 segments have a model in production."
    )
    assert "predictions beat" in headline(summary(config={"task": "regression"}), GOOD)[0]


def test_a_run_without_trouble_has_no_alerts():
    assert alert_rows(quiet()) == []


def test_problems_are_listed_most_serious_first():
    rows = alert_rows(summary(files=FileCounts(3, 0, ("a",))))
    assert [(tone, anchor) for tone, _, anchor in rows] == [
        ("bad", "problems"),
        ("bad", "files"),
        ("warn", "predictions"),
        ("warn", "quarantine"),
        ("warn", "promotion"),
    ]
    assert rows[1][1] == "1 of 3 files was refused."


def test_a_missing_release_and_a_stopped_promotion_are_alerts():
    stopped = quiet(release=None, config={"promotion": "all failed"})
    assert [text for _, text, _ in alert_rows(stopped)] == [
        "No release is in force: predictions repeat the last value or are missing.",
        "Promotion: all failed.",
    ]


def test_errors_above_the_baseline_and_coverage_off_the_interval_are_alerts():
    weak = quiet(metric=BacktestMetric("wape", 0.2, 0.3, TestMetric("wape", 0.5, 0.4, 0.7, 10, 2, "x")))
    assert [text for _, text, _ in alert_rows(weak, compare_errors([2.0, 1.0], [1.0, 1.0]))] == [
        "On unseen data, the naive baseline has the lower total error.",
        "The naive baseline is better in 50 % of the segments.",
        "The 90 % interval covers 70.0 % of the unseen rows.",
    ]
    assert alert_rows(weak, interval=0.7)[-1][0] == "bad"


def test_a_higher_error_and_missing_segments_are_alerts():
    texts = [text for _, text, anchor in alert_rows(quiet(), since=changes()) if anchor == "changes"]
    assert texts == [
        "The backtest error is 12.5 % higher than in the previous run.",
        "1 segment of the previous run is gone.",
    ]
