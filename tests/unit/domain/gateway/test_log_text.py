"""Logs for clients who are not to know the machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.gateway.log_text import without_places


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("score: 3 of 3", "score: 3 of 3"),
        ("/srv/myriad/var/raw/a.csv: cannot be read", "…/a.csv: cannot be read"),
        ("reading '/home/me/in/a b.csv'", "reading '…/a b.csv'"),
        ("s3://raw/in/a.csv: 4 rows", "s3://raw/in/a.csv: 4 rows"),
        ("View at http://127.0.0.1:4200/runs/flow-run/1", "View at http://…/runs/flow-run/1"),
        ("worker tls://10.0.0.7:40123: gone", "worker tls://…: gone"),
        ("postgresql+psycopg://me:secret@db:5432/gateway", "postgresql+psycopg://…/gateway"),
        ("connect to 10.1.2.3:5432 failed", "connect to … failed"),
        (
            'Encountered an exception:\nTraceback (most recent call last):\n  File "/srv/a.py", line 1\n    secret()\n'
            "SourceError: /srv/in/a.csv: is gone\n",
            "Encountered an exception:\nSourceError: …/a.csv: is gone",
        ),
        ("Traceback (most recent call last):", ""),
        ("12.04 against 16.48, 1/2, a/b", "12.04 against 16.48, 1/2, a/b"),
    ],
)
def test_folders_hosts_and_accounts_are_left_out(text, expected):
    assert without_places(text) == expected


@given(st.lists(st.sampled_from(["/etc", "/srv/a", "x", " ", ":", "'", "(", "=", "http://h:1/"]), max_size=8))
def test_no_folder_of_the_root_is_left(parts):
    text = without_places(" " + "".join(parts) + " /etc/name")
    assert " /etc/" not in text
    assert "//h:1" not in text
