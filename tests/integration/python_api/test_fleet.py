"""A data scientist's session: from a frame to forecasts, within a running event loop, with nothing left behind."""

import asyncio

import psutil
import pytest
from shop import sales

import myriad
from domain.errors import PromotionError


def session_of(home):
    """Processes that still work for a home."""
    members = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MYRIAD_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                members.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return members


@pytest.fixture(scope="module")
def shop_session(tmp_path_factory):
    """The results of a session, all called within one event loop."""
    home = tmp_path_factory.mktemp("notebook")
    results = {}

    async def notebook():
        fleet = myriad.Fleet.from_frame(
            sales()[["week", "store", "brand", "units"]],
            "kiosk",
            home=home,
            progress=False,
            horizon=3,
            candidates=["seasonal_naive", "ses"],
            partition={"buckets": 2},
        )
        results["fleet"] = fleet
        results["run"] = fleet.run()
        results["again"] = fleet.train()
        results["pin"] = fleet.pin("1/amber", 1)
        results["score"] = fleet.score()
        results["left"] = session_of(home)
        with pytest.raises(PromotionError) as caught:
            fleet.rollback(99)
        results["refused"] = str(caught.value)

    asyncio.run(notebook())
    return results


def test_a_run_reports_its_figures_and_its_page(shop_session):
    run = shop_session["run"]
    assert run["outcomes"]["trained"] > 0
    assert run["release"] == 1
    assert "predictions" in run._repr_html_()
    page = run.report._repr_html_()
    assert page.startswith('<iframe sandbox=""')
    assert "<script" not in page


def test_frames_follow_the_run(shop_session):
    fleet = shop_session["fleet"]
    assert shop_session["score"]["release"] == 2
    assert len(fleet.forecasts(segment="1/amber")) == 3
    assert fleet.status().release.number == 2
    assert fleet.plot("1/amber").svg.startswith("<svg")


def test_a_second_call_in_the_process_trains_nothing_anew(shop_session):
    stages = shop_session["again"]["stages"]
    assert list(stages) == ["ingest", "partition", "train", "register"]
    assert set(stages["train"]["outcomes"]) <= {"reused", "fallback", "skipped"}
    assert shop_session["pin"]["pinned"] is True


def test_mistakes_in_a_run_are_errors_of_the_domain(shop_session):
    assert "99" in shop_session["refused"]


def test_no_server_and_no_worker_stays_behind(shop_session):
    assert shop_session["left"] == []
