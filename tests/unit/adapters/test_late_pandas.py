"""pyarrow leaves pandas alone until somebody imports it, and then knows its data frames."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def last_line(code):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()[-1]


START = """
import sys
from adapters.late_pandas import import_pandas_late
import_pandas_late()
import pyarrow as pa, pyarrow.dataset
"""


def test_conversions_of_python_values_do_not_import_pandas():
    code = START + "pa.array([1, None]); pa.scalar('a'); pa.table({'a': [1.0]}); print('pandas' in sys.modules)"
    assert last_line(code) == "False"


def test_series_are_recognised_once_pandas_is_imported():
    code = START + "import pandas as pd; print(pa.array(pd.Series([1.0, float('nan')])).null_count)"
    assert last_line(code) == "1"


def test_tables_can_still_be_turned_into_data_frames():
    assert last_line(START + "print(pa.table({'a': [1.0, 2.0]}).to_pandas().a.sum())") == "3.0"


def test_a_conversion_before_any_data_set_is_read_does_not_wait_for_itself():
    code = START.replace(", pyarrow.dataset", "") + "print(pa.array([1, None], pa.int64()).null_count)"
    assert last_line(code) == "1"
