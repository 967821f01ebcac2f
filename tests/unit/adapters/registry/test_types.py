"""Keys of tags: the name itself where MLflow takes it, else one that it takes."""

import pytest
from mlflow.utils.validation import _validate_tag_name

from adapters.registry import tag_key

ODD = [
    "store (nr)",
    "a\nb",
    "a%",
    "a//b",
    "a/../b",
    "/a",
    "a/",
    "..",
    "x" * 300,
    "🎉",
    'q"uote',
    "a\udc80b",
    "a_nr_",
    "a(nr)",
]


@pytest.mark.parametrize("name", ["segment.store", "segment.store-2 b:c", "segment.ünï", "segment.a/b", "sha256"])
def test_a_name_that_is_fine_stays(name):
    assert tag_key(name) == name
    _validate_tag_name(name)


@pytest.mark.parametrize("name", ODD)
def test_every_name_becomes_a_key_that_mlflow_takes(name):
    key = tag_key(f"segment.{name}")
    _validate_tag_name(key)
    assert len(key) <= 250


def test_no_two_names_share_a_key():
    names = [*ODD, "store [nr]", "store {nr}", "x" * 301]
    assert len({tag_key(name) for name in names}) == len(names)
