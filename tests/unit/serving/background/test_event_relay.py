"""News of fleets reach subscribers once each, however often the gateway looks or starts."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from gateway import now, subscribe, subscribed

from adapters.lake.fleet_events import has_events, put_event
from adapters.lake.maintenance import drop_events
from domain.gateway.fleet_events import FleetEvent
from serving.background.event_relay import EventRelay


@pytest.fixture
def made(tmp_path):
    with subscribed(tmp_path, "rides") as found:
        yield found


def happen(made, event="release.promoted", fleet="rides", about="release-3", **data):
    news = FleetEvent.of(event, fleet, "run-1", now(), data, about)
    put_event(made.lake, news)
    return news


def told(made):
    """What was sent: id -> content."""
    made.reconciler.step(now())
    while made.dispatcher.step(now()):
        continue
    return {identity: json.loads(body) for _, _, identity, body in made.sent}


def test_a_promotion_is_told_with_its_figures(made):
    subscribe(made)
    news = happen(made, release=3, promoted=5)
    ((identity, body),) = told(made).items()
    assert identity == news.id == "rides.release-3.release.promoted"
    assert body["type"] == "release.promoted"
    assert body["data"] == {"fleet": "rides", "run_id": "run-1", "release": 3, "promoted": 5}


def test_news_are_told_once_also_by_a_gateway_that_was_started_again(made):
    subscribe(made)
    happen(made)
    assert len(told(made)) == 1
    happen(made)  # The same release, told once more.
    again = EventRelay(made.store, made.lake)
    assert again.step(now()) == 0
    happen(made, "release.held", about="run-1", held=2)
    assert again.step(now(1)) == 0, "it looks every few seconds"
    assert again.step(now(10)) == 1
    assert EventRelay(made.store, made.lake).step(now()) == 0


def test_a_subscriber_hears_what_it_asked_for_of_its_fleets(made):
    subscribe(made, "alerts", events=["alert.raised"])
    subscribe(made, "rides", endpoint="rides")
    subscribe(made, "jobs", events=["job.failed"])
    happen(made)
    happen(made, "alert.raised", fleet="plain", about="run-2", what="look")
    told(made)
    messages = {
        name: [one["id"] for one in made.operator.get(f"/v1/subscriptions/{name}/messages").json()["messages"]]
        for name in ("alerts", "rides", "jobs")
    }
    assert messages == {
        "alerts": ["plain.run-2.alert.raised"],
        "rides": ["rides.release-3.release.promoted"],
        "jobs": [],
    }


def test_nobody_is_told_of_what_was_long_before_the_subscription(made):
    happen(made)
    subscribe(made)
    made.store.subscriptions.changed_at = lambda: {"app": now(3600)}
    assert told(made) == {}


def test_an_odd_file_among_the_news_is_left_alone(made):
    subscribe(made)
    happen(made)
    (Path(made.lake.folder("rides")) / "_news/odd.json").write_text("{")
    assert len(told(made)) == 1


def test_a_long_name_still_has_an_id_that_fits():
    news = FleetEvent.of("release.held", "f" * 64, "r", now(), {}, "r" * 64)
    assert len(news.id) <= 128
    assert news.id == FleetEvent.of("release.held", "f" * 64, "r", now(), {}, "r" * 64).id
    assert news.id != FleetEvent.of("release.held", "f" * 64, "r", now(), {}, "s" * 64).id


def test_old_news_are_dropped(made):
    news = happen(made)
    assert has_events(made.lake, "rides", news.id)
    assert drop_events(made.lake, "rides", timedelta(hours=1), dry_run=False) == 0
    assert drop_events(made.lake, "rides", timedelta(seconds=-5), dry_run=True) == 1
    assert drop_events(made.lake, "rides", timedelta(seconds=-5), dry_run=False) == 1
    assert not has_events(made.lake, "rides", news.id)
