import pyarrow as pa

from models.features.feature_spec import FeatureSpec
from models.inference.row_notes import row_notes, unknown_categories

SPEC = FeatureSpec("regression", numeric=("x", "y"), categories={"cat": ("u", "v")}, zero=("x",))
ROWS = pa.table({"x_x": [1.0, None, None], "x_y": [None, 1.0, 1.0], "c_cat": ["u", "w", None]})


def test_blank_cells_and_unknown_categories_are_noted_by_row():
    assert row_notes(ROWS, SPEC, 32) == ["", "cat 'w' was not in training; blank x counts as 0", "blank x counts as 0"]


def test_rare_categories_have_no_indicator_either_so_nothing_is_noted():
    assert unknown_categories(ROWS, SPEC, 2) == ["", "", ""]
