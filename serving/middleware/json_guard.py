"""A cheap look at JSON before it is parsed: how much structure it has, how deep, and whether its text is valid."""

import re
from itertools import accumulate

from serving.problem_details import ProblemError

__all__ = ["EVENT_NODES", "MAX_DEPTH", "REQUEST_NODES", "check_json"]

MAX_DEPTH = 32
EVENT_NODES = 100_000
"""Lists, objects and their items: a message of 10,000 files has far fewer; a megabyte of `[],` has a million."""
REQUEST_NODES = 5_000
"""For all other bodies, which are validated on the event loop: a job has at most 1,000 inputs."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_OTHER_BYTES = bytes(set(range(256)) - _BRACKET_STEPS.keys())
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF_PAIR = re.compile(rb"%b(?!%b)|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})%b" % (_HIGH, _LOW, _LOW))


def check_json(body: bytes, max_nodes: int = EVENT_NODES) -> None:
    """Raise ProblemError for JSON that costs too much to parse, or whose text no database takes.

    It takes some 10 ms per megabyte, whatever the body holds. Bodies that are no JSON are left to the parser.
    """
    if b"\x00" in body:
        raise ProblemError(422, "body: it has a zero byte; send JSON in UTF-8", "body")
    if b"\\u" in body and _HALF_PAIR.search(body.replace(b"\\\\", b"")):
        raise ProblemError(
            422, "body: it has half a surrogate pair (\\ud800 to \\udfff), which is no character", "body"
        )
    # At least so many, as `\\"` may also end a text; an item has two at most, a key and a value.
    texts = (body.count(b'"') - body.count(b'\\"')) // 2
    if texts > 2 * max_nodes:
        raise ProblemError(422, f"body: it has {texts:,} texts; at most {max_nodes:,} items are allowed", "body")
    outline = _STRING.sub(b"", body)
    brackets = outline.translate(None, _OTHER_BYTES)
    nodes = len(brackets) + outline.count(b",") + outline.count(b":")
    if nodes > max_nodes:
        raise ProblemError(422, f"body: it has {nodes:,} items and brackets; at most {max_nodes:,} are allowed", "body")
    depth = max(accumulate(map(_BRACKET_STEPS.__getitem__, brackets)), default=0)
    if depth > MAX_DEPTH:
        raise ProblemError(422, f"body: it is nested {depth:,} deep; at most {MAX_DEPTH} are allowed", "body")
