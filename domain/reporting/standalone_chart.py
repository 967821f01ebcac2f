"""A chart of the report on its own: with its styles, for a notebook or a file."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

__all__ = ["standalone_chart"]

_NAME = "myriad-chart"
_OPENING = re.compile(r'<svg class="chart ([^"]*)"')


def standalone_chart(chart: Markup, width: int = 640) -> str:
    """Return a chart with the styles of the report; they apply to nothing else of the page.

    width : of the picture in pixels; it shrinks with its surroundings.
    """
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" class="{_NAME} \\1"'
    text = _OPENING.sub(opening, str(chart), count=1)
    return text.replace("<title>", f"<style>{_styles()}</style><title>", 1)


@cache
def _styles() -> str:
    """The rules of the report's style sheet that concern charts, for charts on their own."""
    loader = PackageLoader("domain.reporting")
    sheet = loader.get_source(Environment(autoescape=True), "report.css")[0]
    variables = " ".join(re.findall(r"(--[\w-]+: [^;]+;)", sheet.partition("@media")[0]))
    rules = re.findall(r"^svg.*$", sheet, re.MULTILINE)
    charts = [rule.replace("svg.chart", f".{_NAME}").replace("svg.", f".{_NAME}.") for rule in rules]
    charts = [re.sub(r"(^|[,}] ?)svg ", rf"\1.{_NAME} ", rule) for rule in charts]
    own = f"max-width: 100%; height: auto; background: var(--card); font-family: system-ui, sans-serif; {variables}"
    return f".{_NAME} {{ {own} }} {' '.join(rule for rule in charts if 'width: 100%' not in rule)}"
