"""Control characters become visible; all other text stays as it is."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.reporting.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\rb\x00", "a\\x0db\\x00"),
        ("\x7f\x9b31m", "\\u007f\\u009b31m"),
        ("gnp\u202eexe", "gnp\\u202eexe"),
        ("\u2066\u200b\ufeff\ud800", "\\u2066\\u200b\\ufeff\\ud800"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("line\n\tÜ 日本 👩\u200d🌾 فارسی\u200cها", "line\n\tÜ 日本 👩\u200d🌾 فارسی\u200cها"),
    ],
)
def test_controls_are_escaped_and_text_stays(text, shown):
    assert printable(text) == shown


@given(st.text())
def test_no_control_is_left_and_escaping_twice_changes_nothing(text):
    shown = printable(text)
    assert not {character for character in shown if unicodedata.category(character) == "Cc"} - {"\n", "\t"}
    assert not any(
        unicodedata.bidirectional(character) in ("RLO", "LRO", "RLE", "LRE", "RLI", "LRI") for character in shown
    )
    assert printable(shown) == shown


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_json_document_remains_the_same_document(text):
    assert json.loads(printable(json.dumps({text: text}, ensure_ascii=False))) == {text: text}
