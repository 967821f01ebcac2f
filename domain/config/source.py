"""Section `source`: where rows come from, and how they are written there."""

import codecs
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from domain.config.database import query_problem
from domain.config.melt import Melt
from domain.config.strict import Strict

__all__ = ["Source"]


class Source(Strict):
    """Files with rows, local or on S3, or a query to a database."""

    LATER = frozenset(
        {"thousands", "skip_rows", "version", "sheet", "melt", "query", "watermark", "overlap", "timeout"}
    )

    path: str = Field(
        min_length=1,
        description="File, folder or glob; local, file://, s3://, or gs:// and abfs:// with the packages gcsfs and "
        "adlfs. Relative to the working directory. Folders such as "
        "`store=1` give columns. With `query`: a "
        "database, postgresql://user@host/database, sqlite:///FILE, duckdb:///FILE, or env:NAME for an environment "
        "variable with the address.",
    )
    format: Literal["auto", "csv", "parquet", "jsonl", "excel", "delta"] = Field(
        "auto",
        description="`auto`: by the name of the file: .csv, .csv.gz, .parquet, .jsonl, .xlsx; a folder with "
        "`_delta_log` is a Delta table.",
    )
    version: Annotated[int, Field(ge=0, le=2**62)] | None = Field(
        None, description="Version of a Delta table to read; by default the newest."
    )
    sheet: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="Sheet of a workbook; not needed if only one is visible."
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="Column separator of CSV files.")
    skip_rows: int = Field(
        0, ge=0, le=1000, description="Lines of CSV files, or rows of a sheet, before the header, such as a title."
    )
    null_values: list[str] = Field(
        ["", "NA", "NaN", "nan", "null", "NULL", "None"], description="Texts that stand for a missing value."
    )
    decimal: Literal[".", ","] = Field(
        ".", description="Decimal mark of numbers in CSV files; with `,` a point may separate thousands."
    )
    thousands: Literal["auto", "none", ".", ",", " ", "'"] = Field(
        "auto",
        description="Separator of thousands; auto: judged by all values of a column together. A file whose values "
        "contradict `decimal` is refused.",
    )
    encoding: str = Field("utf-8", description="Text encoding of CSV files, such as utf-8, cp1252 or utf-16.")
    constants: dict[str, str] = Field(
        {}, description="Columns to add, with one value for all rows; {series: all} makes a single series a segment."
    )
    melt: Melt | None = Field(
        None, description="Wide files, with one column per month or per segment: how their columns become rows."
    )

    query: str | None = Field(None, min_length=1, description="SQL query whose rows are read, if `path` is a database.")
    watermark: str | None = Field(
        None,
        min_length=1,
        description="Column of the query that is larger in new and changed rows; only those are read. Default: all "
        "rows are read, and again when one has changed.",
    )
    overlap: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        "all",
        description="Number of the last slices whose rows are counted again, to find rows that came late, changed or "
        "are gone; all: every slice.",
    )
    timeout: int = Field(3600, ge=1, description="Seconds that one statement of the database may take.")

    @model_validator(mode="after")
    def _query_of_database(self) -> Self:
        problem = query_problem(self.path, self.query, {"watermark": self.watermark})
        if problem:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _two_marks(self) -> Self:
        if self.thousands == self.decimal:
            other = "." if self.decimal == "," else ","
            raise ValueError(f"thousands: '{self.thousands}' is also the decimal mark; set decimal: '{other}'")
        return self

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            # As files are read: in pieces, with replacements. Some codecs can do neither.
            codecs.getincrementaldecoder(encoding)("replace").decode(memoryview("ab".encode(encoding)), True)
        except (LookupError, ValueError, TypeError, AttributeError) as exc:
            raise ValueError("give a text encoding that Python knows, such as utf-8 or cp1252") from exc
        return encoding
