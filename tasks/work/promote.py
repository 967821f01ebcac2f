"""Judge one bucket's challengers and stage the bucket's part of the next release."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from adapters.lake import StagedFile
from models.gates import Decision, Evidence, Verdict, decide, verdicts
from models.tables import CHALLENGERS, CHAMPIONS, LEADERBOARD, REGISTRATIONS, VERDICTS
from tasks.work.evidence import LiveErrors, live_errors
from tasks.work.job import Job, in_bucket, stage_rows
from tasks.work.train import LEVELS

__all__ = ["PromoteReceipt", "promote_bucket"]

Row = dict[str, object]


@dataclass(frozen=True)
class PromoteReceipt:
    """Decisions on one bucket. champions : its part of the next release, staged; verdicts too."""

    bucket: int
    decisions: Mapping[Decision, int]
    gates: Mapping[tuple[str, bool, bool], int]
    held: tuple[tuple[str, str], ...]
    champions: tuple[StagedFile, ...]
    verdicts: tuple[StagedFile, ...]

    @property
    def is_level(self) -> bool:
        return self.bucket == LEVELS


def promote_bucket(job: Job, current: int, release: int, promoted_at: datetime, bucket: int) -> PromoteReceipt:
    """current : the release in force, 0 for none. release : the number of the next one."""
    challengers = _by_segment(job, CHALLENGERS, bucket)
    versions = _by_segment(job, REGISTRATIONS, bucket)
    champions = _champions(job, current, bucket)
    live = live_errors(job, bucket, challengers, champions)
    kinds = _kinds(job, bucket, champions)
    decisions: Counter[Decision] = Counter()
    gates: Counter[tuple[str, bool, bool]] = Counter()
    held: list[tuple[str, str]] = []
    ledger: list[Row] = []
    release_rows: dict[str, Row] = dict(champions)
    for segment, challenger in challengers.items():
        if segment not in versions or versions[segment]["fingerprint"] != challenger["fingerprint"]:
            held.append((segment, "its challenger is not registered; run the training again"))
            decisions["hold"] += 1
            continue
        evidence = _evidence(job, challenger, champions.get(segment), kinds.get(segment), live.get(segment))
        found = list(verdicts(evidence, job.fleet.gates))
        decision = decide(evidence, found)
        decisions[decision] += 1
        if decision == "promote":
            version = versions[segment]["model_version"]
            kind = {"model_version": version, "promoted_at": promoted_at, "kind": "promotion", "source": job.run_id}
            release_rows[segment] = {**challenger, **kind}
        elif decision == "hold":
            held.append((segment, "; ".join(v.reason for v in found if v.decisive and not v.passed)))
        gates.update((verdict.gate, verdict.passed, verdict.decisive) for verdict in found)
        ledger += [_verdict_row(segment, verdict) for verdict in found]
    schema = job.table(CHAMPIONS).spec.file_schema
    rows = pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in release_rows.values()], schema)
    kept = pa.Table.from_pylist(ledger, job.table(VERDICTS).spec.file_schema)
    return PromoteReceipt(
        bucket=bucket,
        decisions=decisions,
        gates=gates,
        held=tuple(held[:20]),
        champions=stage_rows(job.table(CHAMPIONS), rows, release=release, bucket=bucket),
        verdicts=stage_rows(job.table(VERDICTS), kept, run_id=job.run_id),
    )


def _by_segment(job: Job, spec, bucket: int) -> dict[str, Row]:  # type: ignore[no-untyped-def]
    return {str(row["segment"]): row for row in job.table(spec).read(where=in_bucket(bucket)).to_pylist()}


def _champions(job: Job, current: int, bucket: int) -> dict[str, Row]:
    wanted = {"release": str(current), "bucket": str(bucket)}
    rows = job.table(CHAMPIONS).read(where=lambda partition: dict(partition) == wanted)
    return {str(row["segment"]): row for row in rows.to_pylist()}


def _kinds(job: Job, bucket: int, champions: Mapping[str, Row]) -> dict[str, float]:
    """Error of each champion's kind of model in the challengers' backtest."""
    wanted = {(segment, str(row["candidate"])) for segment, row in champions.items()}
    board = job.table(LEADERBOARD).read(["segment", "candidate", "error"], in_bucket(bucket)).to_pylist()
    return {row["segment"]: row["error"] for row in board if (row["segment"], row["candidate"]) in wanted}


def _evidence(
    job: Job, challenger: Row, champion: Row | None, kind_error: float | None, live: LiveErrors | None
) -> Evidence:
    def number(name: str) -> float:
        return float(challenger[name])  # type: ignore[arg-type]

    return Evidence(
        segment=str(challenger["segment"]),
        error=number("error"),
        baseline_error=number("baseline_error"),
        parity_error=number("parity_error"),
        model_bytes=len(bytes(challenger["onnx"])),  # type: ignore[arg-type]
        latency_ms=number("latency_ms"),
        rows=int(number("rows")),
        min_rows=job.fleet.partition.min_rows,
        fingerprint=str(challenger["fingerprint"]),
        champion_fingerprint=str(champion["fingerprint"]) if champion else None,
        champion_error=float("nan") if kind_error is None else kind_error,
        live_rows=live.rows if live else 0,
        live_error=live.challenger if live else float("nan"),
        live_champion_error=live.champion if live else float("nan"),
    )


def _verdict_row(segment: str, verdict: Verdict) -> Row:
    return {
        "segment": segment,
        "gate": verdict.gate,
        "passed": verdict.passed,
        "decisive": verdict.decisive,
        "value": verdict.value,
        "limit": verdict.limit,
        "reason": verdict.reason,
    }
