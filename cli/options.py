"""Arguments and options that several commands have."""

from typing import Annotated

import typer

__all__ = ["AsJson", "FleetPath", "LakePath", "complete_fleet", "complete_segment"]


def complete_fleet(incomplete: str) -> list[str]:
    """Fleets for the shell's completion."""
    from cli.completion import complete_fleets

    return complete_fleets(incomplete)


def complete_segment(ctx: typer.Context, incomplete: str) -> list[str]:
    """Segments of the fleet that was named, for the shell's completion."""
    from cli.completion import complete_segments

    return complete_segments(str(ctx.params.get("fleet") or ""), ctx.params.get("lake"), incomplete)


FleetPath = Annotated[
    str,
    typer.Argument(help="Fleet file, or the name of one in fleets/.", metavar="FLEET", autocompletion=complete_fleet),
]
LakePath = Annotated[
    str | None, typer.Option("--lake", help="Folder or s3:// uri of the tables.", envvar="MYRIAD_LAKE")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.")]
