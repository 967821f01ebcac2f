from hypothesis import given
from hypothesis import strategies as st

from domain.capacity.cost_model import Work
from domain.capacity.workload import bucket_work, level_work, representative_buckets, representative_segments
from domain.data.segments import GLOBAL_KEY


def profile(segment, rows, bucket, excluded=0):
    return {"segment": segment, "rows": rows, "excluded": excluded, "bucket": bucket}


PROFILES = [
    profile("store=1/brand=a", 100, 2, excluded=10),
    profile("store=1/brand=b", 50, 0),
    profile("store=2/brand=a", 300_000, 0),
    profile("store=2/brand=b", 0, 1),
]


def test_work_of_a_bucket_is_its_wanted_segments_and_their_rows():
    assert bucket_work(PROFILES) == [Work(2, 300_050), Work(1, 0), Work(1, 90)]
    assert bucket_work(PROFILES, {"store=1/brand=a"}) == [Work(1, 90)]


def test_a_level_of_a_forecast_fleet_has_a_row_a_period(fleet):
    found = level_work(PROFILES, {"brand=a", "brand=b", GLOBAL_KEY}, fleet.forecast())
    assert found == Work(3, 300_000 + 50 + 300_000)


def test_levels_of_a_regression_fleet_have_the_rows_of_their_segments_up_to_a_limit(fleet):
    regression = fleet.regression(segment_by=["store", "brand"], fallback=[{"parent": "brand"}, "global"])
    assert level_work(PROFILES, {"brand=b", GLOBAL_KEY}, regression) == Work(2, 50 + 200_000)
    assert level_work(PROFILES, set(), regression) == Work(0, 0)


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 1000), min_size=1, max_size=80), st.integers(1, 100))
def test_pieces_are_as_many_segments_as_asked_for_each_once(rows, segments):
    pieces = representative_segments(rows, segments)
    taken = [segment for piece in pieces for segment in piece]
    assert len(taken) == len(set(taken)) == min(segments, len(rows))
    assert set(taken) <= set(rows)
    assert all(pieces)


def test_pieces_are_few_of_all_sizes_then_short_then_long_segments():
    few, short, long = representative_segments({f"s={number}": number for number in range(1000)}, 80)
    sizes = [[int(segment[2:]) for segment in piece] for piece in (few, short, long)]
    assert [len(piece) for piece in sizes] == [10, 35, 35]
    assert max(sizes[1]) < min(sizes[2])
    assert min(sizes[0]) < 100
    assert max(sizes[0]) > 900


@given(st.lists(st.builds(Work, st.integers(1, 200), st.integers(1, 9)), min_size=1, max_size=60), st.integers(1, 9999))
def test_buckets_hold_enough_segments_where_there_are(buckets, segments):
    chosen = representative_buckets(buckets, segments)
    held = sum(buckets[place].segments for place in chosen)
    assert len(set(chosen)) == len(chosen)
    assert held >= segments or len(chosen) == len(buckets)


def test_a_large_fleet_is_not_read_whole():
    assert len(representative_buckets([Work(128, 128 * number) for number in range(4000)], 200)) == 8


def test_a_sample_of_one_is_one_piece():
    assert representative_segments({"a": 5, "b": 9, "c": 7}, 1) == [["c"]]
