"""The way of all text to the terminal: control characters are made visible, only our own styles get through.

`guard_output` puts a filter between the process and its two streams, which `print`, `typer.echo`, warnings, log
handlers and tracebacks write to. Rich writes its styles past the filter, as it does for its own stream proxies, so
everything printed by Rich goes through `SafeConsole`, which filters the text and leaves the styles.
"""

import logging
import sys
import traceback
from collections.abc import Iterable
from typing import IO, Any, TextIO

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cli import first_line
from domain.reporting.printable import printable

__all__ = ["SafeConsole", "guard_output", "print_error"]


class _GuardedStream:
    """A text stream that makes control characters visible. Rich finds the stream behind it in `rich_proxied_file`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def rich_proxied_file(self) -> TextIO:
        """The stream behind this one, which whoever asks for is about to write to."""
        first_line.erase()
        return self._stream

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class SafeConsole(Console):
    """A console whose text has no control characters; styles, cursor movements and layout are Rich's own.

    Strings are filtered before they are laid out. A `Text` is filtered after that, and may be cut at the width that it
    had before: whoever makes one of data makes it of `printable(...)`.
    """

    @property
    def file(self) -> IO[str]:
        """The stream behind all proxies: a live display puts one of its own before ours."""
        stream = super().file
        while inner := getattr(stream, "rich_proxied_file", None):
            stream = inner
        return stream

    @file.setter
    def file(self, stream: IO[str]) -> None:
        self._file = stream

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class _PrintableRecord(logging.LogRecord):
    """A log record without control characters, also for handlers that write past the guarded streams."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if isinstance(self.exc_info, tuple) and self.exc_info[0] is not None:
            # Formatters take this text where it is set, and make their own where it is not.
            self.exc_text = printable("".join(traceback.format_exception(*self.exc_info)).rstrip("\n"))

    def getMessage(self) -> str:  # noqa: N802 - the name of the base class
        return printable(super().getMessage())


def guard_output() -> None:
    """Make control characters visible in all that this process writes to stdout, stderr and its logs, from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _GuardedStream):
            setattr(sys, name, _GuardedStream(stream))
    logging.setLogRecordFactory(_PrintableRecord)


def print_error(message: str) -> None:
    """Print a message to stderr, in red in a terminal."""
    stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    typer.secho(printable(message), fg=typer.colors.RED, file=stream)
