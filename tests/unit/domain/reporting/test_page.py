import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from reports import NAN, changes, errors, full, long_example, measured_rows, rows_example, series_example, summary

from domain.reporting.page import RunReport, render_html
from domain.reporting.row_charts import TestRows
from domain.reporting.summary import (
    BacktestMetric,
    FileCounts,
    HeldSegment,
    OutcomeReason,
    QuarantineReason,
    RowCounts,
    SegmentError,
)

HOSTILE = """store=<script>alert("1")</script>' onload='x/brand={{ 7 * 7 }}&amp;"""
REGRESSION = RunReport(
    summary(config={"task": "regression"}),
    errors(5),
    examples=(rows_example(),),
    worst_examples=(rows_example("route=<b>"),),
    test_rows=measured_rows(500),
    target="<delay>",
)
EMPTY = RunReport(summary(metric=BacktestMetric("wape", None, None), release=None, stages=(), tables={}, statuses={}))


class Page(HTMLParser):
    """Checks that tags are balanced; collects tags and attributes."""

    VOID = ("meta", "link", "br", "line", "path")

    def __init__(self, html: str):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def words(report):
    """The page's text on one line, without tags and styles."""
    body = render_html(report).split("</style>")[1]
    return re.sub(r"\s+", " ", re.sub(r"<title>.*?</title>|<[^>]+>", " ", body))


@pytest.mark.parametrize("report", [full(), REGRESSION, EMPTY], ids=["full", "regression", "empty"])
def test_page_is_well_formed_and_needs_nothing_else(report):
    html = render_html(report)
    page = Page(html)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "onload"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html.replace("'none'", ""))
    assert page.attributes.count(("role", "img")) == page.tags.count("svg")
    assert page.tags.count("th") == sum(name == "scope" for name, _ in page.attributes)


@pytest.mark.parametrize("report", [full(), REGRESSION, EMPTY], ids=["full", "regression", "empty"])
def test_every_link_leads_to_a_section_of_the_page(report):
    attributes = Page(render_html(report)).attributes
    targets = {f"#{value}" for name, value in attributes if name == "id"}
    links = {value for name, value in attributes if name == "href"}
    assert {"#changes", "#balance"} <= links <= targets


def test_page_escapes_hostile_names():
    hostile, plain = Page(render_html(full(HOSTILE))), Page(render_html(full()))
    assert hostile.tags == plain.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert "49" not in re.findall(r"brand=(\d+)", render_html(full(HOSTILE)))
    assert ("title", HOSTILE) in hostile.attributes
    assert "<delay>" not in render_html(REGRESSION)


def test_page_shows_control_characters_and_does_not_hold_them():
    names = "store=\x1b[2J\u202egnp.exe\u2066"
    html = render_html(full(names))
    assert not re.search("[\x1b\u202a-\u202e\u2066-\u2069]", html)
    assert r"store=\x1b[2J\u202egnp.exe\u2066" in html
    assert r"\x1b" not in render_html(full())


def test_page_says_who_wins_and_what_failed():
    text = words(full())
    assert "beat the naive baseline in 50 % of them and are worse in 50 %" in text
    assert "baseline 16.50: 19.7 % lower" in text
    assert "89.3 %" in text
    assert "1 segment failed. Details" in text
    assert "DeltaTable(&#34;/lake/m3/predictions&#34;).to_pandas()" in text
    assert "do not balance" not in text


def test_page_compares_no_missing_figure():
    html = re.sub(r"\s+", " ", render_html(RunReport(summary(metric=BacktestMetric("wape", NAN, 16.0)))))
    assert "baseline 16.00</dd>" in html
    assert not re.search(r"\bnan\b", html.split("</style>")[1].lower())


def test_refused_files_are_on_the_page():
    assert "refused" not in words(RunReport(summary()))
    messages = tuple(f"/in/<{number:02d}>.csv: no column price" for number in range(23))
    html = render_html(RunReport(summary(files=FileCounts(30, 5, messages))))
    assert "23 of 30 files were refused" in html
    assert "/in/&lt;19&gt;.csv: no column price" in html
    assert "/in/&lt;20&gt;.csv" not in html


def test_every_count_is_balanced_before_the_readers_eyes():
    text = words(RunReport(summary()))
    assert "rows read 700 = 690 accepted + 10 quarantined" in text
    assert "segments 6 = 3 trained + 1 reused + 1 fallback + 0 skipped + 1 failed" in text
    assert "4 = 2 promoted + 1 held + 1 unchanged" in text
    assert "predictions 108 = 8 no_model + 100 ok" in text
    assert "100 = 90 own model + 10 global" in text
    assert "✗" not in text


def test_page_warns_where_counts_do_not_balance():
    text = words(RunReport(summary(segments=7, rows=RowCounts(700, 690, 9))))
    assert "The counts do not balance: 7 segments, but 6 accounted for." in text
    assert "They do not balance: 699 in all, 1 missing." in text
    assert text.count("✗") == 2


def test_first_run_says_that_there_is_nothing_to_compare_with():
    assert "This is the first report of this fleet" in words(RunReport(summary()))
    assert "cannot be read" in words(RunReport(summary(), no_changes="The last summary cannot be read."))


def test_page_tells_what_changed():
    text = words(full())
    assert "Compared with run 20260106-1 of 7 Jan 2026, 10:15 UTC, release 2" in text
    assert "Backtest sMAPE (%) 12.00 13.50 +12.5 %" in text
    assert "trained failed series=n1 1" in text
    assert "reused gone old 1" in text
    assert "theta series=n1 1" in text
    assert "theta theta, retrained 1" in text
    assert "Largest deteriorations: backtest sMAPE (%) of replaced champions" in text
    assert "gates.keep_releases – 10" in text
    assert "All packages are unchanged." in text
    assert "/in/series=n1.csv 700 10" in text
    assert "The backtest error is 12.5 % higher than in the previous run." in text


def test_page_says_what_it_cannot_compare():
    lost = replace(changes(), transitions=(), replaced=None)
    text = words(RunReport(summary(), changes=lost))
    assert "so outcomes cannot be compared" in text
    assert "Release 2 is no longer kept" in text


def test_an_incremental_run_is_complete_and_says_how_little_it_trained():
    outcomes = replace(summary().outcomes, trained=0, reused=6, fallback=0, failed=0)
    quiet = summary(outcomes=outcomes, registered=6, promoted=0, held=0, unchanged=6, champions=6)
    text = words(RunReport(quiet, errors(6), {"ridge": 6}, examples=(series_example(),)))
    assert "6 of 6 segments have a model in production" in text
    assert (
        "This run trained nothing: no segment has changed, and all 6 models were reused; no model was replaced" in text
    )
    assert "Backtest sMAPE (%) of 6 champions" in text
    assert "Forecasts of 1 segments" not in text
    assert "Forecast of 1 segment" in text


def test_estimate_stands_beside_what_it_came_to():
    text = words(RunReport(summary()))
    assert "Estimate before the run, from built-in figures, and actual figures" in text
    assert "Models trained, including fallback levels 4 4 × 1.00" in text
    assert "Training 10.0 s 8.25 s × 0.82" in text
    assert "Peak memory 2.00 GiB 3.00 GiB × 1.50" in text
    assert "Scoring" not in text  # there was no such stage
    assert "Estimate before the run" not in words(RunReport(summary(estimate=None)))


def test_past_predictions_are_told_by_release_and_step():
    text = words(full())
    assert "Accuracy of past forecasts" in text
    assert "2 40 – 0.2500 95.0 % 1 60 12.00 0.5000 –" in text
    assert "8 ahead: sMAPE (%) 16.00, 100 rows" in render_html(full())
    assert "Accuracy of past" not in words(RunReport(summary()))


def test_problems_say_what_to_do():
    reasons = (OutcomeReason("fallback", "3 to 9 rows, fewer than partition.min_rows = 20", 2, ("a", "b")),)
    rejected = (QuarantineReason("partition", "duplicate", 3, ("a.csv, row 7 from 0: day 2026-01-01",)),)
    text = words(RunReport(summary(), reasons=reasons, quarantine=rejected))
    assert "lower partition.min_rows" in text
    assert "such as a, b" in text
    assert "choose which one counts with validation.duplicates" in text
    assert "a.csv, row 7 from 0: day 2026-01-01" in text
    assert "no value: no_model" in text
    assert "add `global` to fallback" in text


def test_regression_fleets_show_rows_against_their_truth():
    text = words(REGRESSION)
    assert "Errors of single rows" in text
    assert "Prediction of 1 segment" in text
    assert "Test rows in equally large groups, by prediction" in text
    nothing = TestRows(*[np.array([])] * 4)
    assert "single rows" not in words(replace(REGRESSION, test_rows=nothing))


def test_page_lists_the_worst_segments_first_and_none_without_a_figure():
    report = RunReport(
        summary(), (*errors(50), SegmentError("series=none", "", NAN, 1.0, 3), SegmentError("x", "", None, None, 0))
    )
    table = render_html(report).split('<section id="worst">')[1].split("</table>")[0]
    listed = re.findall(r"series=\w+", table)
    expected = sorted(report.errors[:50], key=lambda error: -error.champion)[:15]
    assert listed == [error.segment for error in expected]


def test_page_does_not_grow_with_the_fleet():
    held = tuple(HeldSegment(f"series=h{i}", "worse") for i in range(5_000))
    reasons = tuple(OutcomeReason("failed", f"reason {i}", 1) for i in range(5_000))
    small = RunReport(summary(), errors(500), held=held[:20], examples=(series_example(),) * 12, reasons=reasons[:25])
    large = replace(small, errors=errors(20_000), held=held, examples=(series_example(),) * 500, reasons=reasons)
    assert len(render_html(large)) < 1.05 * len(render_html(small))
    assert "4,975 less frequent reasons" in render_html(large)


def test_page_of_ten_thousand_segments_with_the_longest_charts_stays_below_3_mb():
    examples = tuple(long_example(number) for number in range(12))
    assert (
        len(render_html(replace(full(), errors=errors(10_000), examples=examples, worst_examples=examples)).encode())
        < 3e6
    )
    rows = replace(REGRESSION, test_rows=measured_rows(300_000), examples=(rows_example(rows=10_000),) * 12)
    assert len(render_html(rows).encode()) < 3e5


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("colour", ["ink", "muted", "good", "bad", "warn", "champion", "baseline"])
def test_text_has_enough_contrast(scheme, colour):
    palettes = re.findall(r":root \{(.*?)\}", render_html(full()), re.DOTALL)
    palette = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", palettes[scheme]))

    def luminance(code: str) -> float:
        parts = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for ground in ("card", "page"):
        dark, light = sorted((luminance(palette[colour]), luminance(palette[ground])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, level AA
