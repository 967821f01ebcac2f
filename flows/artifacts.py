"""Prefect's view of a flow: progress and log lines while it runs, a summary table at its end."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from prefect.exceptions import MissingContextError

from adapters.compute.progress import Progress, subscribed

__all__ = ["log_progress", "progress_artifacts", "summarise"]

_STEP_PERCENT = 20.0


class _ProgressArtifacts:
    """One progress artifact per stage, updated every `_STEP_PERCENT`: each update is a call to the API."""

    def __init__(self, fleet: str) -> None:
        self._fleet = fleet
        self._shown: dict[str, tuple[UUID, float]] = {}

    def __call__(self, progress: Progress) -> None:
        percent = 100.0 * progress.done / progress.total if progress.total else 100.0
        if progress.stage not in self._shown:
            key = _key(self._fleet, progress.stage, "progress")
            made = create_progress_artifact(percent, key=key, description=f"{progress.stage} of {self._fleet}")
            if isinstance(made, UUID):
                self._shown[progress.stage] = (made, percent)
            return
        artifact, last = self._shown[progress.stage]
        if percent >= min(100.0, last + _STEP_PERCENT) and percent > last:
            update_progress_artifact(artifact, percent)
            self._shown[progress.stage] = (artifact, percent)


@contextmanager
def progress_artifacts(fleet: str) -> Iterator[None]:
    """Show the progress of the block's stages as artifacts of the current flow run."""
    with subscribed(_ProgressArtifacts(fleet)):
        yield


def log_progress(progress: Progress) -> None:
    """Log a line in the current flow run or task run when a stage begins and when all its parts are done."""
    try:
        logger = get_run_logger()
    except MissingContextError:
        return  # The stage runs between two flows.
    if progress.note:
        logger.info("%s: %s", progress.stage, progress.note)
    if progress.total == 0 and TaskRunContext.get() is None:
        logger.info("%s begins", progress.stage)
    elif progress.total and progress.done == progress.total:
        logger.info("%s: %s of %s", progress.stage, progress.done, progress.total)


def summarise(fleet: str, stage: str, figures: Mapping[str, object]) -> None:
    """Show a stage's figures in the current flow run: as a line of its log, and as an artifact with a table."""
    with suppress(MissingContextError):
        known = [f"{name} {value}" for name, value in figures.items()]
        get_run_logger().info("%s of %s: %s", stage, fleet, ", ".join(known))
    lines = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    create_markdown_artifact(
        f"### {stage} of {fleet}\n\n| | |\n|---|---|\n{lines}\n", key=_key(fleet, stage, "summary")
    )


def _key(*parts: str) -> str:
    """Join the parts to a key as Prefect accepts it: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower())
