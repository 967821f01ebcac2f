import json

import numpy as np
import pytest
from reports import NAN, full, summary

from domain.reporting.summary import (
    BacktestMetric,
    FileCounts,
    OutcomeCounts,
    RowCounts,
    StageTime,
    parse_summary,
    summary_json,
)


def test_summary_has_exactly_the_agreed_keys():
    content = json.loads(summary_json(summary()))
    agreed = (
        "fleet run_id release segments outcomes registered promoted held predictions metric stages peak_rss_bytes rows "
        "tables started_at finished_at config versions files description champions unchanged level_models statuses "
        "fallbacks former_run estimate against_estimate"
    )
    assert list(content) == agreed.split()
    assert content["outcomes"] == {"trained": 3, "reused": 1, "fallback": 1, "skipped": 0, "failed": 1}
    assert list(content["metric"]) == ["name", "champion", "baseline", "test"]
    assert list(content["metric"]["test"]) == ["name", "champion", "baseline", "coverage", "rows", "segments", "source"]
    assert content["stages"][0] == {"name": "ingest", "seconds": 1.5, "rows": 700}
    assert content["rows"] == {"read": 700, "accepted": 690, "quarantined": 10}
    merged = json.loads(summary_json(summary(rows=RowCounts(700, 90, 10, 600))))
    assert merged["rows"] == {"read": 700, "accepted": 90, "quarantined": 10, "merged": 600}
    assert content["files"] == {"found": 0, "unchanged": 0, "refused": []}
    assert content["estimate"]["models"] == 4


def test_summary_has_null_where_there_is_no_number():
    metric = BacktestMetric("wape", NAN, float("inf"), None)
    text = summary_json(
        summary(release=None, metric=metric, registered=np.int64(4), stages=(StageTime("x", np.float64(NAN)),))
    )
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["metric"] == {"name": "wape", "champion": None, "baseline": None, "test": None}
    assert content["release"] is None
    assert content["registered"] == 4
    assert content["stages"][0]["seconds"] is None


@pytest.mark.parametrize("metric", [full().summary.metric, BacktestMetric("wape", None, None)])
def test_a_summary_is_read_back_as_it_was(metric):
    written = summary(metric=metric, files=FileCounts(3, 1, ("a.csv: empty",)), former_run="before")
    assert parse_summary(summary_json(written)) == written


def test_a_summary_of_a_former_version_lacks_what_it_did_not_know():
    content = json.loads(summary_json(summary()))
    for name in ("files", "description", "champions", "statuses", "former_run", "estimate", "against_estimate"):
        del content[name]
    parsed = parse_summary(json.dumps(content))
    assert parsed is not None
    assert (parsed.outcomes, parsed.champions) == (OutcomeCounts(3, 1, 1, 0, 1), 0)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '{"metric": 3}', summary_json(summary())[:-20]])
def test_what_is_no_summary_is_none(text):
    assert parse_summary(text) is None


def test_a_summary_of_a_later_version_is_none():
    content = json.loads(summary_json(summary())) | {"unheard_of": 1}
    assert parse_summary(json.dumps(content)) is None
