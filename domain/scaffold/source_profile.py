"""What a first fleet file is written from: the files as they were read, and what the user wants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.config.fleet import Source
from domain.config.task_types import TaskType

__all__ = ["FleetScaffold", "ScaffoldChoice", "SourceProfile", "UserOptions"]


@dataclass(frozen=True)
class SourceProfile:
    """Raw files and how they are read.

    files : how many there are. rows : how many rows were looked at. whole : all there are.
    notes : what a reader of the fleet file should know of how they are read.
    """

    source: Source
    files: int
    rows: int
    whole: bool
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return self.source.path

    def reading(self) -> str:
        """Python that reads the files into a frame, for advice."""
        if self.source.path.lower().endswith((".parquet", ".pq")):
            return f'frame = pd.read_parquet("{self.path}")'
        given = {"sep": (self.source.delimiter, ","), "decimal": (self.source.decimal, ".")}
        given |= {"encoding": (self.source.encoding, "utf-8")}
        told = "".join(f", {name}={value!r}" for name, (value, usual) in given.items() if value != usual)
        return f'frame = pd.read_csv("{self.path}"{told})'


@dataclass(frozen=True)
class UserOptions:
    """What the user says; None where the data are to tell."""

    name: str | None = None
    target: str | None = None
    segment_by: tuple[str, ...] | None = None
    time: str | None = None
    horizon: int | None = None
    task: str | None = None

    def allows(self, kind: type[TaskType]) -> bool:
        """Whether the fleet may have this task type."""
        return self.task in (None, kind.name)

    @property
    def columns(self) -> Mapping[str, str]:
        """Named column -> the option that names it."""
        named = [(self.target, "--target"), (self.time, "--time")]
        named += [(name, "--segment-by") for name in self.segment_by or ()]
        return {name: option for name, option in named if name is not None}


@dataclass(frozen=True)
class ScaffoldChoice:
    """One choice of a scaffold.

    key : of the fleet file. value : what was chosen, for people. why : a sentence or two. others : what else was
    possible. sure : False where the data leave it open.
    """

    key: str
    value: str
    why: str
    others: tuple[str, ...] = ()
    sure: bool = True

    @property
    def comment(self) -> str:
        """Why, and what else was possible."""
        return f"{self.why} Also possible: {'; '.join(self.others)}." if self.others else self.why


@dataclass(frozen=True)
class FleetScaffold:
    """A fleet file's content, and a choice for each key that needs a reason.

    hints : key -> content that the reader may want instead.
    """

    content: Mapping[str, Any]
    choices: Sequence[ScaffoldChoice]
    hints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> tuple[ScaffoldChoice, ...]:
        """Choices that the data leave open."""
        return tuple(choice for choice in self.choices if not choice.sure)
