"""JSON that costs too much is refused by a look at its bytes; what clients really send is not."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.gateway.jobs import MOST_INPUTS
from serving.middleware.json_guard import MAX_DEPTH, REQUEST_NODES, check_json
from serving.problem_details import ProblemError

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" + b"[]," * (MEGABYTE // 3) + b"[]]", "items and brackets"),
        (b"[" + b"0," * (MEGABYTE // 2) + b"0]", "items and brackets"),
        (b"{" + b'"a":0,' * (MEGABYTE // 6) + b'"a":0}', "items and brackets"),
        (b"[" * (MEGABYTE // 16), "nested 65,536 deep"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"0" + b"}" * (MAX_DEPTH + 1), "nested 33 deep"),
        (b'{"uri": "\\ud800"}', "half a surrogate pair"),
        (b'{"uri": "\\udfff"}', "half a surrogate pair"),
        (b'{"\\uDBFF\\u0041": 1}', "half a surrogate pair"),
        ('{"uri": "a"}'.encode("utf-16"), "zero byte"),
    ],
)
def test_bombs_are_refused(body, message):
    begun = time.process_time()
    with pytest.raises(ProblemError, match=message):
        check_json(body)
    assert time.process_time() - begun < 0.5


def test_a_job_with_all_its_inputs_is_taken_and_one_with_many_more_is_not():
    check_json(json.dumps({"inputs": ["s3://raw/a.csv"] * MOST_INPUTS}).encode(), REQUEST_NODES)
    with pytest.raises(ProblemError, match="at most 5,000 items are allowed"):
        check_json(json.dumps({f"key{number}": 1 for number in range(11_000)}).encode(), REQUEST_NODES)


@pytest.mark.parametrize(
    "body", [b'"' * MEGABYTE, b'\\"' * (MEGABYTE // 2), b"\\u" * (MEGABYTE // 2), b'"\\' * 500_000]
)
def test_no_body_takes_long(body):
    begun = time.process_time()
    with suppress(ProblemError):
        check_json(body)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    "document",
    [
        {"uris": [f"s3://raw/rides/2026/{number:06d}.csv" for number in range(10_000)]},
        {"uri": "[" * 1000 + '"' + "{" * 1000, "note": "a, b: c " * 1000},
        {"uri": "\U0001f600 \\ud800"},
        [],
        "text",
    ],
)
def test_what_clients_send_is_taken(document):
    check_json(json.dumps(document).encode())
    check_json(json.dumps(document, ensure_ascii=False, indent=2).encode())


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_small_document_is_taken(document):
    check_json(json.dumps(document).encode())


@given(st.text(alphabet=st.characters(codec=None, categories=["Cs"]), min_size=1, max_size=3))
def test_text_that_no_database_takes_is_found(text):
    valid = True
    body = json.dumps([text]).encode()
    try:
        json.loads(body)[0].encode()
    except UnicodeEncodeError:
        valid = False
    if valid:
        check_json(body)
    else:
        with pytest.raises(ProblemError, match="half a surrogate pair"):
            check_json(body)
