"""What `Fleet` shows of a fleet and its segments: the same values as the commands, displayed by notebooks."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

from domain.checks.findings import Findings
from domain.reporting.fleet_status import FleetStatus
from domain.reporting.formatting import format_bytes, format_count, format_duration, format_percent
from domain.reporting.segment_view import PredictionLineage, SegmentView, describe_level
from myriad import markup

__all__ = ["CheckResult", "Explanation", "Lineage", "Status"]

_MAX_SHOWN = 20


class _Shown:
    """A value of the domain with a display of its own."""

    @classmethod
    def of(cls, value: Any) -> Self:
        """Take over all fields of the value."""
        return cls(**{item.name: getattr(value, item.name) for item in fields(value)})


@dataclass(frozen=True, repr=False)
class CheckResult(_Shown, Findings):
    """Findings of a check. `errors` is their number; `problems` holds each with key and message."""

    def _counts(self) -> str:
        warnings = len(self.problems) - self.errors
        return f"{self.fleet}: {format_count(self.errors, 'error')}, {format_count(warnings, 'warning')}"

    def _facts(self) -> Iterator[tuple[str, object]]:
        for source in self.sources:
            size = format_bytes(source.size_bytes)
            yield source.role, f"{source.path}: {format_count(source.files, 'file')}, {source.rows:,} rows read, {size}"
        if self.segments is not None:
            facts = self.segments
            yield "segments", f"{facts.count:,}, of {facts.rows_min:,} to {facts.rows_max:,} rows"
        if self.time is not None:
            yield "time", f"{self.time.first} to {self.time.last} (UTC), frequency {self.time.frequency}"
        if self.estimate is not None:
            estimate = self.estimate
            seconds = format_duration(estimate.train_seconds + estimate.score_seconds)
            memory = format_bytes(estimate.peak_memory_bytes)
            yield "a run", f"{format_count(estimate.models, 'model')}, about {seconds} and {memory}"

    def __repr__(self) -> str:
        problems = [f"  {problem.severity}: {problem.key}: {problem.message}" for problem in self.problems]
        return "\n".join([self._counts(), *(f"  {name}: {value}" for name, value in self._facts()), *problems])

    def _repr_html_(self) -> str:
        problems = [(problem.severity, problem.key, problem.message) for problem in self.problems]
        content = markup.facts(self._facts()) + markup.table(("", "key", "problem"), problems)
        return markup.section(self._counts(), content)


@dataclass(frozen=True, repr=False)
class Status(_Shown, FleetStatus):
    """State of a fleet: release, runs, predictions, quarantine, inputs, and the next steps."""

    def _facts(self) -> Iterator[tuple[str, object]]:
        yield "segments", self.segments
        yield "rows", self.rows
        if self.release is not None:
            release = self.release
            models = f"{release.champions:,} champions, {release.levels:,} of fallback levels"
            yield "release", f"{release.number}: {models}; by {release.kind} from {release.source}"
            yield "candidates", release.candidates
        if self.runs:
            yield "newest training", f"{self.runs[0].run_id}: {markup.text_of(self.runs[0].outcomes)}"
        if self.predictions is not None:
            statuses = markup.text_of(self.predictions.statuses)
            yield "predictions", f"{self.predictions.rows:,}; newest job {self.predictions.job_id}: {statuses}"
        for count in self.quarantine:
            yield f"quarantine, {count.stage}", f"{count.rows:,}: {count.reason}"
        for item in self.inputs:
            yield f"inputs, {item.role}", f"{format_count(item.files, 'file')}, {item.rows_accepted:,} rows accepted"
        if self.at_work:
            yield "at work", self.at_work

    def __repr__(self) -> str:
        rows = (f"  {name}: {markup.text_of(value)}" for name, value in self._facts())
        return "\n".join([f"fleet {self.fleet} in {self.lake}", *rows, *(f"  next: {step}" for step in self.next)])

    def _repr_html_(self) -> str:
        steps = markup.section("next", markup.lines(self.next))
        return markup.section(f"fleet {self.fleet} in {self.lake}", markup.facts(self._facts())) + steps


@dataclass(frozen=True, repr=False)
class Explanation(_Shown, SegmentView):
    """Everything about one segment: data, candidates, outcomes, verdicts, champion and forecast."""

    def _facts(self) -> Iterator[tuple[str, object]]:
        yield from self.values.items()
        if self.data is not None:
            yield "rows", self.data.rows
            yield "target", f"mean {markup.text_of(self.data.mean)}, std {markup.text_of(self.data.std)}"
            yield "zeros", format_percent(self.data.zero_share)
        if self.champion is not None:
            model = self.champion.model
            yield "champion", f"{model.model_name} version {model.model_version}: {model.candidate}"
            error, baseline = markup.text_of(model.error), markup.text_of(model.baseline_error)
            yield model.metric, f"{error}, naive baseline {baseline}"
            yield "release", self.champion.release
        if self.choice:
            yield "why", self.choice

    def _title(self) -> str:
        return f"segment {self.segment} of fleet {self.fleet}"

    def __repr__(self) -> str:
        return "\n".join([self._title(), *(f"  {name}: {markup.text_of(value)}" for name, value in self._facts())])

    def _repr_html_(self) -> str:
        ranks = [("→" if row.selected else "", row.candidate, row.error) for row in self.leaderboard]
        outcomes = [(row.run_id, row.outcome, row.reason or row.candidate) for row in self.outcomes]
        verdicts = [
            (row.gate, "passed" if row.passed else "failed" if row.decisive else "noted", row.reason)
            for row in self.verdicts
        ]
        rejected = [(row.reason, row.detail, f"{row.path} row {row.row}") for row in self.rejected]
        forecast = [
            (row.time or row.row_key, row.prediction, row.lower, row.upper, describe_level(row.fallback_level))
            for row in self.predictions
        ]
        parts = (
            (self._title(), markup.facts(self._facts())),
            ("candidates", markup.table(("", "candidate", "error in the backtest"), ranks)),
            ("outcomes, newest first", markup.table(("training", "outcome", "reason"), outcomes[:_MAX_SHOWN])),
            ("gates", markup.table(("gate", "verdict", "figures"), verdicts)),
            ("quarantined rows", markup.table(("reason", "detail", "where"), rejected[:_MAX_SHOWN])),
            ("predictions", markup.table(("for", "prediction", "lower", "upper", "made by"), forecast)),
        )
        return "".join(markup.section(title, content) for title, content in parts)


@dataclass(frozen=True, repr=False)
class Lineage(_Shown, PredictionLineage):
    """One prediction, back to its model and its files."""

    def _facts(self) -> Iterator[tuple[str, object]]:
        row = self.prediction
        yield "prediction", row.prediction
        yield "interval", f"{markup.text_of(row.lower)} to {markup.text_of(row.upper)}"
        yield "made by", f"{describe_level(row.fallback_level)}: {row.model_name} version {row.model_version}"
        yield "release", row.release
        yield "job", row.job_id
        for item in self.inputs:
            yield "file", f"{item.path}: {item.rows:,} rows"

    def __repr__(self) -> str:
        rows = (f"  {name}: {markup.text_of(value)}" for name, value in self._facts())
        return "\n".join([f"prediction of {self.prediction.segment}", *rows])

    def _repr_html_(self) -> str:
        return markup.section(f"prediction of {self.prediction.segment}", markup.facts(self._facts()))
