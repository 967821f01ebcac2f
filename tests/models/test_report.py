import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from models.charts import compare, ecdf_chart, forecast_chart, ratio_chart
from models.formats import format_duration, format_number, format_percent
from models.report import (
    Files,
    GateCount,
    HeldSegment,
    Metric,
    OutcomeReason,
    Outcomes,
    Rows,
    RunReport,
    SegmentError,
    SeriesSample,
    Stage,
    Summary,
    TestMetric,
    render_html,
    summary_json,
)

NAN = float("nan")
HOSTILE = """store=<script>alert("1")</script>' onload='x/brand={{ 7 * 7 }}&amp;"""


def summary(**changes) -> Summary:
    plain = Summary(
        fleet="m3",
        run_id="20260107-1",
        release=3,
        segments=6,
        outcomes=Outcomes(trained=3, reused=1, fallback=1, failed=1),
        registered=4,
        promoted=3,
        held=1,
        predictions=108,
        metric=Metric("smape", 13.5, 16.0, TestMetric("smape", 13.25, 16.5, 0.893, 100, 5, "test/*.csv")),
        stages=(Stage("ingest", 1.5, 700), Stage("train", 8.25, 690)),
        peak_rss_bytes=3 * 2**30,
        rows=Rows(700, 690, 10),
        tables={"outcomes": "/lake/m3/outcomes", "predictions": "/lake/m3/predictions"},
        started_at="2026-01-07T10:15:02+00:00",
        finished_at="2026-01-07T10:15:12+00:00",
        versions={"python": "3.11"},
    )
    return replace(plain, **changes)


def sample(segment="series=n1", actual=(), history=(3.0, 4.0, 5.0), **changes) -> SeriesSample:
    start = datetime(2024, 1, 1)
    times = [start + timedelta(days=7 * week) for week in range(len(history) + 2)]
    past, future = times[: len(history)], times[len(history) :]
    plain = SeriesSample(segment, segment, past, history, future, (5.0, 6.0), (4.0, 4.5), (6.0, 7.5), actual, "theta")
    return replace(plain, **changes)


def errors(count: int) -> tuple[SegmentError, ...]:
    rng = np.random.default_rng(1)
    figures = zip(rng.lognormal(0, 1, count), rng.lognormal(0, 1, count), strict=True)
    return tuple(SegmentError(f"series=n{i}", "ridge", ours, naive, 60) for i, (ours, naive) in enumerate(figures))


def full(segment: str = "series=n1") -> RunReport:
    return RunReport(
        summary(),
        (SegmentError(segment, segment, 2.5, 2.0, 77), SegmentError("series=n2", "ridge", 0.5, 1.0, 77)),
        {segment: 3, "ridge": 1},
        (OutcomeReason("failed", f"{segment}: not finite", 1),),
        (GateCount("beats_baseline", 3, 1), GateCount("latency", 2, 2, decisive=False)),
        (HeldSegment(segment, f"{segment} is worse"),),
        (sample(segment, actual=(5.5, NAN)),),
    )


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


def test_summary_has_exactly_the_agreed_keys():
    content = json.loads(summary_json(summary()))
    agreed = (
        "fleet run_id release segments outcomes registered promoted held predictions metric stages peak_rss_bytes rows"
    )
    assert list(content) == [*agreed.split(), "tables", "started_at", "finished_at", "config", "versions", "files"]
    assert content["outcomes"] == {"trained": 3, "reused": 1, "fallback": 1, "skipped": 0, "failed": 1}
    assert list(content["metric"]) == ["name", "champion", "baseline", "test"]
    assert list(content["metric"]["test"]) == ["name", "champion", "baseline", "coverage", "rows", "segments", "source"]
    assert content["stages"][0] == {"name": "ingest", "seconds": 1.5, "rows": 700}
    assert content["rows"] == {"read": 700, "accepted": 690, "quarantined": 10}


def test_refused_files_are_in_the_summary_and_on_the_page():
    assert json.loads(summary_json(summary()))["files"] == {"found": 0, "unchanged": 0, "refused": []}
    assert "refused" not in render_html(RunReport(summary()))
    messages = tuple(f"/in/<{number:02d}>.csv: no column price" for number in range(23))
    refused = summary(files=Files(30, 5, messages))
    assert json.loads(summary_json(refused))["files"] == {"found": 30, "unchanged": 5, "refused": list(messages)}
    html = render_html(RunReport(refused))
    assert Page(html).tags.count("h2") == Page(render_html(RunReport(summary()))).tags.count("h2") + 1
    assert "23 of 30 files were refused" in html
    assert "/in/&lt;19&gt;.csv: no column price" in html
    assert "/in/&lt;20&gt;.csv" not in html


def test_summary_has_null_where_there_is_no_number():
    metric = Metric("wape", NAN, float("inf"), None)
    text = summary_json(
        summary(release=None, metric=metric, registered=np.int64(4), stages=(Stage("x", np.float64(NAN)),))
    )
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["metric"] == {"name": "wape", "champion": None, "baseline": None, "test": None}
    assert content["release"] is None
    assert content["registered"] == 4
    assert content["stages"][0]["seconds"] is None


@pytest.mark.parametrize(
    "report", [full(), RunReport(summary(metric=Metric("wape", None, None), stages=(), tables={}))]
)
def test_page_is_well_formed_and_needs_nothing_else(report):
    html = render_html(report)
    page = Page(html)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "href", "onload"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html.replace("'none'", ""))
    assert page.tags.count("svg") <= page.tags.count("title") - 1
    assert page.attributes.count(("role", "img")) == page.tags.count("svg")
    assert page.tags.count("th") == sum(name == "scope" for name, _ in page.attributes)


def test_page_escapes_hostile_names():
    hostile, plain = Page(render_html(full(HOSTILE))), Page(render_html(full()))
    assert hostile.tags == plain.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert "49" not in re.findall(r"brand=(\d+)", render_html(full(HOSTILE)))
    assert ("title", HOSTILE) in hostile.attributes


def test_page_says_who_wins_and_what_failed():
    html = re.sub(r"\s+", " ", render_html(full()))
    assert "beats the naive baseline in <strong>1</strong> (50 %), equals it in 0 and is worse in 1 (50 %)" in html
    assert "baseline 16.50: 19.7 % lower" in html
    assert "89.3 %" in html
    assert "1 failed; the reasons are below" in html
    assert "DeltaTable(&#34;/lake/m3/predictions&#34;).to_pandas()" in html
    assert "do not balance" not in html


def test_page_compares_no_missing_figure():
    html = re.sub(r"\s+", " ", render_html(RunReport(summary(metric=Metric("wape", NAN, 16.0)))))
    assert "baseline 16.00</dd>" in html
    assert "nan" not in html.split("</style>")[1].lower().replace("champion against baseline, all segments", "")


def test_page_says_when_outcomes_or_rows_do_not_balance():
    html = render_html(RunReport(summary(segments=7, rows=Rows(700, 690, 9))))
    assert "6 outcomes, 7 segments" in html
    assert "1 rows read are neither" in html


def test_page_lists_the_worst_segments_first_and_none_without_a_figure():
    report = RunReport(
        summary(), (*errors(50), SegmentError("series=none", "", NAN, 1.0, 3), SegmentError("x", "", None, None, 0))
    )
    table = render_html(report).split("Worst segments")[1].split("</table>")[0]
    listed = re.findall(r"series=\w+", table)
    expected = sorted(report.errors[:50], key=lambda error: -error.champion)[:15]
    assert listed == [error.segment for error in expected]


def test_page_does_not_grow_with_the_fleet():
    held = tuple(HeldSegment(f"series=h{i}", "worse") for i in range(5_000))
    small = render_html(RunReport(summary(), errors(500), held=held[:20], samples=(sample(),) * 12))
    large = render_html(RunReport(summary(), errors(20_000), held=held, samples=(sample(),) * 500))
    assert len(large) < 1.05 * len(small)
    assert "10 of 5,000" in large


def test_comparison_counts_every_segment_once():
    comparison = compare([0.5, 1.0, 1.02, 2.0, 0.0, 3.0, None, NAN], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    assert (comparison.better, comparison.same, comparison.worse, comparison.missing) == (1, 3, 2, 2)
    assert comparison.quantiles(0.5) == (1.0, 1.0, 1.0)


def test_ratio_chart_draws_every_segment_in_its_class():
    ratios = np.array([0.0, 0.2, 0.974, 0.976, 1.0, 1.024, 1.026, 1.9, 2.5, 80.0, np.inf])
    chart = ratio_chart(
        compare(list(np.where(np.isinf(ratios), 1.0, ratios)), list(np.where(np.isinf(ratios), 0.0, 1.0)))
    )
    bars = re.findall(r'"bar (\w+)".*?<title>.*?: (\d+) segments', chart)
    counts = {kind: sum(int(n) for name, n in bars if name == kind) for kind in ("better", "same", "worse")}
    assert counts == {"better": 3, "same": 3, "worse": 5}
    assert "above 1.975: 3 segments" in chart


def test_ecdf_rises_to_all_segments():
    chart = ecdf_chart(compare(list(np.linspace(0.1, 1, 500)), list(np.linspace(0.2, 2, 500))), "wape")
    for kind, share in (("baseline", 0.94), ("champion", 1.0)):
        points = re.search(rf'"line {kind}" d="([^"]+)"', chart)[1].replace("h0", "")
        heights = [float(pair.split(",")[1]) for pair in re.split("[ML]", points)[1:]]
        assert len(heights) < 250
        assert heights == sorted(heights, reverse=True)
        assert heights[-1] == pytest.approx(236 - share * 224, abs=0.5)


def test_forecast_chart_interrupts_lines_where_nothing_is_known():
    chart = forecast_chart(sample(history=(3.0, NAN, 4.0, 5.0), actual=(NAN, NAN)))
    paths = dict(re.findall(r'<path class="([\w ]+)" d="([^"]*)"', chart))
    assert paths["line history"].count("M") == 2
    assert paths["line champion"].count("M") == 1
    assert paths["line actual"] == ""
    assert "nan" not in chart


def test_forecast_chart_is_not_dwarfed_by_a_huge_interval():
    chart = forecast_chart(sample(upper=(1e12, 1e12)))
    assert "G<" not in chart
    assert forecast_chart(sample(history=(), times=(), forecast_times=(), prediction=(), lower=(), upper=())) == ""


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


def test_figures_never_claim_more_than_they_know():
    assert [format_percent(share) for share in (0.0, 0.0004, 0.004, 0.5, 0.996, 0.99999, 1.0, NAN)] == [
        *("0 %", "<0.1 %", "0.4 %", "50 %", "99.6 %", ">99.9 %", "100 %", "–")
    ]
    assert [format_number(value) for value in (None, NAN, 0.0, 0.131, 13.517, 1234567.0, float("inf"))] == [
        *("–", "–", "0", "0.1310", "13.52", "1,234,567", "∞")
    ]
    assert [format_duration(seconds) for seconds in (1.5, 38.4, 125, 4_020)] == [
        "1.50 s",
        "38.4 s",
        "2 min 05 s",
        "1 h 07 min",
    ]
