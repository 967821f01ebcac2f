"""The account of a scoring run that somebody asked for: what became of each of its files, as JSON beside the tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from domain.config.task_types import TaskType, task_type
from domain.data.jsonable import json_text

__all__ = ["InputResult", "JobResult", "job_result_json", "parse_job_result"]


@dataclass(frozen=True)
class InputResult:
    """One file. read = accepted + quarantined. predictions : rows of it in the table, by status.

    error : why the file as a whole was refused; what it held before stays then.
    """

    uri: str
    input_id: str
    read: int
    accepted: int
    quarantined: int
    predictions: int
    statuses: Mapping[str, int]
    error: str = ""


@dataclass(frozen=True)
class JobResult:
    """One run. job_id : of the commit that made the predictions. rows : predictions that the run stands for.

    inputs : files that it was asked to score; none where it took what the fleet's source had.
    """

    fleet: str
    run_id: str
    job_id: str
    release: int
    task: str
    rows: int
    segments: int
    statuses: Mapping[str, int]
    levels: Mapping[str, int]
    repeated: bool
    inputs: tuple[InputResult, ...] = ()

    @property
    def task_type(self) -> TaskType:
        """The strategy of its task."""
        return task_type(self.task)


def job_result_json(result: JobResult) -> str:
    """Return the result as JSON; `parse_job_result` is the inverse."""
    return json_text(result) + "\n"


def parse_job_result(text: str | bytes) -> JobResult | None:
    """Return the result that a JSON text holds; None if it holds none."""
    try:
        return TypeAdapter(JobResult).validate_json(text)
    except ValidationError:
        return None
