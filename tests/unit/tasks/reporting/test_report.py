"""The report of real runs over real tables: what it gathers, and what it finds changed."""

import json
import re
from datetime import UTC, datetime

import pandas as pd
from rides import PAIRS, rides, rides_fleet
from shop import SHORT, future, open_run, sales

from adapters.registry import Registry
from domain.reporting.summary import StageTime
from tasks.accuracy import measure_accuracy
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.reporting.report import Stages, evaluate_predictions, write_report
from tasks.score import score_fleet
from tasks.train import train_challengers


def report_of(run, registry, folder):
    """Take a run through all stages; its page as text and its summary."""
    began = datetime.now(UTC)
    read = ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    trained = train_challengers(run)
    registered = register_challengers(run, registry)
    promoted = promote_challengers(run)
    ingest_files(run, "requests", run.fleet.score.source)
    scored = score_fleet(run)
    measure_accuracy(run)
    test = evaluate_predictions(run, scored.job_id)
    stages = Stages(trained, registered, promoted, scored, (StageTime("train", 1.0),), began, 2**30, read)
    return written(write_report(run, stages, test, folder)), stages, test


def written(page):
    text = page.read_text("utf-8").split("</style>")[1]
    words = re.sub(r"\s+", " ", re.sub(r"<title>.*?</title>|<[^>]+>", " ", text))
    return words, json.loads(page.with_suffix(".json").read_text("utf-8"))


def test_the_second_report_tells_what_changed_since_the_first(trained, tmp_path):
    truth = trained.folder / "truth"
    truth.mkdir()
    future().assign(units=50.0).to_csv(truth / "a.csv", index=False)
    fleet = trained.run().fleet.model_copy(deep=True)
    fleet = type(fleet).model_validate(
        fleet.model_dump(exclude_defaults=True) | {"test": {"source": {"path": "truth/*.csv"}}}
    )
    words, summary = report_of(trained.run("run-2", fleet), trained.registry, tmp_path)[0]
    assert "This is the first report of this fleet" in words
    assert (summary["former_run"], summary["outcomes"]["reused"], summary["champions"]) == (None, 7, 7)
    assert "7 of 8 segments have a model in production" in words
    assert "This run trained nothing" in words
    assert "✗" not in words
    assert "On fallback: too few rows (6)" in words
    assert "6 rows, fewer than partition.min_rows = 20" in words
    assert SHORT in words
    assert summary["statuses"]["ok"] == sum(summary["fallbacks"].values())

    changed = sales()
    last = changed.week == changed.week.max()
    changed.loc[last & (changed.store == 1), "units"] *= 3
    changed = changed[changed.store != 3].astype({"units": object})
    later = future(horizon=2).query("store == 1").assign(units=50.0)
    changed = pd.concat([changed, later], ignore_index=True)
    changed.loc[len(changed), ["week", "store", "brand", "units", "price"]] = ["2024-01-01", 1, "amber", "oops", 2.0]
    changed.to_csv(trained.folder / "sales" / "a.csv", index=False)
    (trained.folder / "sales" / "b.csv").write_text("")
    other = fleet.model_copy(update={"max_failed_share": 0.2})
    run = trained.run("run-3", other)
    (words, summary), stages, test = report_of(run, trained.registry, tmp_path)
    assert summary["former_run"] == "run-2"
    assert summary["outcomes"] == {"trained": 2, "reused": 3, "fallback": 1, "skipped": 0, "failed": 0}
    assert "Compared with run run-2" in words
    assert "reused trained such as store=1/brand=amber, store=1/brand=citra 2" in words
    assert "reused gone such as store=3/brand=amber, store=3/brand=citra 2" in words
    assert "max_failed_share 0.1 0.2" in words
    assert re.search(r"4 champions changed\. Compared with their predecessors by backtest error", words)
    assert "no champion 2" in words
    assert re.search(r"Quarantined sales/a\.csv [\d,]+ 1 ", words)
    assert "1 of 2 files was refused." in words
    assert "Accuracy of past forecasts" in words
    assert re.search(r"By release Release Rows WAPE Bias Inside the interval 1 4 ", words)
    assert re.search(r"a\.csv, row \d+ from 0: ", words)
    assert "units oops" in words
    assert "✗" not in words

    # The same run once more, as after a crash in the report: it still follows run-2.
    again, summary = written(write_report(run, stages, test, tmp_path))
    assert summary["former_run"] == "run-2"
    assert "reused gone such as" in again

    (tmp_path / "shop" / "latest.json").write_text("{")
    again, summary = written(write_report(run, stages, test, tmp_path))
    assert summary["former_run"] is None
    assert "is gone or cannot be read" in again


def test_a_regression_report_compares_rows_with_their_truth(tmp_path, workers):
    for name in ("history", "today", "truth"):
        (tmp_path / name).mkdir()
    rides(300, 0, PAIRS).to_csv(tmp_path / "history" / "a.csv", index=False)
    today = rides(40, 1, PAIRS)
    today.to_csv(tmp_path / "truth" / "a.csv", index=False)
    today.drop(columns="minutes").to_csv(tmp_path / "today" / "a.csv", index=False)
    run = open_run(tmp_path, workers, fleet=rides_fleet(test={"source": {"path": "truth/*.csv"}}))
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    (words, summary), _, _ = report_of(run, registry, tmp_path / "reports")
    assert "✗" not in words
    assert "Calibration: actual against predicted minutes" in words
    assert "share of 40 test rows" in words
    assert summary["metric"]["test"]["rows"] == 40
    assert "Predictions of 3 segments" in words
    assert "Smallest error" in words
