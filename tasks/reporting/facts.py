"""Read the facts of the report from the tables: champions, outcomes, quarantine, results of the previous run."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from domain.config.candidates import ENSEMBLE
from domain.data.segments import FALLBACK_BUCKET
from domain.data.tables import CHAMPIONS, INPUTS, LEADERBOARD, OUTCOMES, QUARANTINE, landed, observations
from domain.reporting.accuracy import LiveAccuracy, PastAccuracy
from domain.reporting.changes import ChampionFigures, Changes, InputFile, changes_between
from domain.reporting.reasons import group_reasons
from domain.reporting.summary import OutcomeReason, QuarantineReason, RowCounts, Summary, parse_summary
from models.monitoring.accuracy import FIGURES
from tasks.accuracy import accuracy_rows
from tasks.context import Run
from tasks.promote import kept_releases

__all__ = [
    "changes_since",
    "former_summary",
    "member_weights",
    "outcomes_of",
    "past_accuracy",
    "quarantine_reasons",
    "replaced_candidates",
    "row_balance",
    "segment_champions",
    "settings_of",
]

_EXAMPLES = 3
_EXAMPLE_LETTERS = 140
_INTERNAL = ("hash", "path", "row", "input_id", "path_id")
"""Columns of a landed row besides those of its file."""
_FIGURES = ["segment", "level", "candidate", "error", "fingerprint"]


def segment_champions(run: Run, release: int | None, columns: Sequence[str] = _FIGURES) -> list[dict[str, Any]]:
    """Return the champions of the segments in a release, without the fallback levels."""
    rows = run.table(CHAMPIONS).read([*columns], lambda partition: partition["release"] == str(release))
    return [row for row in rows.to_pylist() if row["level"] == "segment"]


def outcomes_of(run: Run, run_id: str) -> tuple[dict[str, str], tuple[OutcomeReason, ...]]:
    """Return the outcome of each segment in a run, and the reasons of those that were not trained."""
    columns = ["segment", "outcome", "reason"]
    rows = run.table(OUTCOMES).read(columns, lambda partition: partition["run_id"] == run_id).to_pylist()
    reasons = group_reasons(
        (row["outcome"], row["reason"], row["segment"]) for row in rows if row["outcome"] != "trained"
    )
    return {row["segment"]: row["outcome"] for row in rows}, reasons


def row_balance(run: Run) -> RowCounts:
    """Count the rows of all inputs in the lake: each is an observation, merged into one, or in quarantine."""
    inputs = run.table(INPUTS).read(where=lambda partition: partition["role"] == "observations")
    read = pc.sum(inputs["rows_read"]).as_py() or 0
    accepted = sum(file.rows for file in run.table(observations(run.fleet)).files())
    rejected = run.table(QUARANTINE).files(lambda partition: partition["stage"] in ("observations", "partition"))
    refused = [row for row in inputs.to_pylist() if row["error"]]
    merged = sum(file.rows for file in run.table(landed(run.fleet)).files()) - accepted if run.fleet.aggregate else 0
    quarantined = sum(file.rows for file in rejected) - len(refused)
    merged -= sum(file.rows for file in rejected if file.partition["stage"] == "partition") if merged else 0
    return RowCounts(read, accepted, quarantined, merged)


def member_weights(run: Run) -> dict[str, float]:
    """Return the share of each candidate in the models of all segments, by the newest training, promoted or not."""
    rows = run.table(LEADERBOARD).read(
        ["candidate", "weight"], lambda partition: partition["bucket"] != str(FALLBACK_BUCKET)
    )
    rows = rows.filter((pc.field("candidate") != ENSEMBLE) & (pc.field("weight") > 0))
    sums = rows.group_by("candidate").aggregate([("weight", "sum")])
    total = pc.sum(sums["weight_sum"]).as_py()
    return {row["candidate"]: row["weight_sum"] / total for row in sums.to_pylist()}


def past_accuracy(run: Run) -> PastAccuracy:
    """Compare predictions of previous runs with later observations, without those in sample."""
    metric = run.fleet.backtest.metric if run.fleet.backtest.metric in FIGURES else "wape"

    def figures(by: str) -> tuple[LiveAccuracy, ...]:
        rows = accuracy_rows(run.context.lake, run.fleet.name, by).to_pylist()
        fair = [row for row in rows if not row["in_sample"] and row["rows"] and row[by] is not None]
        return tuple(
            LiveAccuracy(row[by], row["rows"], *(_known(row[name]) for name in (metric, "bias", "coverage")))
            for row in fair
        )

    return PastAccuracy(metric, figures("step"), figures("release"))


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def quarantine_reasons(run: Run) -> tuple[QuarantineReason, ...]:
    """Count the rejected rows of every stage by reason, with examples; only one file is in memory at a time."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    table = run.table(QUARANTINE)
    for file in sorted(table.files(), key=lambda file: (file.partition["stage"], file.partition["part"])):
        reasons = table.read_files([file], ["reason"])["reason"]
        new_reasons = []
        for pair in reasons.value_counts().to_pylist():
            key = (file.partition["stage"], pair["values"])
            counts[key] += pair["counts"]
            new_reasons += [pair["values"]] if len(examples[key]) < _EXAMPLES else []
        for reason in new_reasons:
            key = (file.partition["stage"], reason)
            rows = table.read_files([file], ["path", "row", "detail", "content"], pc.field("reason") == reason)
            examples[key] += [_example(row) for row in rows.slice(0, _EXAMPLES - len(examples[key])).to_pylist()]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        QuarantineReason(stage, reason, rows, tuple(examples[stage, reason])) for (stage, reason), rows in ordered
    )


def _example(row: Mapping[str, Any]) -> str:
    """Describe a rejected row by its place and content, or a refused file by its fault."""
    text = str(row["detail"])
    if row["row"] >= 0:
        text = f"{Path(row['path']).name}, row {row['row']} from 0: {text}: {_values(row['content'])}"
    return text if len(text) <= _EXAMPLE_LETTERS else f"{text[: _EXAMPLE_LETTERS - 1]}…"


def _values(content: str) -> str:
    """Format a row for people; a text that is not a row stays as it is."""
    try:
        row = json.loads(content)
    except ValueError:
        return content
    if not isinstance(row, dict):
        return content
    return ", ".join(f"{name} {value}" for name, value in row.items() if name not in _INTERNAL)


def former_summary(folder: Path, run_id: str) -> Summary | None:
    """Return the summary of the newest other run that left a report; None if none can be read."""
    newest = _summary_at(folder / "latest.json")
    if newest is None or newest.run_id != run_id:
        return newest
    # This run has been reported before: its own summary names its predecessor.
    return _summary_at(folder / f"{newest.former_run}.json") if newest.former_run else None


def _summary_at(path: Path) -> Summary | None:
    return parse_summary(path.read_text("utf-8")) if path.exists() else None


def changes_since(
    run: Run,
    former: Summary,
    now: Summary,
    outcomes: Mapping[str, str],
    champions: Sequence[Mapping[str, Any]],
    started_at: datetime,
) -> Changes:
    """Compare this run with the previous one, from the tables."""
    before, _ = outcomes_of(run, former.run_id)
    comparable = former.release is None or former.release in kept_releases(run)
    return changes_between(
        former,
        now,
        (before, outcomes),
        (_figures(segment_champions(run, former.release)) if comparable else None, _figures(champions)),
        _read_files(run, started_at),
    )


def replaced_candidates(run: Run, former: Summary | None, champions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the previous run's candidate of each segment whose champion is another candidate now."""
    if former is None or former.release is None:
        return {}
    now = {row["segment"]: row["candidate"] for row in champions}
    before = {row["segment"]: row["candidate"] for row in segment_champions(run, former.release)}
    return {segment: name for segment, name in before.items() if segment in now and now[segment] != name}


def _figures(champions: Sequence[Mapping[str, Any]]) -> dict[str, ChampionFigures]:
    return {row["segment"]: ChampionFigures(row["candidate"], row["error"], row["fingerprint"]) for row in champions}


def _read_files(run: Run, started_at: datetime) -> list[InputFile]:
    """Return the training files that this run read."""
    rows: pa.Table = run.table(INPUTS).read(where=lambda partition: partition["role"] == "observations")
    return [
        InputFile(row["path"].removeprefix(f"{run.context.home}/"), row["rows_accepted"], row["rows_quarantined"])
        for row in rows.to_pylist()
        if not row["error"] and row["ingested_at"] >= started_at
    ]


def settings_of(run: Run) -> dict[str, str]:
    """Return every setting of the fleet by its dotted name; lists and optional parts stay as they are."""
    return dict(_flat(run.fleet.model_dump(mode="json", exclude={"name", "description", "candidates"})))


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            pairs += _flat(value, f"{prefix}{name}.")
        elif value not in (None, "", [], {}):
            pairs.append((f"{prefix}{name}", _text(value)))
    return pairs


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, Mapping):
        return ": ".join(str(part) for pair in value.items() for part in pair)
    return str(value).lower() if isinstance(value, bool) else str(value)
