"""The fleet file: everything that a data scientist decides about one problem, validated strictly.

`parse_fleet` turns a mapping (from YAML) into a `Fleet`, or raises one FleetError that names every wrong key.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticKnownError

from domain.config.aggregate import Aggregate, rule_of, target_rule
from domain.config.columns import Features, Target
from domain.config.contradictions import contradictions
from domain.config.database import Sink
from domain.config.gates import Gates
from domain.config.messages import explain
from domain.config.scoring import Score, Test
from domain.config.source import Source
from domain.config.strict import Strict
from domain.config.task_types import TASK_TYPES, TaskType, task_type
from domain.config.time_section import Time
from domain.config.training import Backtest, CandidateConfig, Interval, Parent, Partition, Retraining
from domain.config.validation import Validation
from domain.errors import FleetError

__all__ = ["Fleet", "parse_fleet"]


def _known_task(name: str) -> str:
    if name not in TASK_TYPES:
        raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, TASK_TYPES))})
    return name


TaskName = Annotated[
    str, AfterValidator(_known_task), WithJsonSchema({"type": "string", "enum": list(TASK_TYPES)}, mode="validation")
]
"""Name of a task type."""


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class Fleet(Strict):
    """All models of one problem."""

    LATER = frozenset({"sink", "aggregate"})

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="Name of the fleet: lower case, digits, - and _.")
    description: str = Field("", description="Subject of the predictions, in one line.")
    task: TaskName = Field(description="Future values of a series, or one value per row.")
    source: Source = Field(description="Files with the rows to train on.")
    segment_by: list[str] = Field(min_length=1, description="Columns whose combinations are the segments.")
    time: Time | None = Field(None, description="Time of a row; required for task forecast.")
    target: Target = Field(description="The predicted column.")
    aggregate: Aggregate | None = Field(
        None,
        description="Several rows per segment and period, such as receipts, become one by this rule of the target: "
        "sum, mean, min, max, last or count; {column: rule} names those of covariates too, which otherwise have their "
        "mean. Without it, a repeated row is rejected.",
    )
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
        problems = list(contradictions(self))
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
        rule = target_rule(self)
        return self.model_copy(update={"features": Features(), "target": target, "aggregate": rule})

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
        """Numeric columns; what is only counted may be text."""
        counted = {name for name in (*self.features.numeric, self.target.column) if rule_of(self, name) == "count"}
        return tuple(name for name in (*self.features.numeric, self.target.column) if name not in counted)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that training input must have."""
        times = (self.time.column,) if self.time else ()
        used = (*self.segment_by, *times, *self.row_key, *self.features.numeric, *self.features.categorical)
        return tuple(dict.fromkeys((*used, self.target.column)))


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
