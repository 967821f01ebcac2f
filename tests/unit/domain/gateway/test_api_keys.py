from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import RequestError
from domain.gateway.api_keys import SCOPES, Key, allows, check_client_name, make_key, matches, prefix_of

NOW = datetime(2026, 1, 7, tzinfo=UTC)


def test_a_key_is_known_by_its_prefix_and_its_digest_alone():
    made, other = make_key(), make_key()
    assert made.text != other.text
    assert prefix_of(made.text) == made.prefix
    assert made.prefix in made.text
    assert matches(made.text, made.digest)
    assert not matches(other.text, made.digest)
    assert made.text.split("_", 2)[2] not in made.digest


@given(st.text(max_size=80))
def test_what_is_no_key_has_no_prefix(text):
    assert prefix_of(text) is None


@pytest.mark.parametrize("end", [" ", "\n", "x"])
def test_a_key_with_more_is_none(end):
    assert prefix_of(make_key().text + end) is None


def test_scopes_stand_for_themselves_and_admin_for_all():
    granted = {scope: {needed for needed in SCOPES if allows([scope], needed)} for scope in SCOPES}
    assert granted == {
        "read": {"read"},
        "score": {"read", "score"},
        "operate": {"read", "operate"},
        "admin": set(SCOPES),
    }
    assert not any(allows([], needed) for needed in SCOPES)


def test_a_key_holds_until_it_expires_or_is_revoked():
    key = Key("shop", "primary", "a", "b", ("read",), (), NOW)
    assert key.holds_at(NOW + timedelta(days=10_000))
    limited = Key("shop", "primary", "a", "b", ("read",), (), NOW, NOW + timedelta(days=1))
    assert limited.holds_at(NOW + timedelta(hours=23))
    assert not limited.holds_at(NOW + timedelta(days=1))
    assert not Key("shop", "primary", "a", "b", ("read",), (), NOW, None, NOW).holds_at(NOW)


@pytest.mark.parametrize("name", ["", " shop", "jwt:alice", "JWT:alice", "a\nb", "a\x1b[31m", "\ud800", "a" * 65])
def test_names_that_deceive_readers_or_are_of_tokens_are_refused(name):
    with pytest.raises(RequestError, match="client "):
        check_client_name(name)


@pytest.mark.parametrize("name", ["webshop", "Laden 7", "größe", "a" * 64])
def test_ordinary_names_are_taken(name):
    check_client_name(name)
