import pytest

from domain.data.yes_no import is_yes_no, is_yes_or_no


@pytest.mark.parametrize("texts", [("Ja", "Nein"), ("0", "1"), ("TRUE", "FALSE"), ("y", " N"), ("oui", "non")])
def test_two_values_of_one_pair_say_yes_or_no(texts):
    assert is_yes_no(texts)
    assert all(map(is_yes_or_no, texts))


@pytest.mark.parametrize("texts", [("ja",), ("ja", "no"), ("0", "1", "2"), ("a", "b"), ("yes", "no", "maybe")])
def test_other_values_do_not(texts):
    assert not is_yes_no(texts)
