"""Secrets that sign nothing, or that can be guessed, stop the gateway at its start; two hold during a rotation."""

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from adapters.gateway.secrets import check_trigger_secrets, link_secrets, trigger_secrets, webhook_secrets
from adapters.gateway.webhook_client import verify_signature
from adapters.settings import Settings
from domain.errors import SettingsError, SignatureError
from serving.dependencies import Signer
from serving.problem_details import ProblemError

STRONG = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(7, 231, 7))).decode()
HEX = "3f9c1b7e5a2d4860c8e1f7a9b3d5061e42c8a7f9e1b3d50f"


def settings(tmp_path, **values):
    return Settings(home=tmp_path, **values)


def test_a_new_gateway_makes_a_secret_of_its_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: link_secrets(settings(tmp_path)), range(8)))
    ((secret,),) = secrets
    path = tmp_path / "var/gateway/secret"
    assert path.read_bytes() == secret
    assert len(secret) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty, and anybody could sign; delete the file"),
        (" \n", "is empty"),
        ("0" * 64, "too weak"),
        ("short", "5 characters, and at least 32"),
        ("\u00e9" * 40, "cannot be read as a secret"),
    ],
)
def test_a_secret_file_that_signs_with_nothing_is_refused(tmp_path, content, message):
    path = tmp_path / "var/gateway/secret"
    path.parent.mkdir(parents=True)
    path.write_text(content, "utf-8")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=message) as info:
        link_secrets(settings(tmp_path))
    assert str(path) in str(info.value)


def test_a_secret_file_that_others_can_read_is_refused(tmp_path):
    link_secrets(settings(tmp_path))
    (tmp_path / "var/gateway/secret").chmod(0o640)
    with pytest.raises(SettingsError, match=r"mode 0640.*chmod 600"):
        link_secrets(settings(tmp_path))


@pytest.mark.parametrize("value", ["", ",", "a" * 40, "changeit" * 5, "kurz", f"{HEX},changeme", ",".join([HEX] * 5)])
def test_a_weak_variable_is_refused_without_quoting_it(tmp_path, value):
    with pytest.raises(SettingsError, match="MYRIAD_GATEWAY_SECRET: ") as info:
        link_secrets(settings(tmp_path, gateway_secret=value))
    assert len(value) < 3 or value not in str(info.value)


def test_links_of_the_former_secret_hold_until_it_is_dropped(tmp_path):
    other = HEX[::-1]
    former = Signer(*link_secrets(settings(tmp_path, gateway_secret=HEX))).sign("job", "csv", 1)
    both = Signer(*link_secrets(settings(tmp_path, gateway_secret=f"{other}, {HEX}")))
    assert both.read(former) == ("job", "csv", 1)
    fresh = both.sign("job", "csv", 1)
    assert Signer(other.encode()).read(fresh) == ("job", "csv", 1)
    with pytest.raises(ProblemError):
        Signer(other.encode()).read(former)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_!",
        "whsec_a",
        STRONG[6:],
        "whsec_" + base64.b64encode(b"k" * 12).decode(),
        "whsec_" + base64.b64encode(bytes(32)).decode(),
        f"{STRONG},whsec_",
    ],
)
def test_a_secret_that_signs_nothing_is_reported(secret):
    with pytest.raises(SettingsError, match="X: "):
        webhook_secrets("X", secret)


def test_senders_sign_with_either_secret():
    environment = {"MYRIAD_HOOK_SECRET_LAND_ING": f"{STRONG},{OTHER}"}
    secrets = trigger_secrets("land-ing", environment)
    assert secrets == (STRONG, OTHER)
    moment = datetime.now(UTC)
    for secret in (STRONG, OTHER):
        headers = {"webhook-id": "1", "webhook-timestamp": str(int(moment.timestamp()))}
        headers["webhook-signature"] = Webhook(secret).sign("1", moment, "{}")
        verify_signature(secrets, b"{}", headers)
    with pytest.raises(SignatureError):
        verify_signature(secrets, b"{ }", headers)
    with pytest.raises(SignatureError):
        verify_signature((), b"{}", headers)


def test_weak_secrets_of_triggers_are_found_at_the_start():
    check_trigger_secrets(dict(os.environ) | {"MYRIAD_HOOK_SECRET_A": STRONG, "MYRIAD_HOOK_SECRET_B": ""})
    with pytest.raises(SettingsError, match="MYRIAD_HOOK_SECRET_B: "):
        check_trigger_secrets({"MYRIAD_HOOK_SECRET_A": STRONG, "MYRIAD_HOOK_SECRET_B": "whsec_x"})
