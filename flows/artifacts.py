"""Prefect artifacts of a flow: progress while it runs, a summary table at its end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from adapters.telemetry import Progress, subscribed

__all__ = ["progress_artifacts", "summarise"]

_STEP_PERCENT = 20.0


class _ProgressArtifacts:
    """One progress artifact a stage, updated every `_STEP_PERCENT`: each update is a call to the API."""

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
    """Progress of the block's stages as artifacts of the present flow run."""
    with subscribed(_ProgressArtifacts(fleet)):
        yield


def summarise(fleet: str, stage: str, figures: Mapping[str, object]) -> None:
    """A table of a stage's figures as an artifact of the present flow run."""
    lines = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    create_markdown_artifact(
        f"### {stage} of {fleet}\n\n| | |\n|---|---|\n{lines}\n", key=_key(fleet, stage, "summary")
    )


def _key(*parts: str) -> str:
    return "-".join(parts).replace("_", "-").lower()
