"""Values as JSON."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from domain.data.jsonable import json_text


@dataclass(frozen=True)
class Thing:
    name: str
    at: datetime
    parts: tuple[object, ...]


def test_any_value_becomes_strict_json():
    moment = datetime(2024, 5, 31, tzinfo=UTC)
    parts = (float("nan"), float("inf"), np.float64(0.5), np.int64(2), Path("a/b"), {("x", True): None})
    assert json.loads(json_text(Thing("Größe", moment, parts))) == {
        "name": "Größe",
        "at": "2024-05-31T00:00:00+00:00",
        "parts": [None, None, 0.5, 2, "a/b", {"x True": None}],
    }
