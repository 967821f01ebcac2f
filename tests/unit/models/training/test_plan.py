import pytest

from domain.errors import FleetError
from models.training.fingerprints import training_fingerprint
from models.training.plan import PreviousModel, plan_levels, plan_segments

SETTINGS = "settings"


def profile(segment, rows=50, excluded=0, fingerprint="rows"):
    return {"segment": segment, "rows": rows, "excluded": excluded, "fingerprint": fingerprint}


def former(fingerprint="other", candidate="ridge", refits=0, rows=50):
    return PreviousModel(fingerprint, candidate, refits, rows)


def only(fleet, known=None, **changes):
    (planned,) = plan_segments([profile("store=1/brand=a", **changes)], known or {}, fleet, SETTINGS)
    return planned


@pytest.fixture
def build(fleet):
    def built(**changes):
        return fleet.forecast(candidates=["seasonal_naive", "ridge"], partition={"min_rows": 10}, **changes)

    return built


def test_a_segment_without_a_model_competes_for_one(build):
    assert only(build()).action == "select"


def test_an_unchanged_segment_is_reused_whatever_the_policy(build):
    same = {"store=1/brand=a": former(training_fingerprint("rows", SETTINGS))}
    for policy in ("reselect", "refit", "frozen"):
        planned = only(build(retraining={"policy": policy}), same)
        assert (planned.action, planned.candidate) == ("reuse", "ridge")
        assert "unchanged" in planned.reason


def test_a_short_segment_and_one_without_rows_are_not_trained_even_where_they_have_a_model(build):
    known = {"store=1/brand=a": former()}
    assert only(build(), known, rows=12, excluded=3).action == "fallback"
    assert only(build(), known, rows=4, excluded=4).action == "skip"
    assert only(build(), known, rows=12, excluded=2).action == "select"


def test_the_policies_of_a_changed_segment(build):
    known = {"store=1/brand=a": former()}
    assert only(build(), known).action == "select"
    refit = only(build(retraining={"policy": "refit"}), known)
    assert (refit.action, refit.candidate, refit.refits) == ("refit", "ridge", 1)
    frozen = only(build(retraining={"policy": "frozen"}), known)
    assert (frozen.action, frozen.fingerprint) == ("reuse", "other")
    assert "frozen" in frozen.reason


def test_candidates_compete_again_in_every_third_training(build):
    fleet, actions, refits = build(retraining={"policy": "reselect", "every": 3}), [], 0
    for _ in range(6):
        planned = only(fleet, {"store=1/brand=a": former(refits=refits)})
        actions.append(planned.action)
        refits = planned.refits
    assert actions == ["refit", "refit", "select", "refit", "refit", "select"]


def test_a_candidate_that_the_fleet_no_longer_has_is_not_refitted(build):
    fleet = build(retraining={"policy": "refit"})
    assert only(fleet, {"store=1/brand=a": former(candidate="theta")}).action == "select"
    assert only(fleet, {"store=1/brand=a": former(candidate="combination")}).action == "refit"
    alone = build(retraining={"policy": "refit"}, combine=False)
    assert only(alone, {"store=1/brand=a": former(candidate="combination")}).action == "select"


def test_a_level_is_trained_again_when_one_of_its_segments_changed_and_only_then(build):
    fleet = build()
    names = ["store=1/brand=a", "store=2/brand=a", "store=1/brand=b"]
    before = plan_levels([profile(name) for name in names], {}, fleet, SETTINGS)
    assert {each.segment: each.action for each in before} == {
        "*": "select",
        "brand=a": "select",
        "brand=b": "select",
    }
    known = {each.segment: former(each.fingerprint) for each in before}
    changed = [profile(names[0]), profile(names[1]), profile(names[2], fingerprint="new")]
    after = {each.segment: each.action for each in plan_levels(changed, known, fleet, SETTINGS)}
    assert after == {"*": "select", "brand=a": "reuse", "brand=b": "select"}
    reordered = plan_levels([profile(name) for name in reversed(names)], known, fleet, SETTINGS)
    assert {each.action for each in reordered} == {"reuse"}


def test_a_level_that_is_now_too_short_loses_its_model(build):
    (before,) = plan_levels([profile("store=1/brand=a")], {}, build(fallback=["global"]), SETTINGS)
    known = {"*": former(before.fingerprint, rows=9)}
    (after,) = plan_levels([profile("store=1/brand=a")], known, build(fallback=["global"]), SETTINGS)
    assert after.action == "fallback"


def test_every_without_reselect_is_refused(build):
    with pytest.raises(FleetError, match=r"retraining.*every: 2 has no effect with policy: refit"):
        build(retraining={"policy": "refit", "every": 2})


def test_a_level_that_cannot_have_enough_rows_is_not_planned_again_in_every_run(build):
    fleet = build(fallback=["global"])
    short = [profile("store=1/brand=a", rows=6, excluded=2), profile("store=2/brand=a", rows=5)]
    assert [each.action for each in plan_levels(short, {}, fleet, SETTINGS)] == ["fallback"]
    enough = [*short, profile("store=3/brand=a", rows=1)]
    assert [each.action for each in plan_levels(enough, {}, fleet, SETTINGS)] == ["select"]
