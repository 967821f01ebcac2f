"""Words and pictures of an explanation."""

import math

import pytest

from domain.reporting.segment_view import CandidateView, describe_level, explain_choice, sparkline


def ranks(chosen, **errors):
    ordered = sorted(errors.items(), key=lambda item: item[1])
    return [CandidateView(name, error, place, 0.5, name == chosen) for place, (name, error) in enumerate(ordered, 1)]


@pytest.mark.parametrize(
    ("chosen", "errors", "text"),
    [
        ("combination", {"combination": 0.3, "ridge": 0.2}, "the best single candidate, ridge, has 0.2000, and would"),
        ("ridge", {"combination": 0.3, "ridge": 0.1}, "the combination has 0.3000, worse by more than 50 %"),
        ("ridge", {"combination": 0.9, "ridge": 0.6}, "worse than the naive baseline (0.8000)"),
        ("ridge", {"combination": 0.3, "ridge": 0.25}, "its graph did not pass the parity check"),
        ("ses", {"ses": 0.21, "ridge": 0.2}, "the simplest of the single candidates within 5 % of the best (ridge"),
    ],
)
def test_why_a_candidate_won(fleet, chosen, errors, text):
    explanation = explain_choice(ranks(chosen, **errors), 0.8, fleet.forecast())
    assert explanation.startswith(f"{chosen} with error ")
    assert text in explanation


def test_without_the_fleet_file_the_settings_are_named_instead_of_their_values():
    explanation = explain_choice(ranks("combination", combination=0.3, ridge=0.2), 0.8, None)
    assert explanation.endswith("would have to be better by more than backtest.combination_margin")


def test_a_segment_without_a_model_has_no_winner():
    assert explain_choice([], math.nan, None) == ""
    assert explain_choice(ranks("", ridge=math.nan), math.nan, None) == "no candidate produced a model"


def test_sparklines_fit_show_gaps_and_take_anything():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([5, 5]) == "▅▅"
    assert sparkline([0, None, 7]) == "▁ █"
    assert sparkline([]) == sparkline([math.nan]) == ""
    assert len(sparkline(list(range(1000)))) == 60


def test_levels_in_words():
    assert [describe_level(level) for level in ("", "brand", "naive", None)] == [
        "own champion",
        "fallback brand",
        "last value",
        "no model",
    ]
