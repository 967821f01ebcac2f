import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.data.segments import (
    GLOBAL_KEY,
    bucket_of,
    bucket_range,
    fallback_name,
    hash_segment,
    hash_segments,
    lookalikes,
    model_name,
    parse_segment,
    segment_key,
)

values = st.dictionaries(st.text(min_size=1), st.text(), min_size=1, max_size=3)


@given(values)
def test_key_gives_its_values_back(columns):
    assert parse_segment(segment_key(columns)) == columns


@given(values, values)
def test_two_segments_never_share_a_key_or_a_name(first, second):
    if list(first.items()) == list(second.items()):
        return
    assert segment_key(first) != segment_key(second)
    if list(first) == list(second):
        assert model_name("oj", segment_key(first)) != model_name("oj", segment_key(second))


def test_keys_that_look_alike_are_grouped():
    alike = [("s=2.0/b=x", "s=2/b=x"), ("s=007", "s=7", "s=+7.00"), ("s=-1", "s=-1.0"), ("s=A%20b", "s=a%20b")]
    alike += [(segment_key({"s": "Köln"}), segment_key({"s": unicodedata.normalize("NFD", "Köln")}))]
    other = ["s=2.5/b=x", "s=20/b=x", "s=2/b=y", "s=70", "s=1", "s=a%2Fb/t=c", "s=a/t=b%2Fc", "s=1e3", "s=1000"]
    groups = lookalikes([*other, *(key for group in alike for key in group)])
    assert {frozenset(group) for group in groups} == set(map(frozenset, alike))


def test_key_is_readable_and_escapes_only_separators():
    assert segment_key({"store": "2", "brand": "5"}) == "store=2/brand=5"
    assert segment_key({"a b": "x/y=z%", "ort": "Köln"}) == "a b=x%2Fy%3Dz%25/ort=Köln"


@pytest.mark.parametrize(
    ("key", "expected"),
    [("store=2/brand=5", 0x6E649B29), ("series=n1402", 0xAE897BCE), ("ort=Köln", 0x990D03A8)],
)
def test_hash_is_the_same_for_ever(key, expected):
    assert hash_segment(key) == expected


@given(st.lists(st.text(), min_size=1), st.integers(1, 5000))
def test_bucket_range_agrees_with_bucket_of(keys, buckets):
    hashes = hash_segments(keys)
    for value, bucket in zip(hashes, bucket_of(hashes, buckets), strict=True):
        low, high = bucket_range(int(bucket), buckets)
        assert 0 <= bucket < buckets
        assert low <= value <= high


@given(st.integers(1, 5000))
def test_bucket_ranges_cover_the_hash_space_without_overlap(buckets):
    edges = [bucket_range(bucket, buckets) for bucket in range(buckets)]
    assert edges[0][0] == 0
    assert edges[-1][1] == 2**32 - 1
    assert all(high + 1 == low for (_, high), (low, _) in itertools.pairwise(edges))


def test_buckets_are_even():
    counts = np.bincount(bucket_of(hash_segments([f"series={i}" for i in range(20_000)]), 16), minlength=16)
    assert counts.min() > 1_100
    assert counts.max() < 1_400


def test_names_are_plain_slugs_with_a_hash_where_information_is_lost():
    assert model_name("m3", "series=n1402") == "m3.n1402"
    assert model_name("oj", "store=2/brand=minute_maid") == "oj.2.minute_maid"
    assert model_name("oj", "store=2/brand=5").startswith("oj.2.5")
    assert model_name("m3", "series=N1402") == f"m3.n1402-{hash_segment('series=N1402'):08x}"
    assert fallback_name("oj", GLOBAL_KEY) == "oj.fallback.global"
    assert fallback_name("oj", "brand=5") == "oj.fallback.brand-5"
    assert fallback_name("oj", "Brand=tropicana") == "oj.fallback.brand-tropicana"
    assert fallback_name("oj", "Brand=Tropicana") == (
        f"oj.fallback.brand-tropicana-{hash_segment('Brand=Tropicana'):08x}"
    )
    assert fallback_name("oj", "a=b-c") == "oj.fallback.a-b-c"
    assert fallback_name("oj", "a-b=c") != "oj.fallback.a-b-c"
    assert fallback_name("oj", "a b=c") != "oj.fallback.a-b-c"
    assert model_name("oj", "a=fallback/b=global") != fallback_name("oj", GLOBAL_KEY)
