from hypothesis import given
from hypothesis import strategies as st

from domain.data.parts import bucket_part, input_part, is_bucket_part, is_input_part, part_bucket


def test_parts_are_named_as_they_are_stored():
    assert bucket_part(7) == "bucket-7"
    assert input_part("0a1b") == "input-0a1b"


@given(st.integers(0, 4095))
def test_the_bucket_of_a_part_is_found_again(bucket):
    part = bucket_part(bucket)
    assert part_bucket(part) == bucket
    assert is_bucket_part(part)
    assert not is_input_part(part)


@given(st.text())
def test_the_part_of_an_input_belongs_to_no_bucket(input_id):
    part = input_part(input_id)
    assert is_input_part(part)
    assert not is_bucket_part(part)
