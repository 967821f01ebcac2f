import random

from domain.reporting.examples import SegmentProfile, choose_examples, worst_segments

KNOWN = [
    SegmentProfile(f"s{number:03}", 0, "trained", "ridge", error=float(number), baseline=50.0, rows=100, size=1.0)
    for number in range(100)
]
SPECIAL = [
    SegmentProfile("large", 0, "trained", "ridge", 40.5, 50.0, 100, size=9e9),
    SegmentProfile("sparse", 0, "trained", "croston", 41.5, 50.0, 100, zero_share=0.7),
    SegmentProfile("short", 0, "trained", "ridge", 42.5, 50.0, 12),
    SegmentProfile("gappy", 0, "trained", "ridge", 43.5, 50.0, 100, gaps=9),
    SegmentProfile("swapped", 0, "trained", "ridge", 44.5, 50.0, 100, former="theta"),
    SegmentProfile("young", 0, "fallback", rows=3),
    SegmentProfile("broken", 0, "failed", rows=60),
]


def test_examples_include_best_median_worst_and_every_special_segment():
    chosen = {example.profile.segment: example.caption for example in choose_examples(KNOWN + SPECIAL, 12)}
    assert list(chosen)[:3] == ["s000", "s047", "s099"]
    assert chosen["large"] == "Largest volume"
    assert chosen["sparse"] == "Intermittent: 70 % of the values are 0"
    assert chosen["short"] == "Shortest history with a model: 12 rows"
    assert chosen["gappy"] == "Most gaps: 9 periods without a row"
    assert chosen["young"] == "On fallback: too few rows (3)"
    assert chosen["broken"] == "Failed, 60 rows"
    assert chosen["swapped"] == "Champion replaced: theta → ridge"
    assert len(chosen) == 12


def test_without_anything_special_examples_are_spread_over_the_errors():
    chosen = choose_examples(KNOWN, 12)
    assert len({example.profile.segment for example in chosen}) == len(chosen) == 12
    assert {"s025", "s074", "s010"} <= {example.profile.segment for example in chosen}


def test_the_same_figures_give_the_same_examples_in_any_order():
    mixed = KNOWN + SPECIAL
    random.Random(1).shuffle(mixed)
    assert choose_examples(mixed, 12) == choose_examples(KNOWN + SPECIAL, 12)
    equal = [SegmentProfile(name, 0, "trained", "ridge", 1.0, 1.0, 10) for name in "badc"]
    assert [example.profile.segment for example in choose_examples(equal, 2)] == ["a", "c"]


def test_few_segments_are_all_shown_once():
    assert [example.profile.segment for example in choose_examples(SPECIAL[-2:], 12)] == ["young", "broken"]
    assert choose_examples([], 12) == []
    assert len(choose_examples(KNOWN[:1], 12)) == 1


def test_worst_are_the_largest_known_errors():
    chosen = worst_segments([*KNOWN, SegmentProfile("unknown", 0, "trained", "ridge")], 3)
    assert [example.profile.segment for example in chosen] == ["s099", "s098", "s097"]
