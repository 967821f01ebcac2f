"""Judge one bucket's challengers and stage the bucket's part of the next release."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import pyarrow as pa

from adapters.lake import StagedFile
from models.gates import Decision, Evidence, decide, verdicts
from models.records import Champion, ModelRecord
from models.tables import CHALLENGERS, CHAMPIONS, LEADERBOARD, REGISTRATIONS, SEGMENTS, VERDICTS
from tasks.work.evidence import LiveErrors, live_errors
from tasks.work.job import Job, in_bucket, of_release, read_models, stage_rows
from tasks.work.train import LEVELS

__all__ = ["PromoteReceipt", "promote_bucket"]

_HELD_TOLD = 20


@dataclass(frozen=True)
class PromoteReceipt:
    """Decisions on one bucket. champions : its part of the next release, staged; verdicts too.

    amended : champions that leave because their segment is gone, or that the registry now knows by another version.
    """

    bucket: int
    decisions: Mapping[Decision, int]
    gates: Mapping[tuple[str, bool, bool], int]
    held: tuple[tuple[str, str], ...]
    amended: int
    champions: tuple[StagedFile, ...]
    verdicts: tuple[StagedFile, ...]

    @property
    def is_level(self) -> bool:
        return self.bucket == LEVELS


def promote_bucket(job: Job, current: int, release: int, promoted_at: datetime, bucket: int) -> PromoteReceipt:
    """current : the release in force, 0 for none. release : the number of the next one."""
    challengers = read_models(job, CHALLENGERS, in_bucket(bucket), ModelRecord)
    champions = read_models(job, CHAMPIONS, of_release(current, bucket), Champion)
    versions = _versions(job, bucket)
    live = live_errors(job, bucket, challengers, champions)
    kinds = _kinds(job, bucket, champions)
    decisions: Counter[Decision] = Counter()
    gates: Counter[tuple[str, bool, bool]] = Counter()
    held: list[tuple[str, str]] = []
    ledger: list[dict[str, object]] = []
    release_rows = _still_there(job, bucket, champions)
    amended = len(champions) - len(release_rows)
    withdrawn = _withdrawn(job, bucket, champions)
    for segment, challenger in challengers.items():
        version = versions.get((segment, challenger.fingerprint))
        if version is None:
            held.append((segment, "its challenger is not registered; run the training again"))
            decisions["hold"] += 1
            continue
        if (segment, challenger.fingerprint) in withdrawn:
            held.append((segment, "a rollback withdrew this model; it stays out until its data or settings change"))
            decisions["hold"] += 1
            continue
        evidence = _evidence(job, challenger, champions.get(segment), kinds.get(segment), live.get(segment))
        found = list(verdicts(evidence, job.fleet.gates))
        decision = decide(evidence, found)
        decisions[decision] += 1
        if decision == "promote":
            release_rows[segment] = Champion.promoted(challenger, version, promoted_at, job.run_id)
        elif decision == "unchanged" and champions[segment].model_version != version:
            # The registry was made anew: the same model has another version there.
            release_rows[segment] = replace(champions[segment], model_version=version)
            amended += 1
        elif decision == "hold":
            held.append((segment, "; ".join(v.reason for v in found if v.decisive and not v.passed)))
        gates.update((verdict.gate, verdict.passed, verdict.decisive) for verdict in found)
        ledger += [{"segment": segment, **asdict(verdict)} for verdict in found]
    schema = job.table(CHAMPIONS).spec.file_schema
    rows = pa.Table.from_pylist([champion.to_row() for champion in release_rows.values()], schema)
    kept = pa.Table.from_pylist(ledger, job.table(VERDICTS).spec.file_schema)
    return PromoteReceipt(
        bucket=bucket,
        decisions=decisions,
        gates=gates,
        held=tuple(held[:_HELD_TOLD]),
        amended=amended,
        champions=stage_rows(job.table(CHAMPIONS), rows, release=release, bucket=bucket),
        verdicts=stage_rows(job.table(VERDICTS), kept, run_id=job.run_id),
    )


def _still_there(job: Job, bucket: int, champions: Mapping[str, Champion]) -> dict[str, Champion]:
    """Champions whose segment still has rows; levels always."""
    if bucket == LEVELS:
        return dict(champions)
    known = set(job.table(SEGMENTS).read(["segment"], in_bucket(bucket))["segment"].to_pylist())
    return {segment: champion for segment, champion in champions.items() if segment in known}


def _withdrawn(job: Job, bucket: int, champions: Mapping[str, Champion]) -> set[tuple[str, str]]:
    """Models (segment, fingerprint) of kept releases that a rollback, still in force for the segment, put out."""
    restored = {segment for segment, champion in champions.items() if champion.kind == "rollback"}
    if not restored:
        return set()
    former = job.table(CHAMPIONS).read(["segment", "fingerprint"], in_bucket(bucket)).to_pylist()
    found = {(row["segment"], row["fingerprint"]) for row in former if row["segment"] in restored}
    return found - {(segment, champions[segment].fingerprint) for segment in restored}


def _versions(job: Job, bucket: int) -> dict[tuple[str, str], int]:
    """Registered version of each (segment, fingerprint)."""
    rows = job.table(REGISTRATIONS).read(where=in_bucket(bucket)).to_pylist()
    return {(row["segment"], row["fingerprint"]): row["model_version"] for row in rows}


def _kinds(job: Job, bucket: int, champions: Mapping[str, Champion]) -> dict[str, float]:
    """Error of each champion's kind of model in the challengers' backtest."""
    wanted = {(segment, champion.candidate) for segment, champion in champions.items()}
    board = job.table(LEADERBOARD).read(["segment", "candidate", "error"], in_bucket(bucket)).to_pylist()
    return {row["segment"]: row["error"] for row in board if (row["segment"], row["candidate"]) in wanted}


def _evidence(
    job: Job, challenger: ModelRecord, champion: Champion | None, kind_error: float | None, live: LiveErrors | None
) -> Evidence:
    return Evidence(
        segment=challenger.segment,
        error=challenger.error,
        baseline_error=challenger.baseline_error,
        parity_error=challenger.parity_error,
        model_bytes=len(challenger.onnx),
        latency_ms=challenger.latency_ms,
        rows=challenger.rows,
        min_rows=job.fleet.partition.min_rows,
        fingerprint=challenger.fingerprint,
        champion_fingerprint=champion.fingerprint if champion else None,
        champion_error=math.nan if kind_error is None else kind_error,
        live_rows=live.rows if live else 0,
        live_error=live.challenger if live else math.nan,
        live_champion_error=live.champion if live else math.nan,
    )
