import random

from domain.reporting.examples import Traits, choose, worst

KNOWN = [
    Traits(f"s{number:03}", 0, "trained", "ridge", error=float(number), baseline=50.0, rows=100, size=1.0)
    for number in range(100)
]
SPECIAL = [
    Traits("large", 0, "trained", "ridge", 40.5, 50.0, 100, size=9e9),
    Traits("sparse", 0, "trained", "croston", 41.5, 50.0, 100, zero_share=0.7),
    Traits("short", 0, "trained", "ridge", 42.5, 50.0, 12),
    Traits("gappy", 0, "trained", "ridge", 43.5, 50.0, 100, gaps=9),
    Traits("swapped", 0, "trained", "ridge", 44.5, 50.0, 100, former="theta"),
    Traits("young", 0, "fallback", rows=3),
    Traits("broken", 0, "failed", rows=60),
]


def test_samples_show_best_median_worst_and_whatever_is_special():
    found = {pick.traits.segment: pick.why for pick in choose(KNOWN + SPECIAL, 12)}
    assert list(found)[:3] == ["s000", "s047", "s099"]
    assert found["large"] == "Largest volume"
    assert found["sparse"] == "Intermittent: 70 % of the values are 0"
    assert found["short"] == "Shortest history with a model: 12 rows"
    assert found["gappy"] == "Most gaps: 9 periods without a row"
    assert found["young"] == "On fallback: too few rows (3)"
    assert found["broken"] == "Failed, 60 rows"
    assert found["swapped"] == "Champion replaced: theta → ridge"
    assert len(found) == 12


def test_without_anything_special_samples_are_spread_over_the_errors():
    found = choose(KNOWN, 12)
    assert len({pick.traits.segment for pick in found}) == len(found) == 12
    assert {"s025", "s074", "s010"} <= {pick.traits.segment for pick in found}


def test_the_same_figures_give_the_same_samples_in_any_order():
    mixed = KNOWN + SPECIAL
    random.Random(1).shuffle(mixed)
    assert choose(mixed, 12) == choose(KNOWN + SPECIAL, 12)
    equal = [Traits(name, 0, "trained", "ridge", 1.0, 1.0, 10) for name in "badc"]
    assert [pick.traits.segment for pick in choose(equal, 2)] == ["a", "c"]


def test_few_segments_are_all_shown_once():
    assert [pick.traits.segment for pick in choose(SPECIAL[-2:], 12)] == ["young", "broken"]
    assert choose([], 12) == []
    assert len(choose(KNOWN[:1], 12)) == 1


def test_worst_are_the_largest_known_errors():
    found = worst([*KNOWN, Traits("unknown", 0, "trained", "ridge")], 3)
    assert [pick.traits.segment for pick in found] == ["s099", "s098", "s097"]
