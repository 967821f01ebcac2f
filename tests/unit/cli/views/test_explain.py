"""Predictions of a segment as `myriad explain` shows them."""

from dataclasses import replace

import pytest

from cli.views.explain import _prediction_sections
from domain.reporting.segment_view import PredictionView


@pytest.fixture
def predictions(monkeypatch):
    """Eight predictions, all with the same reason."""
    fields = dict.fromkeys(PredictionView.__dataclass_fields__)
    first = PredictionView(
        **fields | {"fallback_level": "", "status": "ok", "release": 1, "reason": "the clocks changed"}
    )
    return [replace(first, step=step) for step in range(1, 9)]


def test_a_note_that_all_predictions_share_is_shown_once(predictions):
    table, note = _prediction_sections("forecast", predictions)
    assert "note" not in table.header
    assert all("clocks" not in cell for row in table.rows for cell in row)
    assert note.rows == [("the clocks changed",)]


def test_notes_that_differ_stay_in_their_rows(predictions):
    (table,) = _prediction_sections("forecast", [replace(predictions[0], reason="late"), *predictions[1:]])
    assert [row[-1] for row in table.rows] == ["late", *["the clocks changed"] * 7]


def test_without_notes_there_is_no_column_of_them(predictions):
    (table,) = _prediction_sections("forecast", [replace(row, reason="") for row in predictions])
    assert table.header[-1] == "release"
