"""Conversion to JSON: dataclasses become objects, times ISO 8601 text, NaN and infinity null."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import PurePath

import numpy as np

__all__ = ["LATER", "json_text", "to_jsonable"]

LATER = {"later": True}
"""Metadata of a dataclass field that is younger than the documents that are kept."""


def json_text(value: object) -> str:
    """Write the value as a strict JSON document."""
    return json.dumps(to_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)


def to_jsonable(value: object) -> object:
    """Convert a value to dicts, lists, strings and numbers; keys that are tuples are joined with spaces.

    A field with the metadata LATER is left out while it has its default, so that documents keep their agreed keys.
    """
    if is_dataclass(value):
        items = {item: getattr(value, item.name) for item in fields(value)}
        return {
            item.name: to_jsonable(content)
            for item, content in items.items()
            if not (item.metadata == LATER and content == item.default)
        }
    if isinstance(value, Mapping):
        return {_key(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    if isinstance(value, np.generic):
        return to_jsonable(value.item())
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _key(key: object) -> str:
    return " ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)
