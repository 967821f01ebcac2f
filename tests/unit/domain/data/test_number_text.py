"""Marks of numbers, judged by all values of a column together."""

import pyarrow as pa
import pytest

from domain.data.number_text import NumberEvidence, explicit_reading, judge, number_evidence, rewrite

US = [f"{value:,}" for value in range(540, 1453, 7)]
GERMAN = [text.replace(",", ".") for text in US]


def column(*values):
    return pa.chunked_array([pa.array(values, pa.string())])


def read(values, decimal="."):
    text = column(*values)
    reading = judge(number_evidence(text), decimal)
    assert not reading.refusal, reading.refusal
    return rewrite(text, reading).to_pylist()


def numbers(values, decimal="."):
    """Numbers of the values; None where one is rejected."""
    return [_number(text) for text in read(values, decimal)]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("values", "decimal", "expected"),
    [
        (["1,009", "998.5", "1,494.94"], ".", [1009, 998.5, 1494.94]),
        (["1.494,94", "1.009", "7,5"], ",", [1494.94, 1009, 7.5]),
        (["1.494,94", "1.009"], ",", [1494.94, 1009]),
        (["1.234.567", "1.009"], ",", [1234567, 1009]),
        (["1,234,567", "1,009", "12"], ".", [1234567, 1009, 12]),
        (["0.125", "1.125", "2.500"], ".", [0.125, 1.125, 2.5]),
        (["1.125", "2.5", "12345.678"], ".", [1.125, 2.5, 12345.678]),
        (["0,125", "1,125"], ",", [0.125, 1.125]),
        (["-1,234.50", "+2,000.00"], ".", [-1234.5, 2000]),
        (["1 234,5", "12\u202f345,25", "7,5"], ",", [1234.5, 12345.25, 7.5]),
        (["1'234.5", "12’345"], ".", [1234.5, 12345]),
        (["1e3", "2.5E-3"], ".", [1000, 0.0025]),
        # Signs and digits that can mean one thing only, and the groups of India.
        (["1,00,000", "12,34,567.5", "1,234", "-99,999"], ".", [100000, 1234567.5, 1234, -99999]),
        (["1.234,50-", "7,5 -", "3- "], ",", [-1234.5, -7.5, -3]),
        (["\u22121,234.5", "\u20132", "-3"], ".", [-1234.5, -2, -3]),
        (["１２", "１.５", "-３"], ".", [12, 1.5, -3]),
        (["2024-01-", "1-2", "5\u00b2", "(12)", "-12-", "12%"], ".", [None] * 6),
        # A column with a decimal point in files of decimal commas.
        (["52.5", "13.405"], ",", [52.5, 13.405]),
        (["0.125", "2.5"], ",", [0.125, 2.5]),
        # The setting decides where no value does.
        (["1.234", "2.345"], ".", [1.234, 2.345]),
        (["1.234", "2.345"], ",", [1234, 2345]),
        (["1,234", "2,345"], ",", [1.234, 2.345]),
    ],
)
def test_marks_mean_what_all_values_allow(values, decimal, expected):
    assert numbers(values, decimal) == expected


def test_thousands_of_whole_numbers_are_recognised_by_the_smaller_values():
    assert numbers(US) == list(range(540, 1453, 7))


@pytest.mark.parametrize(("values", "decimal"), [(GERMAN, "."), (US, ",")])
def test_a_setting_that_would_read_thousands_as_decimals_is_refused(values, decimal):
    reading = judge(number_evidence(column(*values)), decimal)
    other = "," if decimal == "." else "."
    assert f"Set source.decimal: '{other}' and source.thousands: '{decimal}'" in reading.refusal


@pytest.mark.parametrize(
    ("values", "decimal"), [(["1.494,94", "1.009"], "."), (["1,494.94", "1,009"], ","), (["1.234.567", "1.009"], ".")]
)
def test_a_proven_other_mark_is_refused_where_numbers_would_be_wrong(values, decimal):
    assert judge(number_evidence(column(*values)), decimal).refusal


@pytest.mark.parametrize(
    ("values", "decimal", "expected"),
    [
        # A comma that could be either is never taken for one.
        (["1,234", "2,345"], ".", [None, None]),
        (["12", "1,125", "7"], ".", [12, None, 7]),
        # Some values prove a comma, some a point: those that could be either are rejected, the others are clear.
        (["1,5", "2.5", "1.234", "7"], ".", [None, 2.5, None, 7]),
        (["1,5", "2.5", "1.234", "1,234", "7"], ",", [1.5, 2.5, None, None, 7]),
        (["1.234", "1,234"], ".", [None, None]),
        # No separator in the larger numbers: the comma is none either.
        (["1234", "1,009", "5.5"], ".", [1234, None, 5.5]),
    ],
)
def test_contradictory_values_are_rejected_and_never_become_a_wrong_number(values, decimal, expected):
    assert numbers(values, decimal) == expected


def test_a_few_mistakes_among_many_values_do_not_matter():
    values = [f"{value / 1000:.3f}" for value in range(500, 1500, 3)]
    assert numbers([*values, "1,5"]) == [*(float(text) for text in values), None]


@pytest.mark.parametrize(
    ("values", "decimal", "thousands", "expected"),
    [
        (["1.009", "998", "1.5", "1.494,94"], ",", ".", [1009, 998, None, 1494.94]),
        (["1,009", "998", "1,5", "1,494.94", "1.234"], ".", ",", [1009, 998, None, 1494.94, 1.234]),
        (["1.009", "1,009"], ".", "none", [1.009, None]),
        (["1.009", "1,009"], ",", "none", [None, 1.009]),
        (["1 009,5", "1.009", "1009"], ",", " ", [1009.5, None, 1009]),
        (["1’009.5", "1'009", "1,009"], ".", "'", [1009.5, 1009, None]),
    ],
)
def test_an_explicit_separator_is_followed_to_the_letter(values, decimal, thousands, expected):
    text = rewrite(column(*values), explicit_reading(decimal, thousands))
    assert [_number(item) for item in text.to_pylist()] == expected


def test_open_readings_have_a_remark_and_proven_ones_have_none():
    assert "'1.234'" in judge(number_evidence(column("1.234", "2.345")), ".").remark
    assert "rejected" in judge(number_evidence(column("1,234", "2,345")), ".").remark
    assert "source.decimal: ','" in judge(number_evidence(column("1,5", "2,25")), ".").remark
    assert not judge(number_evidence(column("1.234", "0.5")), ".").remark
    assert "separator of thousands" in judge(number_evidence(column("3.125", "4.250")), ",").remark
    assert not judge(number_evidence(column("3.125", "4.250", "7,5")), ",").remark
    assert not judge(number_evidence(column(*GERMAN)), ",").remark


def test_evidence_of_parts_adds_up():
    values = [*US, "1,234.5", "12.5", "1234", None]
    parts = [number_evidence(column(*values[start::3])) for start in range(3)]
    total = sum(parts, NumberEvidence())
    whole = number_evidence(column(*values))
    assert [total.proofs("."), total.hundreds, total.ungrouped] == [whole.proofs("."), whole.hundreds, whole.ungrouped]
    assert total.comma.either == whole.comma.either == sum("," in text for text in US)


def test_missing_values_and_slices_are_read_as_they_are():
    text = column("x", None, "1.234,5", "", "7,5").slice(1)
    assert rewrite(text, judge(number_evidence(text), ",")).to_pylist() == [None, "1234.5", "", "7.5"]
