"""Results, pages and charts as notebooks display them."""

import pytest

from domain.errors import RequestError
from myriad import markup
from myriad.results import Chart, Page, Report, Result

JOB = {"rows": 24, "release": 1, "levels": {"": 20, "brand": 4}, "delivery": None, "as_of": "<b>2024</b>"}


def test_figures_are_read_by_name_and_displayed_in_words():
    result = Result("score of shop", JOB)
    assert dict(result) == JOB
    page = result._repr_html_()
    assert "own champion 20, fallback brand 4" in page
    assert "delivery" not in page
    assert "&lt;b&gt;2024" in page
    assert "made by: own champion 20" in repr(result)


def test_figures_of_stages_are_told_without_zeros():
    result = Result("train", {"stages": {"train": {"segments": 6, "failed": 0, "outcomes": {"trained": 6}}}})
    assert dict(result.rows()) == {"train": {"segments": 6, "outcomes": {"trained": 6}}}


def test_a_page_cannot_leave_its_frame(tmp_path):
    page = Page('<p title="x">"</iframe><script>alert(1)</script></p>')
    frame = page._repr_html_()
    assert frame.count("<iframe") == 1
    assert "<script" not in frame
    assert 'sandbox=""' in frame
    page.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == page.text
    (tmp_path / "report.html").write_text(page.text)
    assert Report("run-1", tmp_path / "report.html")._repr_html_() == frame


def test_a_machine_without_a_browser_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    with pytest.raises(RequestError, match="no browser"):
        Report("run-1", tmp_path / "report.html").open()


def test_a_chart_shows_and_saves_its_picture(tmp_path):
    chart = Chart("<svg></svg>")
    chart.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == chart._repr_svg_() == chart._repr_html_()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (12345, "12,345"),
        ({"a": 1}, "a 1"),
        ([], "–"),
        (["a", 2], "a, 2"),
        ("\x1b[2J", "\\x1b[2J"),
    ],
)
def test_values_are_told_as_people_read_them(value, text):
    assert markup.text_of(value) == text


def test_tables_and_lists_escape_and_vanish_when_empty():
    assert "&lt;i&gt;" in markup.table(("a",), [("<i>",)])
    assert ">–<" not in markup.table(("a",), [("",)])
    assert markup.table(("a",), []) == markup.lines([]) == markup.section("title", "") == ""
