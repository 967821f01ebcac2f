"""The page as a person sees it: in a real browser, wide and narrow, light, dark and printed."""

from dataclasses import replace

import pytest
from browser import Browser
from reports import errors, full, measured_rows, rows_example, summary

from domain.reporting.page import RunReport, render_html

LONG = "country=Österreich und Umgebung/product=" + "sehr-lang-" * 12
REPORTS = {
    "forecast": replace(full(LONG), errors=(*full(LONG).errors, *errors(300))),
    "regression": RunReport(
        summary(config={"task": "regression"}),
        errors(40),
        examples=(rows_example(LONG), rows_example()),
        worst_examples=(rows_example(),),
        test_rows=measured_rows(2_000),
        target="delay",
    ),
}
BEYOND_THE_PICTURE = """
[...document.querySelectorAll('svg text')].filter(text => {
  const inner = text.getBoundingClientRect(), outer = text.closest('svg').getBoundingClientRect();
  return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
}).map(text => text.textContent)
"""
OVERLAPPING = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const boxes = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>
    p.left < q.right && q.left < p.right && p.top + 3 < q.bottom && q.top + 3 < p.bottom).map(([b]) => `${a} | ${b}`));
})
"""


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module", params=list(REPORTS))
def page(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html(REPORTS[request.param]), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1240, 768, 390])
def test_page_fits_its_window_and_no_label_is_cut_or_covered(browser, page, width):
    browser.open(page, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(BEYOND_THE_PICTURE) == []
    assert browser.run(OVERLAPPING) == []


def test_page_loads_nothing_else_and_the_browser_has_no_complaint(browser, page):
    browser.open(page)
    asked = [event["params"]["request"]["url"] for event in browser.events if event["method"].endswith("WillBeSent")]
    assert asked == [page.as_uri()]
    assert [
        event for event in browser.events if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")
    ] == []


def test_dark_pages_are_dark_and_paper_is_white(browser, page):
    grounds = []
    for scheme, media in (("light", ""), ("dark", ""), ("dark", "print")):
        browser.open(page, scheme=scheme, media=media)
        colour = browser.run("getComputedStyle(document.body).backgroundColor")
        grounds.append(sum(int(part) for part in colour.strip("rgb()").split(",")) / 3)
    assert grounds[0] > 240
    assert grounds[1] < 30
    assert grounds[2] == 255


def test_links_of_the_page_go_to_their_sections(browser, page):
    browser.open(page)
    for link in browser.run("[...document.querySelectorAll('nav a')].map(link => link.hash)"):
        browser.run(f"document.documentElement.style.scrollBehavior = 'auto'; location.hash = '{link}'")
        top = browser.run(f"document.querySelector('{link}').getBoundingClientRect().top")
        bottom = browser.run("document.documentElement.scrollHeight - innerHeight - scrollY")
        assert 0 <= top <= 200 or bottom < 2, link
