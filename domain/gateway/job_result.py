"""The account of a scoring run that somebody asked for: what became of each of its files, as JSON beside the tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from domain.data.jsonable import json_text

__all__ = ["InputAccount", "ScoreAccount", "account_json", "parse_account"]


@dataclass(frozen=True)
class InputAccount:
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
class ScoreAccount:
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
    inputs: tuple[InputAccount, ...] = ()


def account_json(account: ScoreAccount) -> str:
    """As JSON; `parse_account` gives it back."""
    return json_text(account) + "\n"


def parse_account(text: str | bytes) -> ScoreAccount | None:
    """The account of a JSON text; None if it is none."""
    try:
        return TypeAdapter(ScoreAccount).validate_json(text)
    except ValidationError:
        return None
