"""Logs of long-running processes: a time, a level and a source on every line, as text or as JSON."""

import json
import logging
import sys
import time
from typing import Any, Literal, TextIO

__all__ = ["LogFormat", "configure_logging", "fields_of"]

LogFormat = Literal["text", "json"]


def configure_logging(form: LogFormat, stream: TextIO | None = None) -> None:
    """Log to a stream, by default standard error: our own messages from INFO, those of libraries from WARNING."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("myriad").setLevel(logging.INFO)


def fields_of(**fields: object) -> dict[str, Any]:
    """Return the `extra` of a log call whose values are keys of their own in JSON."""
    return {"fields": fields}


def _time_of(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


class _TextFormatter(logging.Formatter):
    """A line per message; those that follow within it are indented, so that none passes for another message."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().replace("\r", " ").replace("\n", "\n  ")
        line = f"{_time_of(record)} {record.levelname:<7} {record.name}: {message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        content = {"time": _time_of(record), "level": record.levelname.lower(), "logger": record.name}
        content |= {"message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False, default=str)
