"""What `Fleet` returns: the values that the commands print, which notebooks display as tables and pages."""

import webbrowser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from domain.errors import RequestError
from domain.reporting.segment_view import describe_level
from myriad import markup

__all__ = ["Chart", "Page", "Report", "Result", "RunResult"]


class Result(Mapping[str, Any]):
    """Figures of a run, by the names that the command prints with `--json`."""

    def __init__(self, title: str, figures: Mapping[str, Any]) -> None:
        self.title = title
        self._figures = dict(figures)

    def __getitem__(self, name: str) -> Any:
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def rows(self) -> Iterator[tuple[str, object]]:
        """Names and values to display."""
        for name, value in self.items():
            if name == "levels" and isinstance(value, Mapping):
                yield "made by", {describe_level(level): rows for level, rows in value.items()}
            elif name == "stages" and isinstance(value, Mapping):
                for stage, figures in value.items():
                    yield stage, {key: item for key, item in figures.items() if item not in (None, "", 0, {}, [])}
            elif value is not None:
                yield name.replace("_", " "), value

    def __repr__(self) -> str:
        return "\n".join([self.title, *(f"  {name}: {markup.text_of(value)}" for name, value in self.rows())])

    def _repr_html_(self) -> str:
        return markup.section(self.title, markup.facts(self.rows()))


@dataclass(frozen=True)
class Page:
    """A page of HTML; a notebook shows it inline. height : of the frame in pixels."""

    text: str
    height: int = 700

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        Path(path).write_text(self.text, encoding="utf-8")

    def __repr__(self) -> str:
        return f"Page({len(self.text):,} characters of HTML; save it with .save(path))"

    def _repr_html_(self) -> str:
        # In a sandbox: whatever the data say, the page runs nothing and reaches nothing of the notebook.
        style = f'style="width: 100%; height: {self.height}px; border: 1px solid #ccc"'
        return f'<iframe sandbox="" {style} srcdoc="{escape(self.text)}"></iframe>'


@dataclass(frozen=True)
class Report:
    """The report of a run; a notebook shows it inline."""

    run_id: str
    path: Path

    def page(self) -> Page:
        """The report as a page."""
        return Page(self.path.read_text(encoding="utf-8"))

    def open(self) -> None:
        """Open the page in the browser of this machine. Raises RequestError if there is none."""
        if not webbrowser.open(self.path.resolve().as_uri()):
            raise RequestError(f"{self.path}: this machine has no browser to open it with; copy it to one that has")

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


class RunResult(Result):
    """Figures of a whole run, and its report."""

    def __init__(self, figures: Mapping[str, Any], report: Report) -> None:
        super().__init__(f"{figures['fleet']}, run {figures['run_id']}", figures)
        self.report = report

    def rows(self) -> Iterator[tuple[str, object]]:
        """Names and values to display."""
        rows = self["rows"]
        yield "rows", f"{rows['read']:,} read = {rows['accepted']:,} accepted + {rows['quarantined']:,} quarantined"
        if refused := self["files"]["refused"]:
            yield "files refused", "\n".join(refused)
        outcomes = {name: count for name, count in self["outcomes"].items() if count}
        yield "segments", f"{self['segments']:,}: {markup.text_of(outcomes)}"
        yield "models", f"{self['registered']:,} registered, {self['promoted']:,} promoted, {self['held']:,} held"
        yield "release", self["release"] or "none"
        yield "predictions", self["predictions"]
        metric = self["metric"]
        for kind, figures in (("backtest", metric), ("test", metric["test"])):
            if figures and figures["champion"] is not None:
                baseline = f", naive baseline {figures['baseline']:.4g}" if figures["baseline"] is not None else ""
                yield f"{kind} {figures['name']}", f"{figures['champion']:.4g}{baseline}"
        yield "time", f"{sum(stage['seconds'] for stage in self['stages']):.1f} s"
        yield "report", str(self.report.path)


@dataclass(frozen=True)
class Chart:
    """A chart of the report as SVG; a notebook shows it inline."""

    svg: str

    def save(self, path: str | Path) -> None:
        """Write the picture to a file."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_html_(self) -> str:
        return self.svg

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Chart({len(self.svg):,} characters of SVG; save it with .save(path))"
