"""Decide on one bucket's challengers and stage the bucket's part of the next release."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain

import pyarrow as pa

from adapters.lake.staged_file import StagedFile
from domain.config.gates import Gates
from domain.data.model_record import Champion, ModelRecord
from domain.data.partitioning import fallback_keys
from domain.data.segments import FALLBACK_BUCKET
from domain.data.tables import CHALLENGERS, CHAMPIONS, LEADERBOARD, REGISTRATIONS, SEGMENTS, VERDICTS, observations
from models.features.feature_spec import FeatureSpec
from models.features.series import lacking_columns
from models.promotion.gates import Decision, Evidence, Verdict, counts_as_failure, decide, verdicts
from tasks.workers.live_comparison import LiveErrors, live_errors
from tasks.workers.run_context import RunContext, in_bucket, of_release, read_models, stage_rows

__all__ = ["PromoteReceipt", "promote_bucket"]

_MAX_HELD = 20


@dataclass(frozen=True)
class PromoteReceipt:
    """Decisions on one bucket. champions : its part of the next release, staged; verdicts too.

    held : the first segments whose challenger is held, and why. failed : challengers held by more than a pin or a
    rollback. amended : champions removed because their segment or level is gone, or renumbered after the registry was
    rebuilt.
    """

    bucket: int
    decisions: Mapping[Decision, int]
    gates: Mapping[tuple[str, bool, bool], int]
    held: tuple[tuple[str, str], ...]
    failed: int
    amended: int
    champions: tuple[StagedFile, ...]
    verdicts: tuple[StagedFile, ...]

    @property
    def is_level(self) -> bool:
        return self.bucket == FALLBACK_BUCKET


def promote_bucket(
    context: RunContext, current: int, release: int, promoted_at: datetime, bucket: int
) -> PromoteReceipt:
    """Decide on the challengers of one bucket and stage champions and verdicts.

    current : the release in force, 0 for none. release : the number of the next one.
    """
    challengers = read_models(context, CHALLENGERS, in_bucket(bucket), ModelRecord)
    champions = read_models(context, CHAMPIONS, of_release(current, bucket), Champion)
    versions = _versions(context, bucket)
    evidence = _evidence(context, bucket, challengers, champions, versions)
    judgements = [_judge(item, context.fleet.gates, versions) for item in evidence]
    remaining = _remaining(context, bucket, champions)
    changes: dict[str, Champion] = {}
    for item in judgements:
        segment, version = item.segment, item.version
        if version is not None and item.decision == "promote":
            changes[segment] = Champion.promoted(challengers[segment], version, promoted_at, context.run_id)
        elif version is not None and item.decision == "unchanged" and champions[segment].model_version != version:
            # The registry was rebuilt: the same model has another version there.
            changes[segment] = champions[segment].renumbered(version)
    renumbered = sum(item.decision == "unchanged" and item.segment in changes for item in judgements)
    amended = len(champions) - len(remaining) + renumbered
    return _receipt(context, release, bucket, judgements, remaining | changes, amended)


@dataclass(frozen=True)
class _Judgement:
    """The decision on one challenger. version : its version in the registry; None if it has none."""

    segment: str
    decision: Decision
    verdicts: tuple[Verdict, ...]
    version: int | None

    @property
    def reason(self) -> str:
        """The reasons of the verdicts that hold the challenger."""
        return "; ".join(verdict.reason for verdict in self.verdicts if verdict.decisive and not verdict.passed)


def _judge(evidence: Evidence, gates: Gates, versions: Mapping[tuple[str, str], int]) -> _Judgement:
    judged = tuple(verdicts(evidence, gates))
    version = versions.get((evidence.segment, evidence.fingerprint))
    return _Judgement(evidence.segment, decide(evidence, judged), judged, version)


def _receipt(
    context: RunContext,
    release: int,
    bucket: int,
    judgements: Sequence[_Judgement],
    champions: Mapping[str, Champion],
    amended: int,
) -> PromoteReceipt:
    """Stage champions and verdicts."""
    held = [item for item in judgements if item.decision == "hold"]
    ledger = [{"segment": item.segment, **asdict(verdict)} for item in judgements for verdict in item.verdicts]
    champion_table, verdict_table = context.table(CHAMPIONS), context.table(VERDICTS)
    rows = pa.Table.from_pylist([item.to_row() for item in champions.values()], champion_table.spec.file_schema)
    verdict_rows = pa.Table.from_pylist(ledger, verdict_table.spec.file_schema)
    return PromoteReceipt(
        bucket=bucket,
        decisions=Counter(item.decision for item in judgements),
        gates=Counter((v.gate, v.passed, v.decisive) for item in judgements for v in item.verdicts),
        held=tuple((item.segment, item.reason) for item in held[:_MAX_HELD]),
        failed=sum(counts_as_failure(item.verdicts) for item in held),
        amended=amended,
        champions=stage_rows(champion_table, rows, release=release, bucket=bucket),
        verdicts=stage_rows(verdict_table, verdict_rows, run_id=context.run_id),
    )


def _remaining(context: RunContext, bucket: int, champions: Mapping[str, Champion]) -> dict[str, Champion]:
    """Champions whose segment still has rows, and levels that the fleet still has and some segment belongs to."""
    segments = context.table(SEGMENTS)
    if bucket == FALLBACK_BUCKET:
        keys = fallback_keys(segments.read(["segment"])["segment"].to_pylist(), context.fleet)
        known = set(chain.from_iterable(keys.values()))
    else:
        known = set(segments.read(["segment"], in_bucket(bucket))["segment"].to_pylist())
    return {segment: champion for segment, champion in champions.items() if segment in known}


def _withdrawn(context: RunContext, bucket: int, champions: Mapping[str, Champion]) -> set[tuple[str, str]]:
    """Models (segment, fingerprint) of kept releases that a rollback, still in force for the segment, withdrew."""
    restored = {segment for segment, champion in champions.items() if champion.kind == "rollback"}
    if not restored:
        return set()
    former = context.table(CHAMPIONS).read(["segment", "fingerprint"], in_bucket(bucket)).to_pylist()
    models = {(row["segment"], row["fingerprint"]) for row in former if row["segment"] in restored}
    return models - {(segment, champions[segment].fingerprint) for segment in restored}


def _versions(context: RunContext, bucket: int) -> dict[tuple[str, str], int]:
    """Registered version of each (segment, fingerprint)."""
    rows = context.table(REGISTRATIONS).read(where=in_bucket(bucket)).to_pylist()
    return {(row["segment"], row["fingerprint"]): row["model_version"] for row in rows}


def _candidate_errors(context: RunContext, bucket: int, champions: Mapping[str, Champion]) -> dict[str, float]:
    """Error of each champion's candidate in the challengers' backtest."""
    candidates = {(segment, champion.candidate) for segment, champion in champions.items()}
    board = context.table(LEADERBOARD).read(["segment", "candidate", "error"], in_bucket(bucket)).to_pylist()
    return {row["segment"]: row["error"] for row in board if (row["segment"], row["candidate"]) in candidates}


def _evidence(
    context: RunContext,
    bucket: int,
    challengers: Mapping[str, ModelRecord],
    champions: Mapping[str, Champion],
    versions: Mapping[tuple[str, str], int],
) -> Iterator[Evidence]:
    """The evidence for each challenger of the bucket."""
    live = live_errors(context, bucket, challengers, champions)
    candidate_errors = _candidate_errors(context, bucket, champions)
    withdrawn = _withdrawn(context, bucket, champions)
    unknown = LiveErrors(0, math.nan, math.nan)
    columns = observations(context.fleet).file_schema.empty_table()
    for segment, challenger in challengers.items():
        champion, errors = champions.get(segment), live.get(segment, unknown)
        failure, champion_failure = challenger.graph_failure(), champion.graph_failure() if champion else None
        yield Evidence(
            segment=segment,
            error=challenger.error,
            baseline_error=challenger.baseline_error,
            parity_error=challenger.parity_error,
            model_bytes=len(challenger.onnx),
            latency_ms=challenger.latency_ms,
            rows=challenger.rows,
            min_rows=context.fleet.partition.min_rows,
            fingerprint=challenger.fingerprint,
            champion_fingerprint=champion.fingerprint if champion else None,
            champion_error=candidate_errors.get(segment, math.nan),
            live_rows=errors.rows,
            live_error=errors.challenger,
            live_champion_error=errors.champion,
            registered=(segment, challenger.fingerprint) in versions,
            withdrawn=(segment, challenger.fingerprint) in withdrawn,
            pinned_version=champion.model_version if champion and champion.is_pinned else None,
            champion_lacks=tuple(lacking_columns(columns, FeatureSpec.from_json(champion.contract)))
            if champion
            else (),
            graph_problem=failure.reason if failure else "",
            champion_graph_problem=champion_failure.reason if champion_failure else "",
        )
