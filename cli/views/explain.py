"""Output of `myriad explain` for a segment and for one prediction."""

import math
from collections.abc import Iterator, Sequence

from cli.views.status import describe_source, time_text
from cli.views.tables import Section, print_sections, text_bar
from domain.config.candidates import ENSEMBLE
from domain.reporting.formatting import format_count, format_number, format_percent
from domain.reporting.segment_view import (
    CandidateView,
    ChampionView,
    DataView,
    InputView,
    ModelView,
    PredictionLineage,
    PredictionView,
    SegmentView,
    describe_level,
    sparkline,
)

__all__ = ["print_lineage", "print_segment"]

_MAX_REJECTED, _MAX_OUTCOMES, _MAX_FILES, _MAX_OTHERS = 10, 10, 10, 10
_ROW = ("time", "step", "prediction", "lower", "upper", "model", "made by", "release", "note")
_FIGURES = frozenset({1, 2, 3, 4})


def print_segment(view: SegmentView) -> None:
    """Print everything about one segment, from its rows to its predictions."""
    print_sections(_explanation(view))


def print_lineage(lineage: PredictionLineage) -> None:
    """Print the lineage of one prediction."""
    print_sections(_lineage(lineage))


def _explanation(view: SegmentView) -> Iterator[Section]:
    name = f"segment {view.segment}" if view.level == "segment" else f"fallback group {view.segment} ({view.level})"
    yield Section(f"{name} of fleet {view.fleet}", list(_data_rows(view)))
    rejected = [(row.reason, row.detail, f"{row.path} row {row.row}") for row in view.rejected[:_MAX_REJECTED]]
    more = len(view.rejected) - len(rejected)
    title = f"{format_count(len(view.rejected), 'quarantined row')}{f', {more:,} not shown' if more else ''}"
    yield Section(title, rejected, ("reason", "detail", "where"))
    ranks = [_rank_row(rank) for rank in view.leaderboard]
    metric = view.challenger.metric if view.challenger else ""
    header = ("", "candidate", f"{metric} in the backtest".strip(), "weight", "")
    yield Section("candidates", ranks, header, numbers=frozenset({2, 3}))
    yield Section("why", [(view.choice,)] if view.choice else [])
    history = [(item.run_id, time_text(item.at), item.outcome, item.reason or item.candidate) for item in view.outcomes]
    yield Section("outcomes, newest first", history[:_MAX_OUTCOMES], ("training", "ended", "outcome", "reason"))
    verdicts = [
        (verdict.gate, "passed" if verdict.passed else "failed" if verdict.decisive else "noted", verdict.reason)
        for verdict in view.verdicts
    ]
    yield Section(f"gates, run {view.verdicts[0].run_id}" if verdicts else "", verdicts, ("gate", "verdict", "figures"))
    yield Section("champion", list(_champion_rows(view)))
    yield Section("lineage", list(_chain(view)))
    yield from _prediction_sections(_forecast_title(view), view.predictions)


def _rank_row(rank: CandidateView) -> tuple[str, ...]:
    """Format a candidate. Weights are shares in the selected model, so the combination has none itself."""
    weight = 0.0 if rank.candidate == ENSEMBLE else rank.weight
    share = format_percent(weight) if weight else ""
    return ("→" if rank.selected else "", rank.candidate, format_number(rank.error), share, text_bar(weight, 10))


def _data_rows(view: SegmentView) -> Iterator[tuple[str, str]]:
    yield from view.values.items()
    if view.data is None:
        source = "the rows of all its segments" if view.level != "segment" else "no observations: the fallback predicts"
        yield "data", source
        return
    data = view.data
    excluded = f", {data.excluded:,} excluded as outliers" if data.excluded else ""
    gaps = f", {format_count(data.gaps, 'gap', zero='no')}" if data.first_time else ""
    span = f", {time_text(data.first_time)} to {time_text(data.last_time)}" if data.first_time else ""
    yield "data", f"{format_count(data.rows, 'row')}{span}{gaps}{excluded}"
    yield "target", f"mean {format_number(data.mean)}, std {format_number(data.std)}, {_demand(data)}"
    if data.first_time:
        yield "history", sparkline(data.targets)


def _demand(data: DataView) -> str:
    zeros = f", {format_percent(data.zero_share)} zeros" if data.zero_share else ""
    return f"{data.demand} demand{zeros}" if data.first_time else f"{format_percent(data.zero_share)} zeros"


def _champion_rows(view: SegmentView) -> Iterator[tuple[str, str]]:
    champion = view.champion
    if champion is None:
        fallback = next((row for row in view.predictions if row.status == "ok"), None)
        status = f"none in release {view.release}" if view.release else "none: there is no release yet"
        yield "model", f"{status}; {_made_by(fallback)} predicts" if fallback else status
        return
    model = champion.model
    yield "model", f"{model.model_name} version {model.model_version}: {model.candidate}"
    yield "release", _release(champion)
    yield "error", _error(model)
    yield "size", f"{model.size_bytes:,} bytes, sha256 {model.sha256}"


def _release(champion: ChampionView) -> str:
    source = describe_source(champion.source)
    since = f", in force since release {champion.since_release}" if champion.since_release < champion.release else ""
    return f"{champion.release}{since}; {champion.kind} of {time_text(champion.promoted_at)} from {source}"


def _error(model: ModelView) -> str:
    comparison = (
        f"{format_number(model.error)} {model.metric} against {format_number(model.baseline_error)} of the naive"
    )
    if math.isfinite(model.error) and model.baseline_error:
        change = model.error / model.baseline_error - 1
        return f"{comparison} baseline ({'+' if change > 0 else '−'}{format_percent(abs(change))})"
    return f"{comparison} baseline"


def _chain(view: SegmentView) -> Iterator[tuple[str, str]]:
    """List the chain input file, rows, challenger, version, release, predictions."""
    yield from _file_rows(view.inputs)
    if view.data is not None:
        yield "rows", f"{view.data.rows:,} observations in bucket {view.bucket}"
    if challenger := view.challenger:
        cutoff = f" up to {time_text(challenger.cutoff)}" if challenger.cutoff else ""
        trained = f"{challenger.candidate} on {challenger.rows:,} rows{cutoff}"
        yield "challenger", f"run {challenger.run_id}: {trained}"
        yield "version", _registered(challenger)
    if view.champion is not None:
        model = view.champion.model
        same = view.challenger is not None and model.fingerprint == view.challenger.fingerprint
        origin = "that challenger" if same else f"version {model.model_version}, of run {model.run_id}"
        yield "release", f"{_release(view.champion)}: {origin}"
    elif view.release:
        yield "release", f"{view.release}: without a model of its own"
    if view.predictions:
        first = view.predictions[0]
        yield "predictions", f"{len(view.predictions):,} of {view.predicted_rows:,} below, job {first.job_id}"


def _registered(model: ModelView) -> str:
    if model.model_version is None:
        return "not registered yet"
    return f"{model.model_name} version {model.model_version}: models:/{model.model_name}/{model.model_version}"


def _file_rows(inputs: Sequence[InputView]) -> Iterator[tuple[str, str]]:
    for number, file in enumerate(inputs[:_MAX_FILES]):
        late = f", {file.rows - file.trained:,} after the model's cutoff" if file.trained < file.rows else ""
        name = file.path or f"input {file.input_id}, whose file is no longer known"
        yield "input" if number == 0 else "", f"{name}: {format_count(file.rows, 'row')}{late}"
    if len(inputs) > _MAX_FILES:
        yield "", f"and {len(inputs) - _MAX_FILES:,} more; --json lists all"


def _forecast_title(view: SegmentView) -> str:
    if not view.predictions:
        return ""
    first = view.predictions[0]
    if first.step is None:
        return f"newest predictions, {len(view.predictions):,} of {view.predicted_rows:,}"
    line = sparkline([*(view.data.targets[-40:] if view.data else ()), *(row.prediction for row in view.predictions)])
    return f"forecast from {time_text(first.origin)}: {line}"


def _prediction_sections(title: str, predictions: Sequence[PredictionView]) -> Iterator[Section]:
    """Show the rows; a note that all of them share stands below them once."""
    rows = [_prediction_row(row) for row in predictions]
    notes = {row[-1] for row in rows}
    if len(rows) < 2 or len(notes) > 1:
        yield Section(title, rows, _ROW, _FIGURES)
        return
    yield Section(title, [row[:-1] for row in rows], _ROW[:-1], _FIGURES)
    if note := notes.pop():
        yield Section("note on each of them", [(note,)])


def _prediction_row(row: PredictionView) -> tuple[str, ...]:
    step = str(row.step) if row.step is not None else f"row {row.row}" if row.row is not None else ""
    numbers = tuple(format_number(value) for value in (row.prediction, row.lower, row.upper))
    model = f"{row.model_name} v{row.model_version}" if row.model_name else row.candidate or row.status
    note = row.reason or row.row_key or ""
    return (time_text(row.time), step, *numbers, model, describe_level(row.fallback_level), str(row.release), note)


def _made_by(row: PredictionView) -> str:
    named = f" {row.model_name} version {row.model_version}" if row.model_name else ""
    return f"{describe_level(row.fallback_level)}{named}"


def _lineage(lineage: PredictionLineage) -> Iterator[Section]:
    row, made_by = lineage.prediction, lineage.made_by
    yield Section(f"prediction of {row.segment}", [_prediction_row(row)], _ROW, _FIGURES)
    yield Section("lineage, from the number back to the files", list(_steps_back(lineage)))
    others = [(time_text(other.origin), *_prediction_row(other)) for other in lineage.others[:_MAX_OTHERS]]
    title = f"other predictions: {len(lineage.others):,}"
    yield Section(title, others, ("origin", *_ROW), frozenset(place + 1 for place in _FIGURES))
    if made_by is None and row.model_name:
        expiry = f"release {row.release} is no longer kept (gates.keep_releases)"
        yield Section("note", [(f"{expiry}; the registry has models:/{row.model_name}/{row.model_version}",)])


def _steps_back(lineage: PredictionLineage) -> Iterator[tuple[str, str]]:
    row, made_by = lineage.prediction, lineage.made_by
    number = format_number(row.prediction) if row.prediction is not None else f"no number, {row.status}"
    yield "number", f"{number}{f' ({row.reason})' if row.reason else ''}"
    yield "job", f"{row.job_id}, scored {time_text(row.scored_at)}"
    yield "made by", f"{_made_by(row)}{f', {row.candidate}' if row.candidate else ''}"
    yield "release", _release(made_by) if made_by else str(row.release or "none")
    if made_by:
        model = made_by.model
        cutoff = f" up to {time_text(model.cutoff)}" if model.cutoff else ""
        yield "trained", f"run {model.run_id}: {model.candidate} on {format_count(model.rows, 'row')}{cutoff}"
        yield "graph", f"{model.size_bytes:,} bytes, sha256 {model.sha256}"
        yield "error", _error(model)
    if row.origin is not None:
        yield "origin", f"{time_text(row.origin)}, step {row.step}"
    if lineage.covariates is not None:
        yield "features", lineage.covariates.path
    elif row.input_id.startswith("observations@"):
        yield "features", f"no scoring input; observations table version {row.input_id.removeprefix('observations@')}"
    yield from _file_rows(lineage.inputs)
