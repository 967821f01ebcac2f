"""Selection of the current forecasts: of one release, those from the newest origin of each segment."""

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["latest_forecasts"]


def latest_forecasts(rows: pa.Table) -> pa.Table:
    """Select the current rows among the predictions of a release, sorted by segment and time.

    rows : all rows of their segments, with segment, origin, time and scored_at. Rows without a model have no origin:
    those of the newest job are current if the segment has no other rows.
    """
    ends = rows.group_by("segment").aggregate([("origin", "max")]).rename_columns(["segment", "newest"])
    # Scoring times of rows with an origin do not count: a backfill may be newer than the current forecast.
    without = rows.filter(pc.is_null(rows["origin"]))
    last = without.group_by("segment").aggregate([("scored_at", "max")]).rename_columns(["segment", "last"])
    joined = rows.join(ends, "segment", join_type="left outer").join(last, "segment", join_type="left outer")
    newest = pc.fill_null(pc.equal(joined["origin"], joined["newest"]), False)
    only = pc.and_(pc.is_null(joined["newest"]), pc.fill_null(pc.equal(joined["scored_at"], joined["last"]), False))
    current = joined.filter(pc.or_(newest, only)).select(rows.column_names)
    return current.sort_by([("segment", "ascending"), ("time", "ascending")])
