"""The sink as its user meets it: commands of whole runs, a database that is away, and the way out."""

import json

import pytest
from postgres_server import PASSWORD
from shop import future, sales, shop

pytestmark = pytest.mark.server
COUNTS = "SELECT count(*), count(DISTINCT job_id) FROM reporting.forecasts"


@pytest.fixture(scope="module")
def myriad(project, server):
    """Run commands in a folder with a fleet that has a sink."""
    content = shop().model_dump(mode="json", exclude_defaults=True)
    content |= {"candidates": ["seasonal_naive"], "sink": {"url": "env:MYRIAD_SINK", "table": "reporting.forecasts"}}
    run = project(content, MYRIAD_SINK=server.url())
    for name, frame in (("sales", sales()), ("future", future())):
        (run.folder / name).mkdir()
        frame.to_csv(run.folder / name / "a.csv", index=False)
    return run


def test_a_sink_that_is_away_costs_neither_predictions_nor_report_and_the_next_job_makes_up_for_it(myriad, server):
    away = myriad("run", "shop", MYRIAD_SINK=server.url().replace(str(server.port), "1"))
    text = away.stdout + away.stderr
    assert away.returncode == 1, text
    assert "the predictions are committed, but the sink lacks some of them" in text
    assert "postgresql://127.0.0.1:1/postgres" in text
    assert PASSWORD not in text
    assert server.url().partition("@")[0] not in text
    summary = json.loads((myriad.folder / "var/reports/shop/latest.json").read_text())
    assert summary["predictions"] == 40

    made_up = myriad("score", "shop")
    assert made_up.returncode == 0, made_up.stdout + made_up.stderr
    assert "(committed before)" in made_up.stdout
    assert "delivered 40 rows of 1 job to postgresql://127.0.0.1" in made_up.stdout
    assert server.fetch(COUNTS) == [(40, 1)]

    backfill = myriad("score", "shop", "--from", "2025-01-06", "--to", "2025-01-19", "--json")
    assert backfill.returncode == 0, backfill.stdout + backfill.stderr
    jobs = json.loads(backfill.stdout)
    assert [job["delivery"] and job["delivery"]["jobs"] for job in jobs] == [None, 2]
    assert server.fetch(COUNTS) == [(40 + sum(job["rows"] for job in jobs), 3)]


def test_an_export_needs_no_password_on_the_command_line(myriad, server):
    done = myriad("export", "shop", "champions", "--to", "env:MYRIAD_SINK", "--into", "reporting.champions", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.fetch("SELECT count(*) FROM reporting.champions") == [(json.loads(done.stdout)["rows"],)]
    refused = myriad("export", "shop", "champions", "--to", server.url())
    assert refused.returncode == 2
    assert "a password has no place here" in refused.stderr
    assert server.url().partition("@")[0] not in refused.stdout + refused.stderr
