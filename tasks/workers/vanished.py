"""Find segments that lost every row to the quarantine, and so have no profile."""

from collections import Counter, defaultdict

import pyarrow.compute as pc

from domain.data.segments import parse_segment
from domain.data.tables import QUARANTINE, SEGMENTS
from tasks.workers.run_context import RunContext

__all__ = ["vanished_segments"]

_STAGES = ("observations", "partition")


def vanished_segments(context: RunContext) -> dict[str, str]:
    """Segments without a single observation -> the reasons why their rows are quarantined.

    Rows whose key columns could not be read belong to no segment. The cost grows with the quarantined rows.
    """
    quarantine = context.table(QUARANTINE)
    files = quarantine.files(lambda partition: partition["stage"] in _STAGES)
    if not files:
        return {}
    profiled = context.table(SEGMENTS).read(["segment"])["segment"]
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for file in files:
        rows = quarantine.read_files([file], ["segment", "reason"], pc.is_valid(pc.field("segment")))
        rows = rows.filter(pc.invert(pc.is_in(rows["segment"], profiled)))
        grouped = rows.group_by(["segment", "reason"]).aggregate([([], "count_all")])
        for row in grouped.to_pylist():
            counts[row["segment"]][row["reason"]] += row["count_all"]
    # A deleted file keeps its entries, also under the keys that its rows had when segment_by was another.
    ours = [segment for segment in counts if list(parse_segment(segment)) == context.fleet.segment_by]
    return {segment: _reason(counts[segment]) for segment in sorted(ours)}


def _reason(counts: Counter[str]) -> str:
    rows = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in ordered)
    subject = "the only row is" if rows == 1 else f"all {rows:,} rows are"
    return f"{subject} quarantined: {reasons}; see the quarantine table"
