import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import RequestError
from domain.gateway.jobs import JobRequest, Overrides, check_place, request_digest, source_root

ROOTS = ["/home/data/in", "s3://raw/rides"]
words = st.text(st.sampled_from("abc./*?[]\\%2e-_ \n"), max_size=12)


@pytest.mark.parametrize("uri", ["/home/data/in", "/home/data/in/a.csv", "s3://raw/rides/2026/a.csv"])
def test_what_lies_below_a_root_is_allowed(uri):
    assert check_place(uri, ROOTS) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "/home/data/input/a.csv",
        "/home/data/in/../secret",
        "/home/data/in/./a",
        "/home/data/in/*.csv",
        "/home/data/in/a[1].csv",
        "s3://raw/rides2/a.csv",
        "s3://raw/rides/../other/a.csv",
        "S3://raw/rides/a.csv",
        "file:///home/data/in/a.csv",
        "https://raw/rides/a.csv",
        "s3://raw\\rides/a.csv",
        "//home/data/in/a.csv",
        "a.csv",
        "",
    ],
)
def test_everything_else_is_refused(uri):
    with pytest.raises(RequestError):
        check_place(uri, ROOTS)


@given(words, words)
def test_whatever_is_allowed_lies_below_a_root_with_no_way_up(first, second):
    uri = f"/home/data/in/{first}/{second}"
    try:
        assert check_place(uri, ROOTS).startswith("/home/data/in/")
    except RequestError:
        return
    assert ".." not in uri.split("/")
    assert not set("*?[\\\n") & set(uri)


def test_without_roots_uploads_alone_are_allowed():
    with pytest.raises(RequestError, match="nowhere: only uploads are"):
        check_place("/a", [])


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("in/*.csv", "in"),
        ("s3://raw/a/2026-??/x.csv", "s3://raw/a"),
        ("in/a.csv", "in/a.csv"),
        ("in", "in"),
        ("*.csv", ""),
    ],
)
def test_the_root_of_a_source_is_what_it_spells_out(path, root):
    assert source_root(path) == root


def test_a_job_says_more_than_its_deployment():
    base = Overrides(release=3, retries=2)
    assert Overrides(retries=0).over(base) == Overrides(release=3, retries=0)
    assert Overrides().over(base) == base


def test_requests_that_ask_for_the_same_are_the_same():
    assert request_digest(JobRequest()) == request_digest(JobRequest(overrides=Overrides()))
    assert request_digest(JobRequest()) != request_digest(JobRequest(deployment="blue"))
