"""Inputs and output of `myriad new`: how the files are read, what the user asked for, and the scaffold of a fleet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.config.source import Source
from domain.config.task_types import TaskType
from domain.scaffold.reader_code import reader_code

__all__ = ["FleetScaffold", "ScaffoldChoice", "SourceProfile", "UserOptions"]


@dataclass(frozen=True)
class SourceProfile:
    """Raw files and how to read them.

    files : number of files. rows : number of rows read. whole : every row was read.
    notes : remarks on reading the files, for the reader of the fleet file. doubt : what the files leave open.
    first : address of the first file.
    """

    source: Source
    files: int
    rows: int
    whole: bool
    notes: tuple[str, ...] = ()
    doubt: str = ""
    first: str = ""

    @property
    def path(self) -> str:
        return self.source.path

    def pandas_code(self) -> list[str]:
        """Lines of Python that read the files into a pandas frame, for messages."""
        return reader_code(self.source, self.first or self.path, self.files)


@dataclass(frozen=True)
class UserOptions:
    """Options of `myriad new`; None leaves the decision to the data."""

    name: str | None = None
    target: str | None = None
    segment_by: tuple[str, ...] | None = None
    time: str | None = None
    horizon: int | None = None
    task: str | None = None
    query: str | None = None
    watermark: str | None = None

    def allows(self, kind: type[TaskType]) -> bool:
        """Return True if the options permit this task type."""
        return self.task in (None, kind.name)

    @property
    def columns(self) -> Mapping[str, str]:
        """Column -> the option that names it."""
        pairs = [(self.target, "--target"), (self.time, "--time")]
        pairs += [(name, "--segment-by") for name in self.segment_by or ()]
        return {name: option for name, option in pairs if name is not None}


@dataclass(frozen=True)
class ScaffoldChoice:
    """One decision of a scaffold.

    key : of the fleet file. value : the chosen value, as text. why : a sentence or two. others : alternatives.
    sure : False where the data leave the decision open.
    """

    key: str
    value: str
    why: str
    others: tuple[str, ...] = ()
    sure: bool = True

    @property
    def comment(self) -> str:
        """The reason and the alternatives."""
        return f"{self.why} Also possible: {'; '.join(self.others)}." if self.others else self.why


@dataclass(frozen=True)
class FleetScaffold:
    """Content of a fleet file, with a choice for each key that needs a reason.

    hints : key -> content that the reader may want to add.
    """

    content: Mapping[str, Any]
    choices: Sequence[ScaffoldChoice]
    hints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> tuple[ScaffoldChoice, ...]:
        """Choices that the data leave open."""
        return tuple(choice for choice in self.choices if not choice.sure)
