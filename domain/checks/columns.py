"""Columns of a fleet's files: missing ones, facts of the others, and problems with their values."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.checks.findings import ColumnFacts, FileColumns, Problem, Role
from domain.config.blanks import blank_rule
from domain.config.fleet import Fleet
from domain.data.shown import shown_names
from domain.data.tables import category_column, feature_column
from domain.reporting.formatting import format_number, format_percent

__all__ = [
    "column_facts",
    "column_problems",
    "fleet_of_role",
    "keys_by_column",
    "missing_column_problems",
    "required_columns",
]

_SNIFFED_VALUES = 1_000
_EXAMPLES = 3
_FEW_VALUES = range(3, 13)
_ROWS_PER_FEW_VALUE = 50
_WARNED_BLANK_SHARE = 0.05
_INTEGER = r"^[+-]?\d+$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_TIME = r"^\d{4}-\d{2}(-\d{2})?([T ]\d{2}:?\d{2}.*)?$"


def fleet_of_role(fleet: Fleet, role: Role) -> Fleet:
    """The fleet with the columns that apply to the files of a role."""
    return fleet.actuals_fleet if role == "test.source" else fleet


def required_columns(fleet: Fleet, role: Role) -> tuple[str, ...]:
    """Columns that the files of a role must have."""
    role_fleet = fleet_of_role(fleet, role)
    return tuple(name for name in role_fleet.columns if role != "score.source" or name != role_fleet.target.column)


def keys_by_column(fleet: Fleet, role: Role = "source") -> dict[str, tuple[str, ...]]:
    """Required column -> keys of the fleet file that name it."""
    role_fleet = fleet_of_role(fleet, role)
    target = "test.target" if role == "test.source" and fleet.test and fleet.test.target else "target.column"
    named = [("segment_by", name) for name in role_fleet.segment_by]
    named += [("time.column", role_fleet.time.column)] if role_fleet.time else []
    named += [(target, role_fleet.target.column), *(("row_key", name) for name in role_fleet.row_key)]
    named += [("features.known", name) for name in role_fleet.features.known]
    named += [("features.static", name) for name in role_fleet.features.static]
    named += [("features.categorical", name) for name in role_fleet.features.categorical]
    return {name: tuple(k for k, column in named if column == name) for name in required_columns(fleet, role)}


def missing_column_problems(files: Sequence[FileColumns], fleet: Fleet, role: Role) -> Iterator[Problem]:
    """An error for every required column that a file lacks."""
    for name, keys in keys_by_column(fleet, role).items():
        lacking = [file for file in files if name not in file.columns]
        if not lacking:
            continue
        present = lacking[0].columns
        near = _nearest(name, present)
        hint = f"did you mean {near!r}? " if near else ""
        place = f"{len(lacking)} of {len(files)} files" if len(files) > 1 else "the file"
        key = keys[0] if role == "source" else f"{role} ({keys[0]})"
        yield Problem(
            "error",
            key,
            f"no column {name!r} in {place} ({lacking[0].name}); {hint}the file has {shown_names(present)}"
            f"{lacking[0].hint}",
        )


def _nearest(name: str, present: Sequence[str]) -> str | None:
    lower = {column.lower(): column for column in present}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[near[0]] if near else None


def column_facts(chunks: Sequence[pa.Table], accepted: pa.Table | None, fleet: Fleet) -> tuple[ColumnFacts, ...]:
    """Facts of every used column that the chunks have; ranges are over the accepted rows."""
    present = chunks[0].column_names if chunks else []
    return tuple(
        _facts(name, keys, [chunk[name] for chunk in chunks], accepted, fleet)
        for name, keys in keys_by_column(fleet).items()
        if name in present
    )


def _facts(
    name: str, keys: tuple[str, ...], parts: Sequence[pa.ChunkedArray], accepted: pa.Table | None, fleet: Fleet
) -> ColumnFacts:
    types = {str(part.type) for part in parts}
    try:
        uniform = _with_common_type(parts)
        values = pa.chunked_array([chunk for part in uniform for chunk in part.chunks], uniform[0].type)
        missing = _missing(values)
        distinct = pc.unique(values.filter(pc.invert(missing)))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # Lists, structures, bytes that are no text.
        return ColumnFacts(name, keys, ", ".join(sorted(types)), 0.0, 0, "", "", ())
    low, high = _range(name, accepted, fleet)
    return ColumnFacts(
        name=name,
        roles=keys,
        type=_kind(distinct) if len(types) == 1 else f"mixed ({', '.join(sorted(types))})",
        missing_share=(pc.sum(missing).as_py() or 0) / max(len(values), 1),
        values=len(distinct),
        low=low,
        high=high,
        examples=tuple(str(value) for value in distinct.slice(0, _EXAMPLES).to_pylist()),
    )


def _with_common_type(parts: Sequence[pa.ChunkedArray]) -> list[pa.ChunkedArray]:
    uniform = all(part.type == parts[0].type for part in parts)
    return list(parts) if uniform else [part.cast(pa.string()) for part in parts]


def _missing(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(values.type):
        return pc.is_null(values, nan_is_null=True)
    missing = pc.is_null(values)
    if _is_text(values.type):
        return pc.or_(missing, pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values.fill_null(""))), 0))
    return missing


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _kind(distinct: pa.Array) -> str:
    """`integer`, `number`, `time`, `text`, or Arrow's name of any other type; text is classified by its content."""
    kind = distinct.type
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    if not _is_text(kind):
        return str(kind)
    texts = pc.utf8_trim_whitespace(distinct.slice(0, _SNIFFED_VALUES))
    for name, pattern in (("integer", _INTEGER), ("number", _NUMBER), ("time", _TIME)):
        if len(texts) and pc.all(pc.match_substring_regex(texts, pattern)).as_py():
            return name
    return "text"


def _range(name: str, accepted: pa.Table | None, fleet: Fleet) -> tuple[str, str]:
    if accepted is None or not accepted.num_rows:
        return "", ""
    if fleet.time is not None and name == fleet.time.column:
        ends = pc.min_max(accepted["time"]).as_py()
        return _short_time(ends["min"].isoformat()), _short_time(ends["max"].isoformat())
    column = "target" if name == fleet.target.column else feature_column(name)
    if column not in accepted.column_names:
        return "", ""
    ends = pc.min_max(accepted[column]).as_py()
    return ("", "") if ends["min"] is None else (format_number(ends["min"]), format_number(ends["max"]))


def _short_time(text: str) -> str:
    return text.removesuffix("+00:00").removesuffix("T00:00:00").replace("T", " ")


def column_problems(facts: Iterable[ColumnFacts], accepted: pa.Table, fleet: Fleet) -> Iterator[Problem]:
    """Constant columns, numbers that look like codes, static columns that vary, and categories with too many values."""
    facts_by_name: Mapping[str, ColumnFacts] = {column.name: column for column in facts}
    for name in fleet.segment_by:
        if facts_by_name[name].values == 1 and len(fleet.segment_by) > 1:
            value = facts_by_name[name].examples[0]
            yield Problem("warning", "segment_by", f"column {name!r} has only one value ({value!r}); leave it out")
    for key, names in (("features.known", fleet.features.known), ("features.static", fleet.features.static)):
        for name in names:
            values = accepted[feature_column(name)]
            yield from _blank_problems(key, name, values, fleet)
            zero = blank_rule(fleet, name, _null_share(values)) == "zero"
            yield from _numeric_problems(key, name, values.fill_null(0.0) if zero else values)
    for name in fleet.features.static:
        yield from _varying_problems(name, accepted)
    for name in fleet.features.categorical:
        yield from _category_problems(name, accepted[category_column(name)], fleet)


def _null_share(values: pa.ChunkedArray) -> float:
    return float(values.null_count / max(len(values), 1))


def _blank_problems(key: str, name: str, values: pa.ChunkedArray, fleet: Fleet) -> Iterator[Problem]:
    """A warning where many cells are blank and the fleet file does not say what that means."""
    share = _null_share(values)
    if share < _WARNED_BLANK_SHARE or share == 1 or name in fleet.features.missing:
        return
    last = "the last known value" if fleet.task_type.periodic else "the mean of the others"
    meaning = "0" if blank_rule(fleet, name, share) == "zero" else last
    yield Problem(
        "warning",
        key,
        f"look at column {name!r}: {format_percent(share, 1)} of its cells are blank, which is read as {meaning}; set "
        f"features.missing: {{{name}: zero}}, last or reject to say what it means",
    )


def _numeric_problems(key: str, name: str, values: pa.ChunkedArray) -> Iterator[Problem]:
    distinct = pc.unique(values).drop_null().to_numpy(zero_copy_only=False)
    if len(distinct) <= 1:
        value = format_number(distinct[0]) if len(distinct) else "no value at all"
        yield Problem("warning", key, f"column {name!r} is constant ({value}) and has no effect; leave it out")
    enough = len(values) >= _ROWS_PER_FEW_VALUE * len(distinct)
    if len(distinct) in _FEW_VALUES and enough and np.array_equal(distinct, np.round(distinct)):
        yield Problem(
            "warning",
            key,
            f"column {name!r} has only {len(distinct)} values, all whole numbers; if they are codes without order, "
            "move it to features.categorical",
        )


def _varying_problems(name: str, accepted: pa.Table) -> Iterator[Problem]:
    column = feature_column(name)
    ends = accepted.group_by("segment").aggregate([(column, "min"), (column, "max")])
    varying = pc.sum(pc.not_equal(ends[f"{column}_min"], ends[f"{column}_max"])).as_py() or 0
    if varying:
        yield Problem(
            "warning",
            "features.static",
            f"column {name!r} changes within {varying:,} of {ends.num_rows:,} segments; move it to features.known",
        )


def _category_problems(name: str, values: pa.ChunkedArray, fleet: Fleet) -> Iterator[Problem]:
    count, limit = pc.count_distinct(values).as_py(), fleet.features.max_levels
    if count <= 1:
        yield Problem("warning", "features.categorical", f"column {name!r} is constant and has no effect; leave it out")
    if count > limit:
        yield Problem(
            "warning",
            "features.max_levels",
            f"column {name!r} has {count:,} values, but only the {limit} most frequent get an indicator; raise "
            "max_levels (256 at most) if the others matter",
        )
