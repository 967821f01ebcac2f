"""Segments that lost every row on the way: they have no profile, and the quarantine says why."""

from collections import Counter, defaultdict

import pyarrow.compute as pc

from domain.data.segments import parse_segment
from domain.data.tables import QUARANTINE, SEGMENTS
from tasks.workers.run_context import RunContext

__all__ = ["vanished_segments"]

_STAGES = ("observations", "partition")


def vanished_segments(context: RunContext) -> dict[str, str]:
    """Segments none of whose rows is an observation -> what became of the rows, by name.

    Rows whose key columns could not be read belong to no segment. Costs little where few rows are quarantined.
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
        found = rows.group_by(["segment", "reason"]).aggregate([([], "count_all")])
        for row in found.to_pylist():
            counts[row["segment"]][row["reason"]] += row["count_all"]
    # A deleted file keeps its entries, also under the keys that its rows had when segment_by was another.
    ours = [segment for segment in counts if list(parse_segment(segment)) == context.fleet.segment_by]
    return {segment: _reason(counts[segment]) for segment in sorted(ours)}


def _reason(counts: Counter[str]) -> str:
    rows = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in ordered)
    which = "the only row is" if rows == 1 else f"all {rows:,} rows are"
    return f"{which} quarantined: {told}; see the quarantine table"
