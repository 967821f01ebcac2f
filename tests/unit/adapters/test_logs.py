"""Logs: every line has a time, a level and its source, as text and as JSON."""

import io
import json
import logging
import re

import pytest

from adapters.logs import configure_logging, fields_of


@pytest.fixture
def logged():
    """Configure a form, and return what a block has logged; the handlers of others come back."""
    root, own = logging.getLogger(), logging.getLogger("myriad")
    before = (root.handlers[:], root.level, own.level)
    stream = io.StringIO()

    def configured(form):
        root.handlers = []  # Those of pytest must not be closed.
        configure_logging(form, stream)
        return stream

    yield configured
    root.handlers, root.level = before[0], before[1]
    own.setLevel(before[2])


def test_text_has_a_time_and_no_line_that_passes_for_another(logged):
    stream = logged("text")
    logging.getLogger("myriad.gateway").info("a\n2026-01-01T00:00:00.000Z INFO    myriad.gateway: b\r")
    logging.getLogger("httpx").info("left out")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    myriad\.gateway: a", first)
    assert second.startswith("  2026")


def test_json_has_an_object_per_line_with_its_fields(logged):
    stream = logged("json")
    logging.getLogger("myriad.access").info("GET %s", "/x", extra=fields_of(status=200, key="key ab"))
    try:
        int("odd")
    except ValueError:
        logging.getLogger("tasks.train").exception("failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    fields = {"status": 200, "key": "key ab"}
    assert first == {"level": "info", "logger": "myriad.access", "message": "GET /x", **fields}
    assert "ValueError: invalid literal" in second["exception"]
