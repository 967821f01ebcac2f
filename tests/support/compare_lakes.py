"""Whether two lakes hold the same: every table, every column but those that tell runs apart."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow.fs as pafs
from deltalake import DeltaTable

from adapters.lake.files import arrow_filesystem

__all__ = ["MOVED", "SPARED", "differences", "tables_below", "tables_in"]

SPARED = frozenset(
    {
        # The clock.
        "ingested_at",
        "promoted_at",
        "scored_at",
        # The run. `source` of a champion is the run that promoted it; `input_id` of a prediction is the version of the
        # observations where there are no covariates.
        "run_id",
        "job_id",
        "champions.source",
        "predictions.input_id",
        # The machine. What the gate `latency`, which decides nothing, found is left out too.
        "latency_ms",
    }
)
"""Columns, or TABLE.COLUMN, that may differ."""

MOVED = frozenset({"path", "path_id", "input_id", "stamp", "modified_at", "part"})
"""Further ones that differ where the raw files of the two lakes lie in different places."""

_LEDGERS = {"outcomes", "verdicts"}
"""Tables in which runs stand side by side, those of interrupted runs too."""


def tables_below(folder: Path) -> dict[str, pd.DataFrame]:
    """All tables of a fleet's folder by name."""
    return tables_in(str(folder.parent), folder.name)


def tables_in(lake: str, fleet: str) -> dict[str, pd.DataFrame]:
    """All tables of a fleet by name, wherever its lake is."""
    filesystem, root = arrow_filesystem(f"{lake.rstrip('/')}/{fleet}")
    names = [info.base_name for info in filesystem.get_file_info(pafs.FileSelector(root))]
    uris = {name: f"{lake.rstrip('/')}/{fleet}/{name}" for name in sorted(names) if not name.startswith("_")}
    tables = {name: uri for name, uri in uris.items() if DeltaTable.is_deltatable(uri)}
    return {name: DeltaTable(uri).to_pyarrow_table().to_pandas() for name, uri in tables.items()}


def differences(
    found: Mapping[str, pd.DataFrame], expected: Mapping[str, pd.DataFrame], spared: Iterable[str] = SPARED
) -> list[str]:
    """What differs, a line a table; `expected` is of one run that nothing interrupted."""
    told = [f"{name}: only in one of the two" for name in sorted(found.keys() ^ expected.keys())]
    for name in sorted(found.keys() & expected.keys()):
        compare = _ledger_difference if name in _LEDGERS else _difference
        difference = compare(name, found[name], expected[name], frozenset(spared))
        told += [f"{name}: {difference}"] if difference else []
    return told


def _difference(name: str, found: pd.DataFrame, expected: pd.DataFrame, spared: frozenset[str]) -> str:
    one, other = _comparable(name, found, spared), _comparable(name, expected, spared)
    if list(one.columns) != list(other.columns):
        return f"columns {sorted(set(one.columns) ^ set(other.columns))} are in one of the two"
    if len(one) != len(other):
        return f"{len(one):,} rows, not {len(other):,}"
    # Equal to the bit: NaN equals NaN, and nothing is rounded.
    odd = [column for column in one.columns if not one[column].equals(other[column])]
    return f"other values in {', '.join(odd)}" if odd else ""


def _ledger_difference(name: str, found: pd.DataFrame, expected: pd.DataFrame, spared: frozenset[str]) -> str:
    """The first run that got so far has the expected rows, and later ones say nothing else.

    For what the first one did, later ones have the outcome `reused` instead of `trained`, and compare the challenger
    with the champion that it has become.
    """
    runs = [rows for _, rows in found.groupby("run_id")]  # Ids of runs are in order of time.
    if not runs:
        return "" if expected.empty else "no rows"
    for number, rows in enumerate(runs):
        difference = _difference(name, rows, expected, spared)
        if difference and (not number or not _repeats(name, rows, expected, spared)):
            return f"run {rows['run_id'].iloc[0]}: {difference}"
    return ""


def _repeats(name: str, rows: pd.DataFrame, expected: pd.DataFrame, spared: frozenset[str]) -> bool:
    if name == "verdicts":
        against_itself = rows["gate"] == "champion"
        fine = bool(rows["passed"][against_itself].all())
        return fine and not _difference(name, rows[~against_itself], expected, spared)
    settled = rows.assign(outcome=rows["outcome"].replace("reused", "trained"))
    columns = ["segment", "outcome", "candidate"]
    return _sorted(settled[columns]).equals(_sorted(expected[columns]))


def _comparable(name: str, frame: pd.DataFrame, spared: frozenset[str]) -> pd.DataFrame:
    if name == "verdicts":
        timed = frame["gate"] == "latency"
        frame = frame.assign(**{column: frame[column].mask(timed) for column in ("passed", "value", "reason")})
    return _sorted(frame[[c for c in frame.columns if c not in spared and f"{name}.{c}" not in spared]])


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in an order that their content alone decides."""
    return frame.sort_values(list(frame.columns), ignore_index=True)
