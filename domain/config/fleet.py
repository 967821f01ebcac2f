"""The fleet file: everything that a data scientist decides about one problem, validated strictly.

`parse_fleet` turns a mapping (from YAML) into a `Fleet`, or raises one FleetError that names every wrong key.
"""

import codecs
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticKnownError

from domain.config.candidates import CANDIDATES, ENSEMBLE, ESTIMATOR, CandidateSpec
from domain.config.database import Sink, query_problem
from domain.config.frequency import FrequencyRule, frequency_rule
from domain.config.messages import explain
from domain.config.task_types import TASK_TYPES, TaskType, task_type
from domain.errors import FleetError

__all__ = ["Fleet", "parse_fleet"]

Metric = Literal["wape", "smape", "mae", "rmse", "mase"]
LONGEST_SEASON = 2_016


def _known_task(name: str) -> str:
    if name not in TASK_TYPES:
        raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, TASK_TYPES))})
    return name


TaskName = Annotated[
    str, AfterValidator(_known_task), WithJsonSchema({"type": "string", "enum": list(TASK_TYPES)}, mode="validation")
]
"""Name of a task type."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    LATER: ClassVar[frozenset[str]] = frozenset()
    """Settings that are younger than the first lakes. A dump leaves them out while they have their default, so that
    the fingerprints of models and files made before them still hold."""

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        for name in self.LATER:
            if getattr(self, name) == type(self).model_fields[name].default:
                content.pop(name, None)
        return content


class Source(_Strict):
    """Files with rows, local or on S3, or a query to a database."""

    LATER = frozenset({"thousands", "skip_rows", "version", "sheet", "query", "watermark", "overlap", "timeout"})

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


class Time(_Strict):
    column: str = Field(description="Column with the time of a row.")
    frequency: str = Field(
        description="Length of a period: 15min, 30min, h, 6h, D, B, W, SM, M, Q, Y or another alias of pandas.",
        examples=["15min", "h", "D", "B", "W", "W-FRI", "M", "Q", "Y"],
    )
    format: str | None = Field(
        None, description="strptime format, or `excel` for day numbers; default: ISO 8601, 2024-Q3 or 2024-W05."
    )
    zone: str = Field(
        "auto",
        description="IANA time zone of dates, and of times without a zone; auto: dates are those that the file writes, "
        "and times without a zone are in UTC.",
    )
    season: int | list[int] | Literal["auto"] = Field(
        "auto",
        description="Periods per season, or of a short and a long season; auto: 7, 52, 12, 4 or 1, of hours a day, and "
        "of shorter periods a day and a week.",
    )
    gaps: Literal["interpolate", "zero", "previous"] = Field(
        "interpolate",
        description="Value of periods without a row; weekdays or hours that never have a row are no periods, unless "
        "gaps are zero.",
    )

    @field_validator("frequency")
    @classmethod
    def _known_frequency(cls, frequency: str) -> str:
        frequency_rule(frequency)
        return frequency

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            if zone != "auto":
                ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError("give an IANA time zone such as Europe/Berlin, or auto") from exc
        return zone

    @field_validator("season")
    @classmethod
    def _positive_season(cls, season: int | list[int] | str) -> int | list[int] | str:
        seasons = [season] if isinstance(season, int) else season
        if isinstance(seasons, list):
            few = 1 <= len(seasons) <= 2 and all(1 <= periods <= LONGEST_SEASON for periods in seasons)
            if not few or (len(seasons) == 2 and not 1 < seasons[0] < seasons[1]) or seasons[-1] % seasons[0]:
                raise ValueError(
                    f"give `auto`, a number of periods from 1 to {LONGEST_SEASON:,}, or two of which the second is a "
                    "multiple of the first, such as [24, 168]"
                )
        return season

    @property
    def rule(self) -> FrequencyRule:
        """Length and beginning of the periods."""
        return frequency_rule(self.frequency)

    @property
    def seasons(self) -> tuple[int, ...]:
        """Periods of each season, the shortest first."""
        if self.season == "auto":
            return self.rule.seasons
        return (self.season,) if isinstance(self.season, int) else tuple(self.season)

    @property
    def periods_per_season(self) -> int:
        """Periods of the shortest season."""
        return self.seasons[0]

    @property
    def zone_name(self) -> str:
        """The zone of times that name none."""
        return "UTC" if self.zone == "auto" else self.zone


class Target(_Strict):
    column: str = Field(description="Column to predict.")
    transform: Literal["none", "log1p"] = Field("none", description="Scale on which ridge and trees are fitted.")
    minimum: float | None = Field(
        None, description="Predictions and intervals never go below this; 0 for counts and sales."
    )

    @model_validator(mode="after")
    def _log_needs_positive(self) -> Self:
        if self.transform == "log1p" and self.minimum is not None and self.minimum < 0:
            raise ValueError("transform log1p needs a target of at least 0; set minimum: 0 or transform: none")
        return self


class Features(_Strict):
    LATER = frozenset({"missing"})

    known: list[str] = Field([], description="Numeric columns known for future rows: price, promotion.")
    static: list[str] = Field([], description="Numeric columns that do not change within a segment.")
    categorical: list[str] = Field(
        [], description="Text columns known for future rows; one indicator per frequent value."
    )
    missing: dict[str, Literal["zero", "last", "reject"]] = Field(
        {},
        description="Meaning of a blank cell, by numeric column: 0, the last known value (the mean in regressions), or "
        "no row to train on and no prediction. Without a rule: zero for a column that is mostly blank, else last.",
    )
    max_levels: int = Field(
        32, ge=2, le=256, description="At most this many values of a categorical column get an indicator."
    )
    lags: list[Annotated[int, Field(ge=1, le=366)]] | Literal["auto", "none"] = Field(
        "auto", description="Past values, in periods."
    )
    rolling: list[Annotated[int, Field(ge=2, le=366)]] | Literal["auto", "none"] = Field(
        "auto", description="Windows of rolling means."
    )
    calendar: Literal["auto", "none"] = Field("auto", description="Fourier terms of the season.")

    @property
    def numeric(self) -> tuple[str, ...]:
        return (*self.known, *self.static)


class CandidateConfig(_Strict):
    """A candidate: a built-in one by its name, or any scikit-learn compatible regressor by its import path."""

    name: str = Field(min_length=1, description="Name of a built-in candidate, or any other name for an estimator.")
    estimator: str | None = Field(
        None, description="Import path of a scikit-learn compatible regressor.", pattern=r"^[\w.]+\.\w+$"
    )
    params: dict[str, str | int | float | bool | None] = Field({}, description="Arguments of the estimator.")

    @property
    def spec(self) -> CandidateSpec:
        """Its entry in the registry; all estimators by import path share one."""
        return CANDIDATES[self.name] if self.estimator is None else ESTIMATOR


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class Backtest(_Strict):
    folds: int = Field(3, ge=1, le=20, description="Number of rolling origins.")
    spacing: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        "auto", description="Periods between origins; auto: the horizon divided by `folds`."
    )
    metric: Metric = Field("wape", description="Metric on which candidates compete; lower is better.")
    tolerance: float = Field(
        0.05, ge=0, le=1, description="Of the single candidates within this share of the best, the simplest wins."
    )
    combination_margin: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A single candidate beats the combination only if its error is lower by this share.",
    )


class Partition(_Strict):
    buckets: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = Field(
        "auto", description="Number of buckets; fixed when the fleet is first partitioned."
    )
    min_rows: int = Field(30, ge=2, description="Segments with fewer rows get the fallback instead of a model.")
    max_segments: int = Field(100_000, ge=1, description="Fleets with more segments are refused.")


class Validation(_Strict):
    LATER: ClassVar[frozenset[str]] = frozenset({"time_range"})

    outliers: Literal["keep", "exclude", "quarantine"] = Field(
        "keep", description="Treatment of outliers; exclude: kept, but not trained on."
    )
    outlier_threshold: float = Field(
        8.0, gt=0, description="Robust z-score (distance from the rolling median over 1.4826 MAD)."
    )
    duplicates: Literal["first", "last"] = Field(
        "first",
        description="Row of a file that is accepted if several share a (segment, period), or a row_key. Of several "
        "files, the last by name counts: 2023-10 after 2023-9.",
    )
    max_quarantined_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="If partitioning rejects a larger share of the rows, as duplicates or outliers, the run stops.",
    )
    time_range: list[str] | Literal["auto", "off"] = Field(
        "auto",
        description="First and last date of rows to train on. auto: rows are rejected that are later than now by more "
        "than the horizon, or years away from all others of their segment.",
    )

    @field_validator("time_range")
    @classmethod
    def _two_dates(cls, time_range: list[str] | str) -> list[str] | str:
        if isinstance(time_range, list):
            message = 'give `auto`, `off`, or two dates in quotes, such as ["2015-01-01", "2030-12-31"]'
            try:
                first, last = (date.fromisoformat(text) for text in time_range)
            except ValueError as exc:
                raise ValueError(message) from exc
            if first > last:
                raise ValueError(message)
        return time_range


class Parent(_Strict):
    parent: str = Field(description="One of the `segment_by` columns; segments that share its value share a model.")


class Interval(_Strict):
    level: float = Field(0.9, gt=0.5, lt=1, description="Nominal coverage of [lower, upper].")


class Gates(_Strict):
    """Limits that a challenger must pass before it becomes champion."""

    baseline_tolerance: float = Field(
        0.0, ge=0, description="A challenger may be worse than the naive baseline by this share."
    )
    champion_tolerance: float = Field(
        0.02, ge=0, description="A challenger may be worse than the champion by this share."
    )
    insufficient_evidence: Literal["backtest", "hold", "promote"] = Field(
        "backtest", description="Decision if there are too few rows after both cut-offs."
    )
    min_live_rows: int = Field(4, ge=1, description="Rows after both cut-offs that suffice to compare on live data.")
    max_parity_error: float = Field(
        1e-4,
        gt=0,
        description="Largest difference between ONNX and native predictions, relative to the segment's scale.",
    )
    max_model_bytes: int = Field(2_000_000, gt=0, description="Largest size of an ONNX model.")
    max_latency_ms: float = Field(50.0, gt=0, description="Advisory: a slower model is noted, never held.")
    worst_metric: float | None = Field(None, gt=0, description="A challenger with a worse backtest metric is held.")
    max_failed_share: float = Field(
        0.5, ge=0, le=1, description="If a larger share of the segments fails a gate, nothing is promoted."
    )
    keep_releases: int = Field(10, ge=2, description="Releases kept for rollback.")


class Retraining(_Strict):
    """Training of segments whose rows or settings changed; models of unchanged segments are always reused."""

    policy: Literal["reselect", "refit", "frozen"] = Field(
        "reselect",
        description="reselect: all candidates compete again; refit: the same candidate on the new rows; frozen: the "
        "model stays. A segment without a model is always trained.",
    )
    every: int = Field(
        1, ge=1, description="With reselect: candidates compete in every n-th training of a segment; the others refit."
    )

    @model_validator(mode="after")
    def _every_needs_reselect(self) -> Self:
        if self.every != 1 and self.policy != "reselect":
            raise ValueError(f"every: {self.every} has no effect with policy: {self.policy}; remove it or use reselect")
        return self


class Score(_Strict):
    """Scoring input: future covariates (forecast) or new rows (regression)."""

    source: Source = Field(description="Files with the rows to score.")
    missing_covariates: Literal["last", "reject"] = Field(
        "last", description="Treatment of a future row without covariates: the last known ones, or no prediction."
    )


class Test(_Strict):
    """Published actuals that no model has seen; only the report reads them."""

    source: Source = Field(description="Files with the actuals.")
    metric: Metric | None = Field(None, description="Metric of the comparison; default: that of the backtest.")
    target: str | None = Field(None, description="Column of the actuals, if its name differs.")


class Fleet(_Strict):
    """All models of one problem."""

    LATER = frozenset({"sink"})

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="Name of the fleet: lower case, digits, - and _.")
    description: str = Field("", description="Subject of the predictions, in one line.")
    task: TaskName = Field(description="Future values of a series, or one value per row.")
    source: Source = Field(description="Files with the rows to train on.")
    segment_by: list[str] = Field(min_length=1, description="Columns whose combinations are the segments.")
    time: Time | None = Field(None, description="Time of a row; required for task forecast.")
    target: Target = Field(description="The predicted column.")
    row_key: list[str] = Field(
        [], description="Columns that identify a row of a regression fleet; copied to predictions."
    )
    features: Features = Field(Features(), description="Columns and terms that predictions are made from.")
    horizon: int | None = Field(None, ge=1, le=1000, description="Periods to forecast.")
    candidates: list[Annotated[CandidateConfig, BeforeValidator(_named)]] = Field(
        min_length=1, description="Candidates that compete; a name alone stands for {name: ...}."
    )
    combine: bool = Field(True, description="Let the weighted combination of the candidates compete too.")
    backtest: Backtest = Field(Backtest(), description="Comparison of the candidates.")
    partition: Partition = Field(Partition(), description="Grouping of segments, and the rows that a model needs.")
    retraining: Retraining = Field(Retraining(), description="Training of segments whose rows or settings changed.")
    validation: Validation = Field(Validation(), description="Treatment of duplicates and outliers.")
    fallback: list[Parent | Literal["global"]] = Field(
        ["global"], description="Models for short, failed and unseen segments, in order."
    )
    interval: Interval = Field(Interval(), description="The prediction interval.")
    gates: Gates = Field(Gates(), description="Limits that a challenger must pass before it becomes champion.")
    score: Score | None = Field(None, description="Scoring input; required to score with task regression.")
    test: Test | None = Field(None, description="Published actuals for the report.")
    sink: Sink | None = Field(None, description="Database table that gets a copy of all predictions after each job.")
    max_failed_share: float = Field(
        0.1, ge=0, le=1, description="A training fails as a whole if a larger share of its segments fails."
    )
    seed: int = Field(0, ge=0, description="Random state of LightGBM and of estimators with a `random_state`.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = list(_contradictions(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def task_type(self) -> TaskType:
        """The strategy of the fleet's task."""
        return task_type(self.task)

    @property
    def clock(self) -> Time:
        """The time section; forecast fleets always have one."""
        if self.time is None:
            raise FleetError(f"fleet {self.name}: time: is missing; give {{column: ..., frequency: ...}}")
        return self.time

    @property
    def actuals_fleet(self) -> "Fleet":
        """The fleet that reads the published actuals: keys and the target alone, under its name in those files."""
        named = self.test.target if self.test else None
        target = self.target.model_copy(update={"column": named or self.target.column})
        return self.model_copy(update={"features": Features(), "target": target})

    @property
    def season(self) -> int:
        """Periods per season of a forecast fleet; 1 elsewhere."""
        return self.time.periods_per_season if self.time and self.task_type.periodic else 1

    @property
    def steps(self) -> int:
        """Horizon of a forecast fleet; 1 elsewhere."""
        return self.horizon or 1

    @property
    def numbers(self) -> tuple[str, ...]:
        """Numeric columns."""
        return (*self.features.numeric, self.target.column)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that training input must have."""
        times = (self.time.column,) if self.time else ()
        used = (*self.segment_by, *times, *self.row_key, *self.features.numeric, *self.features.categorical)
        return tuple(dict.fromkeys((*used, self.target.column)))


def _contradictions(fleet: Fleet) -> Iterator[str]:
    """Contradictions between keys, each as `key: the problem and the way out`."""
    yield from fleet.task_type.contradictions(fleet)
    yield from _candidate_contradictions(fleet)
    yield from _column_clashes(fleet)
    for name in fleet.features.missing:
        if name not in fleet.features.numeric:
            yield f"features.missing: '{name}' is not a numeric column: {', '.join(fleet.features.numeric) or 'none'}"
    for level in fleet.fallback:
        if isinstance(level, Parent) and level.parent not in fleet.segment_by:
            yield f"fallback: parent '{level.parent}' is not one of segment_by: {', '.join(fleet.segment_by)}"


def _candidate_contradictions(fleet: Fleet) -> Iterator[str]:
    names = [candidate.name for candidate in fleet.candidates]
    yield from (f"candidates: '{name}' is named twice" for name in dict.fromkeys(names) if names.count(name) > 1)
    allowed = sorted(name for name, spec in CANDIDATES.items() if fleet.task in spec.tasks)
    for candidate in fleet.candidates:
        name = candidate.name
        if candidate.estimator is not None:
            if name in CANDIDATES or name == ENSEMBLE:
                yield f"candidates: '{name}' is built in; give an estimator another name"
            continue
        if name not in allowed:
            yield (
                f"candidates: '{name}' is not a candidate for task {fleet.task}; allowed: {', '.join(allowed)}, "
                "or give `estimator:`"
            )
        elif candidate.params and candidate.spec.family != "estimator":
            params, takers = ", ".join(candidate.params), ", ".join(_takers_of_params())
            yield f"candidates: '{name}' takes no params, but has {params}; allowed for {takers} and for estimators"


def _takers_of_params() -> list[str]:
    return [name for name, spec in CANDIDATES.items() if spec.family == "estimator"]


def _column_clashes(fleet: Fleet) -> Iterator[str]:
    roles: dict[str, str] = {}
    features = fleet.features
    named = [("segment_by", fleet.segment_by), ("target", [fleet.target.column]), ("features.known", features.known)]
    named += [("features.static", features.static), ("features.categorical", features.categorical)]
    for role, columns in named:
        for column in columns:
            if column in roles and not (role == "features.categorical" and roles[column] == "segment_by"):
                yield f"{role}: column '{column}' is already used as {roles[column]}"
            roles[column] = role
    if fleet.time is not None and roles.get(fleet.time.column) in ("segment_by", "target"):
        yield f"time.column: column '{fleet.time.column}' is already used as {roles[fleet.time.column]}"
    lower: dict[str, str] = {}
    for column in dict.fromkeys(fleet.segment_by):
        other = lower.setdefault(column.lower(), column)
        if other != column:
            yield (
                f"segment_by: columns '{other}' and '{column}' differ only in case; rename one, "
                "since names of fallback models are lower case"
            )


def parse_fleet(content: Mapping[str, Any] | object, origin: str) -> Fleet:
    """Validate the content of a YAML document as a fleet.

    Parameters
    ----------
    content : the parsed document.
    origin : the name of the file, for messages.

    Raises
    ------
    FleetError : names the file and, for every problem, the key, the value and the allowed values.
    """
    if not isinstance(content, Mapping):
        raise FleetError(f"{origin}: not a fleet file; expected keys such as name, task, source, segment_by, target")
    try:
        return Fleet.model_validate(dict(content))
    except ValidationError as exc:
        raise FleetError(explain(exc, origin, Fleet)) from exc
