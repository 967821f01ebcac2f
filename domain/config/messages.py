"""Turn pydantic's errors about a fleet file into one readable message."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from domain.config.database import without_secrets

__all__ = ["explain"]


def explain(error: ValidationError, origin: str, model: type[BaseModel]) -> str:
    """One line per problem: `fleets/oj.yaml: horizon: 0 is not allowed; input should be ...`."""
    paths = [_path(detail) for detail in error.errors()]
    problems: dict[str, list[str]] = {}
    for detail, path in zip(error.errors(), paths, strict=True):
        # Of a key's alternatives, the error inside the one that was meant is the useful one.
        if any(len(other) > len(path) and other[: len(path)] == path for other in paths):
            continue
        for subject, text in _problems(detail, path, model):
            # Alternatives of a key (a number, or `auto`) share a line.
            problems.setdefault(subject, []).append(text)
    return "\n".join(f"{origin}: {subject}{', or '.join(dict.fromkeys(texts))}" for subject, texts in problems.items())


def _path(detail: ErrorDetails) -> list[str | int]:
    """Keys that lead to a problem, as in the file: without the tags of unions that pydantic adds."""
    *parents, last = detail["loc"] or ("",)
    path = [part for part in parents if not _is_tag(part)]
    shown = detail["type"] in ("extra_forbidden", "missing") or not _is_tag(last)
    return [*path, last] if shown else path


def _problems(detail: ErrorDetails, path: Sequence[str | int], model: type[BaseModel]) -> list[tuple[str, str]]:
    """The problems of one error, each as its subject and the allowed values."""
    key = ".".join(str(part) for part in path)
    if detail["type"] == "extra_forbidden":
        return [(f"{key}: unknown key; ", _suggestion(path, model))]
    if detail["type"] == "missing":
        return [(f"{key}: is missing; ", _describe(path, model))]
    text = detail["msg"].removeprefix("Value error, ")
    if not key:
        return [(line, "") for line in text.splitlines()]
    value = without_secrets(repr(detail["input"]))
    shown = value if len(value) <= 60 else value[:57] + "..."
    text = re.sub(r"^Input should be a valid dictionary( or instance of \w+)?$", "Input should be a mapping", text)
    return [(f"{key}: {shown} is not allowed; ", f"{text[0].lower()}{text[1:]}")]


def _is_tag(part: str | int) -> bool:
    tags = {"constrained-int", "Parent", "CandidateConfig", "int", "str", "function-before"}
    return isinstance(part, str) and ("[" in part or part in tags)


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
