"""Validation of raw rows: parse, key, and reject with a reason. Every row ends up in exactly one of two tables."""

import json
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import BoolArray, IntArray
from domain.calendar.time_range import beyond_range
from domain.calendar.zones import has_clock_changes
from domain.config.aggregate import rule_of, target_rule
from domain.config.fleet import Fleet
from domain.config.time_section import Time
from domain.data.segments import hash_segments, segment_key
from domain.data.tables import category_column, feature_column, key_column

__all__ = ["ValidatedRows", "rejected_table", "validate_rows"]

_LARGEST = float(np.finfo(np.float32).max)  # features and predictions of every model are float32
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(inf|nan|infinity)$"


@dataclass(frozen=True)
class ValidatedRows:
    """Accepted and rejected rows of one chunk of an input.

    accepted : columns of the `landed` table, sorted by segment hash.
    rejected : columns reason, detail, row, segment (null if a key has no value), content.
    """

    accepted: pa.Table
    rejected: pa.Table


def validate_rows(
    raw: pa.Table, rows: IntArray, fleet: Fleet, *, needs_target: bool, now: datetime | None = None
) -> ValidatedRows:
    """Validate the rows of one chunk of a raw file.

    Parameters
    ----------
    raw : the fleet's columns, text or typed, as read from the file. Shape (n, n_columns).
    rows : number of each row in its file, shape (n,).
    needs_target : False for scoring input, whose target is unknown.
    now : to reject rows of the future by; None for rows that may lie there.
    """
    raw = pa.table({name: _flat(raw[name]) for name in raw.column_names})
    check = _Check(raw.num_rows)
    columns: dict[str, pa.Array] = {}
    keys = {name: _text(raw[name], name, check) for name in fleet.segment_by}
    for name, values in keys.items():
        check.reject(_is_null(values), "missing_key", f"{name} has no value")
        _exact_or_reject(raw[name], name, check)
    if fleet.time is not None:
        from domain.calendar.time_parsing import parse_times  # Imported here, as it needs pandas.

        times, unparsable = parse_times(raw[fleet.time.column], fleet.time)
        if unparsable.any() and _has_repeated_hour(fleet):
            times, unparsable = _repeated_hours(raw[fleet.time.column], times, unparsable, keys, fleet.time)
        check.reject(_is_null(raw[fleet.time.column]), "missing_key", f"{fleet.time.column} has no value")
        check.reject(unparsable, "unparsable", f"{fleet.time.column} is not a time{_clock_changes(fleet.time)}")
        columns["time"] = times
        _reject_times(times, fleet, check, now)
    else:
        columns["time"] = pa.nulls(raw.num_rows, pa.timestamp("us", tz="UTC"))
    columns["target"] = _target(raw, fleet, check, needs_target)
    for name in fleet.features.numeric:
        columns[feature_column(name)] = values = _feature(raw[name], name, fleet, check)
        _finite_or_reject(values, "non_finite_feature", name, check)
        if fleet.features.missing.get(name) == "reject" and (needs_target or not fleet.task_type.periodic):
            check.reject(_is_null(values), "null_feature", f"{name} has no value")
    for name in fleet.features.categorical:
        columns[category_column(name)] = _text(raw[name], name, check)
    for name in fleet.row_key:
        columns[key_column(name)] = _text(raw[name], name, check)
        _exact_or_reject(raw[name], name, check)
    return _split(raw, rows, keys, columns, check)


def _has_repeated_hour(fleet: Fleet) -> bool:
    """Return True if clocks repeat an hour in which the order of a segment's rows tells which is which."""
    time = fleet.clock
    series = fleet.task_type.periodic and fleet.aggregate is None
    return series and time.rule.is_clock and has_clock_changes(time.zone_name)


def _repeated_hours(
    values: pa.ChunkedArray, times: pa.Array, unparsable: BoolArray, keys: dict[str, pa.Array], time: Time
) -> tuple[pa.Array, BoolArray]:
    """The times with those that clocks repeat, and the mask of the values that are still none."""
    from domain.calendar.repeated_hour import told_apart
    from domain.calendar.time_parsing import parse_times

    wall, _ = parse_times(values, time.model_copy(update={"zone": "UTC"}))
    walls = wall.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    # The direction of a series is that of all its rows; only those that have no time yet are told apart.
    instants = told_apart(walls, _series_codes(keys), time)
    told = unparsable & ~np.isnat(instants)
    known = pa.array(instants).cast(times.type)
    return pc.if_else(pa.array(told), known, times), unparsable & ~told


def _series_codes(keys: dict[str, pa.Array]) -> IntArray:
    """Code of each row's segment; -1 where a key has no value."""
    codes = np.zeros(len(next(iter(keys.values()))), np.int64)
    missing = np.zeros(len(codes), bool)
    for values in keys.values():
        encoded = values.dictionary_encode()
        own = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        missing |= own < 0
        _, codes = np.unique(codes * (len(encoded.dictionary) + 1) + own + 1, return_inverse=True)
    return np.where(missing, -1, codes)


def _reject_times(times: pa.Array, fleet: Fleet, check: "_Check", now: datetime | None) -> None:
    """Reject days that the frequency has no period for, and times that cannot be meant."""
    instants = times.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    known = ~np.isnat(instants)
    if fleet.clock.rule.unit == "business_day":
        days = np.where(known, instants, np.datetime64("1970-01-01", "us")).astype("datetime64[D]")
        detail = f"{fleet.clock.column} is a Saturday or Sunday, for which frequency B has no period; use D"
        check.reject(~np.is_busday(days), "no_period", detail)
    if now is not None:
        outside, detail = beyond_range(instants, fleet, now)
        check.reject(known & outside, "time_range", detail)


def _clock_changes(time: Time) -> str:
    """Further cause of an invalid hour without an offset, in zones with clock changes."""
    if not time.rule.is_clock or time.zone_name == "UTC":
        return ""
    return f", or an hour without offset that clocks in {time.zone} skip or repeat"


class _Check:
    """First reason to reject each row."""

    def __init__(self, n_rows: int) -> None:
        self.code = np.zeros(n_rows, dtype=np.int64)
        self.reasons: list[tuple[str, str]] = [("", "")]

    def reject(self, rows: BoolArray, reason: str, detail: str) -> None:
        rejected = rows & (self.code == 0)
        if rejected.any():
            self.reasons.append((reason, detail))
            self.code[rejected] = len(self.reasons) - 1


def _target(raw: pa.Table, fleet: Fleet, check: _Check, needs_target: bool) -> pa.Array:
    name = fleet.target.column
    if not needs_target:
        return pa.nulls(raw.num_rows, pa.float64())
    target = _counted(raw[name]) if target_rule(fleet) == "count" else _number(raw[name], name, check)
    check.reject(_is_null(target), "null_target", f"{name} has no value")
    _finite_or_reject(target, "non_finite_target", name, check)
    return target


def _feature(values: pa.ChunkedArray, name: str, fleet: Fleet, check: _Check) -> pa.Array:
    return _counted(values) if rule_of(fleet, name) == "count" else _number(values, name, check)


def _counted(values: pa.ChunkedArray) -> pa.Array:
    """1 for each value, whatever it is; null where there is none."""
    flat = _flat(values)
    present = ~_is_null(flat)
    if pa.types.is_string(flat.type):
        present &= np.asarray(pc.utf8_length(pc.utf8_trim_whitespace(flat)).fill_null(0).to_numpy(), dtype=bool)
    return pa.array(np.ones(len(flat)), pa.float64(), mask=~present)


def _finite_or_reject(values: pa.Array, reason: str, name: str, check: _Check) -> None:
    size = np.abs(values.fill_null(0.0).to_numpy(zero_copy_only=False))
    check.reject(np.isinf(size), reason, f"{name} is not finite")
    check.reject(size > _LARGEST, reason, f"{name} is beyond {_LARGEST:.2g}, the largest number that models hold")


def _split(
    raw: pa.Table,
    rows: IntArray,
    keys: dict[str, pa.Array],
    columns: dict[str, pa.Array],
    check: _Check,
) -> ValidatedRows:
    segments, hashes = _segments(keys)
    good = np.flatnonzero(check.code == 0)
    order = good[np.argsort(hashes[good], kind="stable")]
    picked = pa.array(order)
    accepted = {"segment": segments.take(picked), "hash": pa.array(hashes[order])}
    accepted |= {name: values.take(picked) for name, values in columns.items()}
    accepted["row"] = pa.array(rows[order])
    bad = np.flatnonzero(check.code)
    content = raw.take(pa.array(bad)).to_pylist()
    rejected = rejected_table(
        [check.reasons[code][0] for code in check.code[bad]],
        [check.reasons[code][1] for code in check.code[bad]],
        rows[bad],
        [json.dumps(row, default=str, ensure_ascii=False) for row in content],
        segments.take(pa.array(bad)),
    )
    return ValidatedRows(pa.table(accepted), rejected)


def rejected_table(
    reason: list[str],
    detail: list[str],
    row: IntArray,
    content: list[str],
    segment: pa.Array | pa.ChunkedArray | None = None,
) -> pa.Table:
    """Build a table with the columns of `ValidatedRows.rejected`. segment : null in every row by default."""
    columns = {"reason": pa.array(reason, pa.string()), "detail": pa.array(detail, pa.string())}
    columns |= {"row": pa.array(row, pa.int64()), "content": pa.array(content, pa.string())}
    return pa.table(columns | {"segment": pa.nulls(len(reason), pa.string()) if segment is None else segment})


def _segments(keys: dict[str, pa.Array]) -> tuple[pa.Array, IntArray]:
    """Canonical key and hash of every row; null and 0 if a key has no value. Computed once per distinct segment."""
    import pandas as pd  # Imported here, since most commands do without.

    frame = pd.DataFrame({name: values.to_pandas() for name, values in keys.items()})
    whole = frame.notna().all(axis=1).to_numpy()
    codes = frame[whole].groupby(list(keys), sort=False).ngroup().to_numpy()
    _, first = np.unique(codes, return_index=True)
    distinct = frame[whole].iloc[first].to_dict("records")
    names = [segment_key({str(column): str(value) for column, value in row.items()}) for row in distinct]
    index = np.full(len(frame), len(names), dtype=np.int64)
    index[whole] = codes
    hashes = np.append(hash_segments(names), 0)
    return pa.array([*names, None], pa.string()).take(pa.array(index)), hashes[index]


def _is_null(values: pa.ChunkedArray | pa.Array) -> BoolArray:
    return np.asarray(pc.is_null(_flat(values)).to_numpy(zero_copy_only=False), dtype=bool)


def _flat(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One array: chunks joined, dictionaries decoded, every kind of text as `string`."""
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    is_text = pa.types.is_large_string(flat.type) or pa.types.is_string_view(flat.type)
    return flat.cast(pa.string()) if is_text else flat


def _text(values: pa.ChunkedArray, name: str, check: _Check) -> pa.Array:
    """Values as text, with blank text and NaN as null; values that have no text are rejected.

    Whole numbers of a float column lose their point, so that 2.0 becomes `2`; text such as `2.0` stays unchanged.
    """
    flat = _flat(values)
    if pa.types.is_floating(flat.type):
        return _float_text(flat)
    try:
        text = pc.utf8_trim_whitespace(flat.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        check.reject(~_is_null(flat), "unparsable", f"{name} has type {flat.type}, not text")
        return pa.nulls(len(flat), pa.string())
    return pc.if_else(pc.equal(text, ""), None, text)


def _float_text(flat: pa.Array) -> pa.Array:
    """Text of floats, one by one: the text of a number must not depend on the numbers around it."""
    encoded = flat.dictionary_encode()
    texts = encoded.dictionary.cast(pa.string()).to_pylist()
    numbers = encoded.dictionary.to_pylist()
    names = [f"{x + 0.0:.0f}" if x.is_integer() else text for x, text in zip(numbers, texts, strict=True)]
    dictionary = pa.array([None if name == "nan" else name for name in names], pa.string())
    return dictionary.take(encoded.indices)


def _exact_or_reject(values: pa.ChunkedArray, name: str, check: _Check) -> None:
    """Reject keys in a column of floats that are too large to tell one whole number from the next."""
    flat = _flat(values)
    if not pa.types.is_floating(flat.type):
        return
    limit = 2.0**24 if flat.type == pa.float32() else 2.0**53
    size = np.abs(flat.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False))
    lost = (size >= limit) & np.isfinite(size)
    check.reject(lost, "inexact_key", f"{name} is a float of {limit:,.0f} or more, whose exact id is lost")


def _number(values: pa.ChunkedArray, name: str, check: _Check) -> pa.Array:
    """Values as float64, true and false as 1 and 0, NaN as null; values that are not numbers are rejected."""
    flat = _flat(values)
    if pa.types.is_string(flat.type):
        numbers = _parsed(flat, name, check)
    else:
        try:
            numbers = flat.cast(pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            check.reject(~_is_null(flat), "unparsable", f"{name} has type {flat.type}, not a number")
            return pa.nulls(len(flat), pa.float64())
    return pc.if_else(pc.is_nan(numbers), None, numbers)


def _parsed(text: pa.Array, name: str, check: _Check) -> pa.Array:
    text = pc.utf8_trim_whitespace(text)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        lower = pc.utf8_lower(text)
        text = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", text))
        is_number = pc.match_substring_regex(text, _NUMBER, ignore_case=True).fill_null(True)
        rejected = ~np.asarray(is_number.to_numpy(zero_copy_only=False), dtype=bool)
        check.reject(rejected, "unparsable", f"{name} is not a number")
        return pc.if_else(is_number, text, None).cast(pa.float64())
