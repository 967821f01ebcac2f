"""Turns pydantic's errors about a fleet file into one readable message."""

import difflib
from collections.abc import Iterator, Sequence
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

__all__ = ["explain"]


def explain(error: ValidationError, origin: str, model: type[BaseModel]) -> str:
    """One line a problem: `fleets/oj.yaml: horizon: 0 is not allowed; Input should be ...`."""
    return "\n".join(dict.fromkeys(f"{origin}: {_line(detail, model)}" for detail in error.errors()))


def _line(detail: ErrorDetails, model: type[BaseModel]) -> str:
    # Pydantic adds the tags of unions to the location; a fleet's keys are what the file shows.
    path = [part for part in detail["loc"] if not (isinstance(part, str) and _is_tag(part))]
    key = ".".join(str(part) for part in path)
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key; {_suggestion(path, model)}"
    if detail["type"] == "missing":
        return f"{key}: is missing; {_describe(path, model)}"
    if detail["type"] == "value_error":
        text = detail["msg"].removeprefix("Value error, ")
        return f"{key}: {detail['input']!r} is not allowed; {text}" if key else text
    value = repr(detail["input"])
    shown = value if len(value) <= 60 else value[:57] + "..."
    return f"{key}: {shown} is not allowed; {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _is_tag(part: str) -> bool:
    return "[" in part or part in {"constrained-int", "Parent", "Candidate", "int", "str", "function-before"}


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _owner(path: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel]:
    for part in path[:-1]:
        field = model.model_fields.get(str(part))
        inner = list(_models(field.annotation)) if field else []
        model = inner[0] if inner else model
    return model


def _suggestion(path: Sequence[str | int], model: type[BaseModel]) -> str:
    allowed = sorted(_owner(path, model).model_fields)
    near = difflib.get_close_matches(str(path[-1]), allowed, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return f"{hint}allowed: {', '.join(allowed)}"


def _describe(path: Sequence[str | int], model: type[BaseModel]) -> str:
    field = _owner(path, model).model_fields.get(str(path[-1]))
    return (field.description or "give a value") if field else "give a value"
