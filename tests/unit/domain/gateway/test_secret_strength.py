"""Strength of chosen secrets: what is refused with a reason, and what passes."""

import random
import secrets

import pytest

from domain.gateway.secret_strength import estimated_bits, weakness


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("", "empty"),
        (" \t\n                    ", "empty"),
        ("password", "known default"),
        ("ChangeMe", "known default"),
        ("minioadmin", "known default"),
        ("change-me-2024", "known default"),
        ("x7Kq!9pLz2", "10 bytes"),
        ("é" * 7, "14 bytes"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "1 different"),
        ("abcabcabcabcabcabcabcabc", "3 different"),
        ("0123456789abcdef0123456789abcdef", "guessed"),
        ("abcdefghijklmnopqrstuvwxyz", "guessed"),
        ("password12345678", "guessed"),
        ("changeme-changeme-changeme-changeme", "guessed"),
        ("correct1correct1correct1correct1", "guessed"),
        ("1234987612344321", "guessed"),
    ],
)
def test_weak_secrets_are_refused_with_the_reason_and_a_way_out(secret: str, reason: str) -> None:
    message = weakness(secret)
    assert message is not None
    assert reason in message
    assert "openssl rand" in message


def test_reason_does_not_quote_the_secret() -> None:
    for secret in ("hunter2", "zyxzyxzyxzyxzyxzyx", "password12345678"):
        message = weakness(secret)
        assert message is not None
        assert secret not in message


def test_random_secrets_pass() -> None:
    for _ in range(500):
        assert weakness(secrets.token_hex(16)) is None
        assert weakness(secrets.token_urlsafe(16)) is None
        assert weakness(secrets.token_urlsafe(32)) is None


def test_sixteen_random_hexadecimal_digits_pass() -> None:
    digits = random.Random(7)
    assert sum(weakness(f"{digits.getrandbits(64):016x}") is not None for _ in range(1000)) <= 10


def test_a_repeat_adds_one_symbol_and_not_its_length() -> None:
    single = "kT9#qLm2"
    assert estimated_bits(single * 10) == pytest.approx(estimated_bits(single) * 9 / 8)


def test_a_long_text_is_judged_quickly_and_a_surrogate_does_not_raise() -> None:
    assert weakness("\ud800" * 16) is not None
    assert weakness("ab" * 5_000) is not None
