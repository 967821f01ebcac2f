"""Names that people type."""

import pytest

from domain.data.segment_search import find_segment, suggest_closest
from domain.data.segments import GLOBAL_KEY, segment_key
from domain.errors import UnknownNameError

STORES = [segment_key({"store": store, "brand": brand}) for store in ("1", "2") for brand in ("amber", "citra")]


@pytest.mark.parametrize(
    "words", [["store=2/brand=citra"], ["2/citra"], ["2", "citra"], ["2 citra"]], ids=lambda words: "+".join(words)
)
def test_a_key_its_values_and_its_columns_with_values_mean_the_segment(words):
    assert find_segment(words, STORES) == "store=2/brand=citra"


def test_nothing_is_guessed():
    assert find_segment(["2"], STORES) is None
    assert find_segment(["citra", "2"], STORES) is None
    assert find_segment(["2/CITRA"], STORES) is None
    assert find_segment([], STORES) is None
    assert find_segment([""], [*STORES, GLOBAL_KEY]) is None
    assert find_segment([GLOBAL_KEY], [*STORES, GLOBAL_KEY]) == GLOBAL_KEY


def test_values_that_would_be_escaped_are_given_as_they_are():
    key = segment_key({"store": "50% off/now", "brand": "ü=ö"})
    assert key not in ("50% off/now/ü=ö", "store=50% off/now/brand=ü=ö")
    assert find_segment(["50% off/now/ü=ö"], [key]) == key
    assert find_segment(["store=50% off/now/brand=ü=ö"], [key]) == key


def test_a_name_that_may_be_several_segments_is_an_error_that_names_them():
    keys = [segment_key({"a": "x/y", "b": "z"}), segment_key({"a": "x", "b": "y/z"})]
    with pytest.raises(UnknownNameError) as error:
        find_segment(["x/y/z"], keys)
    assert all(repr(key) in str(error.value) for key in keys)
    assert find_segment(["x/y", "z"], keys) == keys[0]
    assert find_segment(["x", "y/z"], keys) == keys[1]


def test_the_closest_names_are_those_that_begin_so_and_those_that_are_alike():
    assert suggest_closest("2/cit", STORES).startswith("; closest: store=2/brand=citra")
    assert suggest_closest("n14", ["n1402", "n2", "x"]) == "; closest: n1402, n2"
    assert suggest_closest("zzzz", STORES) == ""
    assert suggest_closest("anything", []) == ""
