"""Types of the flows' parameters: checked by Prefect's API, its CLI and each flow, and shown in the UI's form."""

from typing import Annotated, Any

from pydantic import Field

__all__ = [
    "AlertSubject",
    "AlertText",
    "BucketsAtOnce",
    "DryRun",
    "FirstDate",
    "FleetFile",
    "FleetName",
    "InputFiles",
    "LakeRoot",
    "LastDate",
    "ModelVersion",
    "OutputFile",
    "PastDate",
    "RejectedShare",
    "ReleaseNumber",
    "RetentionHours",
    "RunId",
    "ScoredRelease",
    "SegmentKey",
    "WorkerCount",
]


def _shown(title: str, description: str, **limits: Any) -> Any:
    """A field as the form shows it; in the schema's extra, since Prefect overwrites a field's own title."""
    return Field(**limits, json_schema_extra={"title": title, "description": description})


# No spaces at either end: they come with copied text and would name another file.
_TRIMMED = r"^\S(.*\S)?$"

FleetFile = Annotated[
    str, _shown("Fleet", "Name of a file in fleets/, such as m3, or the path of a fleet file.", pattern=_TRIMMED)
]
LakeRoot = Annotated[
    str | None,
    _shown("Lake", "Folder or s3:// uri of the tables; none: what MYRIAD_LAKE says.", pattern=_TRIMMED),
]
RunId = Annotated[
    str | None,
    _shown(
        "Run id",
        "Names the run in the tables; none: a new one, made from the time.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    ),
]
ReleaseNumber = Annotated[int, _shown("Release to restore", "Number of a release that is kept, at least 1.", ge=1)]
ScoredRelease = Annotated[
    int | None, _shown("Release", "Number of the release that scores; none: the one in force.", ge=1)
]
AlertSubject = Annotated[str, _shown("About", "What it is about, such as a run in Prefect.", max_length=500)]
AlertText = Annotated[str, _shown("What", "What somebody should look at.", min_length=1, max_length=500)]
PastDate = Annotated[
    str | None,
    _shown(
        "As of",
        "Forecast from observations up to this date alone: 2024, 2024-06, 2024-06-30 or a time; none: all of them.",
        pattern=_TRIMMED,
    ),
]
InputFiles = Annotated[
    list[str] | None,
    _shown("Inputs", "Files, folders or globs to score in place of the fleet's own source; none: the source."),
]
RejectedShare = Annotated[
    float,
    _shown(
        "Rejected rows",
        "Share of the rows of new input that may be rejected; with more of them nothing is scored.",
        ge=0,
        le=1,
    ),
]
WorkerCount = Annotated[
    int | None,
    _shown(
        "Workers",
        "Most workers that the run takes, its own or shared ones; none: MYRIAD_WORKERS, or all that there are.",
        ge=1,
        le=1000,
    ),
]
BucketsAtOnce = Annotated[
    int | None, _shown("Concurrency", "Most buckets at work at a time; none: one for each worker.", ge=1, le=1000)
]
OutputFile = Annotated[
    str | None,
    _shown(
        "Output",
        "A file to write the predictions to as well, .csv or .parquet; none: the lake alone.",
        pattern=_TRIMMED,
    ),
]
FirstDate = Annotated[
    str, _shown("First date", "Forecast as of the end of every period from this one: 2024-06-30.", pattern=_TRIMMED)
]
LastDate = Annotated[str, _shown("Last date", "The last period, such as 2024-12-31.", pattern=_TRIMMED)]
SegmentKey = Annotated[str, _shown("Segment", "Key of a segment or fallback level, such as store=2/brand=5.")]
ModelVersion = Annotated[int, _shown("Version", "Number of a version of its registered model, at least 1.", ge=1)]
DryRun = Annotated[bool, _shown("Dry run", "Only tell what differs or would be done; change nothing.")]
FleetName = Annotated[str, _shown("Fleet", "Name of a fleet in the lake, such as m3.", pattern=_TRIMMED)]
RetentionHours = Annotated[
    int | None,
    _shown(
        "Retention in hours",
        "Hours after which what nobody reads is deleted; none: what MYRIAD_RETENTION_HOURS says.",
        ge=24,
    ),
]
