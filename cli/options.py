"""Arguments and options that several commands share."""

from typing import Annotated

import typer

__all__ = ["AsJson", "FleetPath", "LakePath", "complete_fleet", "complete_segment"]


def complete_fleet(incomplete: str) -> list[str]:
    """Complete fleets in the shell."""
    from cli.completion import complete_fleets

    return complete_fleets(incomplete)


def complete_segment(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the segments of the given fleet in the shell."""
    from cli.completion import complete_segments

    return complete_segments(str(ctx.params.get("fleet") or ""), ctx.params.get("lake"), incomplete)


FleetPath = Annotated[
    str,
    typer.Argument(
        help="Fleet file, or the name of a fleet in fleets/.", metavar="FLEET", autocompletion=complete_fleet
    ),
]
LakePath = Annotated[str | None, typer.Option("--lake", help="Lake: folder or s3:// URI.", envvar="MYRIAD_LAKE")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print a single JSON document to stdout; progress goes to stderr.")
]
