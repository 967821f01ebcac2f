"""The header of a CSV file, and what comes before and after it."""

import io

import pytest

from adapters.sources.text.csv_header import lines_before, read_header
from domain.errors import SourceError


def header(text, skip=0):
    return read_header("a.csv", io.BytesIO(text.encode()), ",", "utf-8", skip)


@pytest.mark.parametrize(
    ("text", "skip", "names", "lines", "extra"),
    [
        ("a,b\n1,2\n", 0, ("a", "b"), 1, False),
        ("\n\na,b\n1,2\n", 0, ("a", "b"), 3, False),
        ("title\na,b\n1,2\n", 1, ("a", "b"), 2, False),
        ('"a\nx",b\n1,2\n', 0, ("a\nx", "b"), 2, False),
        ("a,b\n1,2,\n3,4, \n", 0, ("a", "b"), 1, True),
        ("a,b\n1,2,\n3,4\n", 0, ("a", "b"), 1, False),
        ("a,b\n1,2,5\n", 0, ("a", "b"), 1, False),
    ],
)
def test_names_lines_and_a_delimiter_too_many(text, skip, names, lines, extra):
    found = header(text, skip)
    assert (found.names, found.lines, found.extra, found.has_rows) == (names, lines, extra, True)
    assert len(found.columns) == len(names) + extra


def test_nothing_after_the_skipped_lines_is_an_error():
    with pytest.raises(SourceError, match=r"the file is empty after source\.skip_rows: 3"):
        header("a,b\n1,2\n", 3)


def test_the_lines_before_a_header_further_down():
    stream = io.BytesIO(b"title\n\nb,a,c\n1,2,3\n")
    assert lines_before(stream, ",", "utf-8", {"a", "c"}) == 2
    assert lines_before(stream, ",", "utf-8", {"a", "x"}) is None
