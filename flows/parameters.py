"""Types of the flows' parameters: checked by Prefect's API, its CLI and each flow, and shown in the UI's form."""

from typing import Annotated, Any

from pydantic import Field

__all__ = [
    "AlertSubject",
    "AlertText",
    "BucketsAtOnce",
    "DeliverToSink",
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
    "SegmentPattern",
    "WithinFolders",
    "WorkerCount",
]


def _shown(title: str, description: str, **limits: Any) -> Any:
    """Describe a field for the form; in the schema's extra, since Prefect overwrites a field's own title."""
    return Field(**limits, json_schema_extra={"title": title, "description": description})


# No spaces at either end: they come with copied text and would name another file.
_TRIMMED = r"^\S(.*\S)?$"

FleetFile = Annotated[
    str, _shown("Fleet", "Name of a file in fleets/, such as m3, or the path of a fleet file.", pattern=_TRIMMED)
]
LakeRoot = Annotated[
    str | None,
    _shown("Lake", "Folder or s3:// URI of the tables; default: MYRIAD_LAKE.", pattern=_TRIMMED),
]
RunId = Annotated[
    str | None,
    _shown(
        "Run id",
        "Identifies the run in the tables; default: a new one, from the current time.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    ),
]
ReleaseNumber = Annotated[
    int, _shown("Release to restore", "Number of a release that is still kept, at least 1.", ge=1)
]
ScoredRelease = Annotated[
    int | None, _shown("Release", "Number of the release that scores; default: the one in force.", ge=1)
]
AlertSubject = Annotated[str, _shown("About", "The subject, such as a run in Prefect.", max_length=500)]
AlertText = Annotated[str, _shown("What", "What needs attention.", min_length=1, max_length=500)]
PastDate = Annotated[
    str | None,
    _shown(
        "As of",
        "Forecast from observations up to this date only: 2024, 2024-06, 2024-06-30 or a time; default: all.",
        pattern=_TRIMMED,
    ),
]
InputFiles = Annotated[
    list[str] | None,
    _shown("Inputs", "Files, folders or globs to score instead of the fleet's own source; default: the source."),
]
WithinFolders = Annotated[
    list[str] | None,
    _shown("Within", "Folders that input must lie in, after links are resolved; default: anywhere."),
]
RejectedShare = Annotated[
    float,
    _shown(
        "Rejected rows",
        "Share of the new input's rows that may be rejected; above it, nothing is scored.",
        ge=0,
        le=1,
    ),
]
WorkerCount = Annotated[
    int | None,
    _shown(
        "Workers",
        "Largest number of workers, its own or shared ones; default: MYRIAD_WORKERS, or all there are.",
        ge=1,
        le=1000,
    ),
]
BucketsAtOnce = Annotated[
    int | None,
    _shown(
        "Concurrency", "Largest number of buckets at work at the same time; default: one per worker.", ge=1, le=1000
    ),
]
OutputFile = Annotated[
    str | None,
    _shown(
        "Output",
        "A file that receives the predictions too, .csv or .parquet; default: the lake only.",
        pattern=_TRIMMED,
    ),
]
DeliverToSink = Annotated[bool, _shown("Deliver", "Write new predictions to the fleet's sink, if it has one.")]
FirstDate = Annotated[
    str, _shown("First date", "Forecast as of the end of every period from this one: 2024-06-30.", pattern=_TRIMMED)
]
LastDate = Annotated[str, _shown("Last date", "The last period, such as 2024-12-31.", pattern=_TRIMMED)]
SegmentPattern = Annotated[
    str | None,
    _shown(
        "Segments",
        "Pattern of the segments to train, such as store=2/* or 2/*; the others keep their models; default: all.",
        pattern=_TRIMMED,
    ),
]
SegmentKey = Annotated[str, _shown("Segment", "Key of a segment or fallback level, such as store=2/brand=5.")]
ModelVersion = Annotated[int, _shown("Version", "Number of a version of its registered model, at least 1.", ge=1)]
DryRun = Annotated[bool, _shown("Dry run", "Only report differences or what would be done; change nothing.")]
FleetName = Annotated[str, _shown("Fleet", "Name of a fleet in the lake, such as m3.", pattern=_TRIMMED)]
RetentionHours = Annotated[
    int | None,
    _shown(
        "Retention in hours",
        "Hours before unreferenced files are deleted; default: MYRIAD_RETENTION_HOURS.",
        ge=24,
    ),
]
