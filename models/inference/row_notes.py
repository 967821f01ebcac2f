"""Notes on the covariates of single rows, for the reasons of predictions: what a model cannot know, and blanks."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.data.tables import category_column, feature_column
from models.features.feature_spec import FeatureSpec

__all__ = ["row_notes", "unknown_categories"]


def row_notes(rows: pa.Table, spec: FeatureSpec, max_levels: int) -> list[str]:
    """One text per row, empty for most. max_levels : as for `unknown_categories`."""
    notes = [[text] if text else [] for text in unknown_categories(rows, spec, max_levels)]
    for name in spec.zero:
        for row in _rows_where(pc.is_null(rows[feature_column(name)])):
            notes[row].append(f"blank {name} counts as 0")
    return ["; ".join(of_row) for of_row in notes]


def unknown_categories(rows: pa.Table, spec: FeatureSpec, max_levels: int) -> list[str]:
    """Note the categories of each row that no training row had; empty for rows without.

    max_levels : at which a column's rare values have no indicator either. Nothing is noted for such a column.
    """
    notes: list[list[str]] = [[] for _ in range(rows.num_rows)]
    for name, known in spec.categories.items():
        if len(known) >= max_levels:
            continue
        values = rows[category_column(name)]
        unknown = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, pa.array(known, pa.string()))))
        for row in _rows_where(unknown):
            notes[row].append(f"{name} {values[row].as_py()!r} was not in training")
    return ["; ".join(of_row) for of_row in notes]


def _rows_where(mask: pa.ChunkedArray) -> Sequence[int]:
    places: list[int] = np.flatnonzero(mask.to_numpy()).tolist()
    return places
