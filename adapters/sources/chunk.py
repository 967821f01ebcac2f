"""Part of a raw file, whatever its format."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["Chunk"]

OTHER_COLUMNS = "the row has another number of columns than the header"


@dataclass(frozen=True)
class Chunk:
    """Part of a raw file.

    table : the requested columns as the file stores them; CSV columns are text.
    rows : number of each row in the file, counted from 0 after the header, of shape (n,).
    broken : rows that cannot be told apart into columns, as (row number, text). broken_because : why that is.
    remarks : what the file leaves open, so that somebody should look at it; those of earlier chunks are repeated.
    """

    table: pa.Table
    rows: npt.NDArray[np.int64]
    broken: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()
    broken_because: str = OTHER_COLUMNS
