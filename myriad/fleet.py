"""A fleet in Python: what the commands do, with frames and pages as results."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Self

from adapters.compute.progress import Progress
from adapters.lake.report_files import find_report
from adapters.queries.export import read_table
from adapters.queries.fleet_status import read_status
from adapters.queries.predictions import explain_prediction
from adapters.queries.segment_chart import read_series
from adapters.queries.segment_rows import resolve_segment
from adapters.queries.segment_view import explain_segment
from domain.errors import RequestError
from myriad import markup
from myriad.frames import FrameKind, from_arrow
from myriad.home import FleetHome, of_content, of_reference, open_settings
from myriad.progress import progress_display
from myriad.results import Chart, Report, Result, RunResult
from myriad.runs import call
from myriad.views import CheckResult, Explanation, Lineage, Status

__all__ = ["Fleet"]

Segment = str | Sequence[object] | Mapping[str, object]
"""A key (`store=2/brand=5`), its values (`2/5`), a sequence of values, or a mapping of column to value."""
Moment = str | date


class Fleet:
    """A fleet of models: one per segment.

    Parameters
    ----------
    fleet : path of a fleet file, name of one in fleets/, or a dict with its keys.
    home : folder that relative paths start from; default: MYRIAD_HOME, or the current folder.
    lake : folder or s3:// address of the tables; default: MYRIAD_LAKE, or var/lake below the home.
    progress : show the progress of runs.

    Raises
    ------
    MyriadError
        Everything that a user can put right: each message names the way out. So does every method.

    Notes
    -----
    Runs work in a process of their own, which ends with the run: they may be started within a running event loop, any
    number of times, and leave neither servers nor workers behind.
    """

    def __init__(
        self,
        fleet: str | Path | Mapping[str, Any],
        *,
        home: str | Path | None = None,
        lake: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        settings = open_settings(home, lake)
        self._home = of_content(fleet, settings) if isinstance(fleet, Mapping) else of_reference(fleet, settings)
        self.progress = progress
        self.remarks: tuple[str, ...] = ()

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        name: str,
        *,
        home: str | Path | None = None,
        lake: str | Path | None = None,
        progress: bool = True,
        overwrite: bool = False,
        **settings: Any,
    ) -> Self:
        """Draft a fleet from a pandas, polars or Arrow frame, as `myriad new` drafts one from files.

        The rows go to data/frames/NAME.parquet and the draft to fleets/NAME.yaml, with a reason for each choice.
        The same call with newer rows replaces the rows.

        Parameters
        ----------
        overwrite : replace a fleet file that is for other data or has other sections.
        settings : `target`, `segment_by`, `time`, `horizon`, `task`, and any section of a fleet file; they take the
            place of what the draft would choose.
        """
        from myriad.from_frame import describe_draft, draft_from_frame

        opened = open_settings(home, lake)
        draft = draft_from_frame(frame, name, opened, settings, overwrite=overwrite)
        fleet = cls(name, home=opened.home, lake=lake, progress=progress)
        kept = f"fleets/{name}.yaml stays as it is, with the rows of this frame"
        fleet.remarks = (kept,) if draft is None else tuple(describe_draft(draft))
        if progress:
            print("\n".join([f"fleet {name}: fleets/{name}.yaml", *(f"  {remark}" for remark in fleet.remarks)]))
        return fleet

    @property
    def name(self) -> str:
        """Name of the fleet."""
        return self._home.name

    @property
    def home(self) -> FleetHome:
        """Settings, tables and files of the fleet."""
        return self._home

    def check(self) -> CheckResult:
        """Check the fleet file and its data before a run; writes nothing."""
        from adapters.sources.sampling import check_fleet

        settings = self._home.settings
        return CheckResult.of(check_fleet(self._home.fleet(), settings.home, settings.workers))

    def run(self) -> RunResult:
        """Run all stages: ingest, partition, train, register, promote, score, accuracy and report."""
        result = self._call("run_all")
        path = Path(result["report"])
        figures = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return RunResult(figures, self.report(result["run_id"]))

    def ingest(self) -> Result:
        """Load new and changed files into the lake, each exactly once."""
        return self._stages("ingest")

    def train(self) -> Result:
        """Take in new rows, and train and register a challenger for every segment that changed."""
        return self._stages("ingest", "partition", "train")

    def promote(self) -> Result:
        """Promote the challengers that pass the fleet's gates, all at once, as a new release."""
        return self._stages("promote")

    def score(
        self,
        *,
        as_of: Moment | None = None,
        first: Moment | None = None,
        last: Moment | None = None,
        release: int | None = None,
        inputs: Sequence[str | Path] | None = None,
    ) -> Result:
        """Forecast the next periods, or predict the rows of new scoring input, each exactly once.

        Parameters
        ----------
        as_of : forecast from this past date, using only the rows up to it.
        first, last : forecast as of the end of every period of a past span.
        release : default: the one in force.
        inputs : files to score instead of the fleet's source.
        """
        if (first is None) != (last is None) or (first is not None and as_of is not None):
            raise RequestError("score: a backfill needs both first and last, and no as_of")
        if inputs and first is not None:
            raise RequestError("score: inputs are for a single job: omit first and last")
        jobs = self._call(
            "score_fleet",
            release=release,
            as_of=_moment(as_of),
            span=(_moment(first), _moment(last)),
            inputs=[str(path) for path in inputs] if inputs else None,
        )
        title = f"score of {self.name}"
        if len(jobs) == 1:
            return Result(title, jobs[0])
        figures = {"jobs": jobs, "rows": sum(job["rows"] for job in jobs), "release": jobs[-1]["release"]}
        return Result(title, figures)

    def rollback(self, to: int) -> Result:
        """Put the champions of an earlier release back in force, as a new release."""
        return Result(f"rollback of {self.name} to release {to}", self._call("roll_back", to=to))

    def pin(self, segment: Segment, version: int) -> Result:
        """Pin a segment to a registered version of its model, as a new release."""
        key = self._key(segment)
        return Result(f"pin of {key}", self._call("pin_segment", segment=key, version=version))

    def unpin(self, segment: Segment) -> Result:
        """End the pin of a segment, so that challengers compete again."""
        key = self._key(segment)
        return Result(f"end of the pin of {key}", self._call("pin_segment", segment=key, version=None))

    def status(self) -> Status:
        """Read the state of the fleet: release, outcomes, predictions, quarantine, inputs, and the next steps."""
        settings = self._home.settings
        return Status.of(read_status(self._home.tables, settings.path(settings.reports), self._home.reference))

    def table(
        self,
        name: str,
        *,
        release: int | None = None,
        segment: Segment | None = None,
        as_: FrameKind = "pandas",
    ) -> Any:
        """Read a table as a frame, with one column per part of the segment key; an unknown name lists all.

        Parameters
        ----------
        release, segment : only rows of this release, or of this segment.
        as_ : kind of the frame: pandas, arrow or polars.
        """
        key = None if segment is None else self._key(segment)
        return from_arrow(read_table(self._home.tables, self._home.fleet(), name, release, key), as_)

    def forecasts(
        self, *, release: int | None = None, segment: Segment | None = None, as_: FrameKind = "pandas"
    ) -> Any:
        """Read the current forecasts: those of the release in force from the newest row of each segment."""
        return self.table("forecasts", release=release, segment=segment, as_=as_)

    def predictions(
        self, *, release: int | None = None, segment: Segment | None = None, as_: FrameKind = "pandas"
    ) -> Any:
        """Read all predictions, also former ones."""
        return self.table("predictions", release=release, segment=segment, as_=as_)

    def outcomes(self, *, segment: Segment | None = None, as_: FrameKind = "pandas") -> Any:
        """Read what became of each segment in each training, with the reason."""
        return self.table("outcomes", segment=segment, as_=as_)

    def accuracy(
        self,
        by: Literal["step", "segment", "release"] = "step",
        *,
        release: int | None = None,
        as_: FrameKind = "pandas",
    ) -> Any:
        """Compare predictions with the actual values observed since; no rows if there are none yet."""
        from tasks.accuracy import accuracy_rows

        if by not in ("step", "segment", "release"):
            raise RequestError(f"accuracy by {by!r}: choose step, segment or release")
        self._call("measure_accuracy")
        tables = self._home.tables
        return from_arrow(accuracy_rows(tables.lake, tables.fleet, by, release), as_)

    def explain(self, segment: Segment) -> Explanation:
        """Explain a segment by its data, candidates, outcomes, verdicts, champion and forecast."""
        return Explanation.of(explain_segment(self._home.tables, self._key(segment), self._home.definition))

    def trace(self, segment: Segment, *, time: Moment | None = None, row: int | None = None) -> Lineage:
        """Trace one prediction back to its model and its files. time, row : of the prediction, one of the two."""
        if (time is None) == (row is None):
            raise RequestError("trace: give the time of the prediction, or the row of the scoring file")
        return Lineage.of(explain_prediction(self._home.tables, self._key(segment), _moment(time), row))

    def plot(self, segment: Segment) -> Chart:
        """Draw the history of a segment and its current forecast with its interval."""
        from domain.reporting.series_charts import forecast_chart
        from domain.reporting.standalone_chart import standalone_chart

        definition = self._home.definition
        if definition is not None and not definition.task_type.periodic:
            raise RequestError(
                f"fleet {self.name}: a {definition.task} fleet has no series to plot; fleet.report() compares its "
                "predictions with actual values"
            )
        series = read_series(self._home.tables, self._key(segment))
        return Chart(standalone_chart(forecast_chart(series)))

    def report(self, run_id: str | None = None) -> Report:
        """Find the report of a run, by default of the newest; a notebook shows it inline."""
        file = find_report(self._home.reports, self._home.reference, run_id)
        return Report(file.run_id, file.path)

    def _stages(self, *names: str) -> Result:
        results = self._call("run_commands", names=names)
        stages = {stage: figures for result in results for stage, figures in result["stages"].items()}
        seconds = round(sum(result["seconds"] for result in results), 3)
        run_id = results[-1]["run_id"]
        figures = {"fleet": self.name, "run_id": run_id, "seconds": seconds, "stages": stages}
        return Result(f"{names[-1]} of {self.name}, run {run_id}", figures)

    def _call(self, action: str, **options: object) -> Any:
        settings, show = self._home.settings, progress_display(shown=self.progress)
        reference = self._home.write()
        show(Progress("start", 0, 0, "a process for the run"))
        return call(action, home=settings.home, lake=settings.lake_uri, show=show, fleet=reference, **options)

    def _key(self, segment: Segment) -> str:
        """Return the key of a segment that the lake knows."""
        if isinstance(segment, Mapping):
            words = ["/".join(f"{column}={value}" for column, value in segment.items())]
        else:
            words = [segment] if isinstance(segment, str) else [str(value) for value in segment]
        return resolve_segment(self._home.tables, words, self._home.reference)

    def __repr__(self) -> str:
        return f"Fleet({self.name!r}, home={str(self._home.settings.home)!r})"

    def _repr_html_(self) -> str:
        definition = self._home.definition
        content = definition.model_dump(mode="json", exclude_defaults=True) if definition else {}
        sections = markup.facts((name, value) for name, value in content.items() if name != "name")
        return markup.section(f"fleet {self.name} in {self._home.settings.home}", sections) + markup.lines(self.remarks)


def _moment(value: Moment | None) -> str | None:
    """Return a date as the commands take it: a time of day only where it has one."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime) and (value.hour, value.minute, value.second) != (0, 0, 0):
        return value.isoformat()
    return f"{value:%Y-%m-%d}"
