"""A fleet drafted from a data frame, as `myriad new` drafts one from files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.settings import Settings
from adapters.sources.fleet_files import load_fleet
from adapters.sources.scaffold import WrittenScaffold, draft_fleet, write_draft
from domain.config.fleet import Fleet, parse_fleet
from domain.errors import FleetError
from domain.reporting.formatting import format_bytes, format_count, format_duration
from domain.scaffold.source_profile import UserOptions
from myriad.frames import to_arrow, write_rows

__all__ = ["describe_draft", "draft_from_frame"]

_DATA = "data/frames"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def draft_from_frame(
    frame: Any, name: str, settings: Settings, sections: Mapping[str, Any], *, overwrite: bool
) -> WrittenScaffold | None:
    """Write the rows of a frame to `data/frames/NAME.parquet` and a draft to `fleets/NAME.yaml`.

    A fleet file that was drafted before stays as it is if it has the given sections; None is returned then.

    Parameters
    ----------
    sections : options of `myriad new` (`target`, `segment_by`, `time`, `horizon`, `task`) and sections of the fleet
        file, which take the place of those of the draft.
    overwrite : replace the fleet file in any case.

    Raises
    ------
    SourceError
        The frame cannot be written, or no fleet can be drafted from it.
    FleetError
        The file exists for other data or with other sections, or the fleet would not run.
    """
    table = to_arrow(frame)
    if not _NAME.fullmatch(name):
        raise FleetError(f"name: {name!r} is not allowed; give lower case, digits, - and _, such as sales")
    options, rest = _options(name, sections)
    data = f"{_DATA}/{name}.parquet"
    file = settings.home / f"fleets/{name}.yaml"
    kept = file.exists() and not overwrite
    if kept:
        _require_same(load_fleet(name, settings.home), data, file, options, rest)
    write_rows(table, settings.home / data)
    if kept:
        return None
    draft = draft_fleet(data, options, settings.home, settings.workers, rest)
    write_draft(draft)
    return draft


def _require_same(fleet: Fleet, data: str, file: Path, options: UserOptions, sections: Mapping[str, Any]) -> None:
    """Raise FleetError if a fleet file is for other data, or has other sections than those that are given."""
    if fleet.source.path != data:
        raise FleetError(f"{file}: exists already, for other data; give another name, or overwrite=True")
    content = fleet.model_dump(mode="json", exclude_defaults=True)
    changed = parse_fleet(_with_options(content, options, sections), str(file))
    if changed != fleet:
        names = [key for key in type(fleet).model_fields if getattr(changed, key) != getattr(fleet, key)]
        raise FleetError(
            f"{file}: exists already, with another {' and '.join(names)}; leave that out to use the file as it is, or "
            "replace the file: overwrite=True"
        )


def _with_options(content: Mapping[str, Any], options: UserOptions, sections: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(content)
    columns = {"time": options.time, "target": options.target}
    parts = {key: {"column": column} for key, column in columns.items() if column is not None}
    values = {"segment_by": list(options.segment_by or ()), "horizon": options.horizon, "task": options.task}
    for key, value in (*parts.items(), *sections.items()):
        changed[key] = {**changed.get(key, {}), **value} if isinstance(value, Mapping) else value
    return changed | {key: value for key, value in values.items() if value}


def _options(name: str, sections: Mapping[str, Any]) -> tuple[UserOptions, Mapping[str, Any]]:
    """Return the options of `myriad new`, and the sections for the file; a section that has a column also names it."""
    rest, columns = dict(sections), dict[str, str | None]()
    for key in ("time", "target"):
        value = rest.pop(key, None)
        columns[key] = value.get("column") if isinstance(value, Mapping) else value
        if isinstance(value, Mapping):
            rest[key] = value
    segments: str | Sequence[str] | None = rest.pop("segment_by", None)
    names = (segments,) if isinstance(segments, str) else None if segments is None else tuple(segments)
    horizon, task = rest.pop("horizon", None), rest.pop("task", None)
    return UserOptions(name, columns["target"], names, columns["time"], horizon, task), rest


def describe_draft(draft: WrittenScaffold) -> Iterator[str]:
    """Describe what was found: each choice with its reason, what to review, and the estimate of a run."""
    for choice in draft.scaffold.choices:
        review = "" if choice.sure else " (review)"
        yield f"{choice.key}: {choice.value}{review}. {choice.comment}"
    for problem in draft.findings.problems:
        yield f"warning: {problem.key}: {problem.message}"
    if (estimate := draft.findings.estimate) is not None:
        seconds = format_duration(estimate.train_seconds + estimate.score_seconds)
        memory = format_bytes(estimate.peak_memory_bytes)
        yield f"a run trains {format_count(estimate.models, 'model')}: about {seconds} and {memory}"
