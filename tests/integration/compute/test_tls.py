"""Certificates: made, checked, and what a real Dask scheduler makes of them."""

import os
import shutil
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from scheduler import scheduler

import adapters.compute.tls as tls
from adapters.compute.dask import connect
from adapters.compute.tls import check_certificates, expires, make_certificates
from adapters.settings import Settings
from domain.errors import ClusterError, SettingsError

FILES = {"ca.pem", "ca-key.pem", "cert.pem", "key.pem"}


@pytest.fixture
def folder(tmp_path):
    make_certificates(tmp_path / "tls", ["localhost", "127.0.0.1", "scheduler"], 30)
    return tmp_path / "tls"


@pytest.fixture
def other(tmp_path):
    """Certificates of another authority."""
    make_certificates(tmp_path / "other", ["localhost"], 30)
    return tmp_path / "other"


def certificate(folder, name="cert.pem"):
    return x509.load_pem_x509_certificate((folder / name).read_bytes())


def refused(folder):
    with pytest.raises(SettingsError) as caught:
        check_certificates(folder)
    return str(caught.value)


def test_the_chain_is_valid_for_the_hosts_and_as_long_as_asked(folder):
    check_certificates(folder)
    authority, ours = certificate(folder, "ca.pem"), certificate(folder)
    ours.verify_directly_issued_by(authority)
    names = ours.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "scheduler"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert expires(folder) == ours.not_valid_after_utc
    assert abs(expires(folder) - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=10)
    constraints = [
        each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca for each in (authority, ours)
    ]
    assert constraints == [True, False]


def test_keys_can_be_read_by_their_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        make_certificates(tmp_path, ["localhost"], 1)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ca.pem": 0o644, "cert.pem": 0o644, "ca-key.pem": 0o600, "key.pem": 0o600}


def test_the_authority_of_the_folder_signs_again(folder):
    before = {name: (folder / name).read_bytes() for name in FILES}
    make_certificates(folder, ["elsewhere"], 60)
    changed = {name for name in FILES if (folder / name).read_bytes() != before[name]}
    assert changed == {"cert.pem", "key.pem"}
    check_certificates(folder)


def test_a_certificate_is_valid_for_as_long_as_its_authority_at_most(tmp_path, monkeypatch):
    monkeypatch.setattr(tls, "_CA_DAYS", 10)
    end = make_certificates(tmp_path, ["localhost"], 30)
    assert end == certificate(tmp_path).not_valid_after_utc == certificate(tmp_path, "ca.pem").not_valid_after_utc


def test_nothing_is_signed_without_the_authoritys_key_or_with_another_one(folder, other):
    shutil.copy(other / "ca-key.pem", folder)
    with pytest.raises(SettingsError, match=r"ca-key.pem: not the key of ca.pem; put that back, or remove ca.pem, let"):
        make_certificates(folder, ["localhost"], 1)
    (folder / "ca-key.pem").write_text("nonsense")
    with pytest.raises(SettingsError, match=r"ca-key.pem: not a key that can be read: "):
        make_certificates(folder, ["localhost"], 1)
    (folder / "ca-key.pem").unlink()
    with pytest.raises(
        SettingsError, match=r"ca.pem is there and its key ca-key.pem is not; sign where the key is, or"
    ):
        make_certificates(folder, ["localhost"], 1)
    check_certificates(folder)


def test_a_folder_that_cannot_be_written_and_a_host_that_is_none_are_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file/tls: certificates cannot be written: "):
        make_certificates(tmp_path / "file/tls", ["localhost"], 1)
    with pytest.raises(SettingsError, match=r"köln: not a host that a certificate can be for: "):
        make_certificates(tmp_path / "tls", ["köln"], 1)


def test_an_expired_certificate_is_told_with_the_command_that_makes_a_new_one(folder):
    make_certificates(folder, ["localhost"], 0)
    told = refused(folder)
    assert told.startswith(f"{folder}/cert.pem: expired on {datetime.now(UTC):%Y-%m-%d}")
    assert told.endswith(f"; `myriad tls {folder}` makes a new one")
    make_certificates(folder, ["localhost"], 1)
    check_certificates(folder)


def test_an_expired_authority_is_told_with_what_has_to_be_done_about_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tls, "_CA_DAYS", 0)
    make_certificates(tmp_path, ["localhost"], 1)
    way_out = f"; remove ca.pem, let `myriad tls {tmp_path}` begin anew, and give all hosts the new files"
    told = refused(tmp_path)
    assert told.startswith(f"{tmp_path}/ca.pem: expired on ")
    assert told.endswith(way_out)
    # A new certificate of it would help nobody.
    with pytest.raises(SettingsError, match=r"ca.pem: expired on .*; remove ca.pem, let"):
        make_certificates(tmp_path, ["localhost"], 1)
    monkeypatch.undo()
    (tmp_path / "ca.pem").unlink()
    make_certificates(tmp_path, ["localhost"], 1)
    check_certificates(tmp_path)


@pytest.mark.parametrize("early", ["ca.pem", "cert.pem"])
def test_a_certificate_that_is_not_valid_yet_points_at_the_clock(tmp_path, monkeypatch, early):
    if early == "cert.pem":
        make_certificates(tmp_path, ["localhost"], 30)
    monkeypatch.setattr(tls, "_EARLY", -timedelta(days=3))
    make_certificates(tmp_path, ["localhost"], 30)
    begins = datetime.now(UTC) + timedelta(days=3)
    told = refused(tmp_path)
    assert told.startswith(f"{tmp_path}/{early}: valid from {begins:%Y-%m-%d}")
    assert told.endswith("; look at the clock of this host")


def test_a_certificate_of_another_authority_is_told(folder, other):
    for name in ("cert.pem", "key.pem"):
        shutil.copy(other / name, folder)
    assert refused(folder) == f"{folder}/cert.pem: not signed by ca.pem; `myriad tls {folder}` makes a new one"


def test_a_certificate_of_an_authority_with_another_name_is_told(folder):
    """Not one of ours: cryptography refuses it before it looks at the signature."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "of a company")]), datetime.now(UTC)
    theirs = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    ).sign(key, tls.hashes.SHA256())
    (folder / "cert.pem").write_bytes(theirs.public_bytes(serialization.Encoding.PEM))
    assert refused(folder) == f"{folder}/cert.pem: not signed by ca.pem; `myriad tls {folder}` makes a new one"


def test_a_key_that_is_not_the_certificates_is_told(folder, other):
    shutil.copy(other / "key.pem", folder)
    assert refused(folder) == f"{folder}/key.pem: not the key of cert.pem; `myriad tls {folder}` makes a new one"


@pytest.mark.parametrize(("name", "kind"), [("ca.pem", "certificate"), ("cert.pem", "certificate"), ("key.pem", "key")])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_that_cannot_be_read_is_told(folder, name, kind, content):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert refused(folder).startswith(f"{folder}/{name}: not a {kind} that can be read: ")


def test_a_key_with_a_password_is_told(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    secret = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
    assert refused(folder).startswith(f"{folder}/key.pem: not a key that can be read: ")


def settings(address, folder=None):
    return Settings(dask_address=address, dask_tls=str(folder or ""))


def unreachable(given, monkeypatch):
    monkeypatch.setattr("adapters.compute.dask._CONNECT_S", 2.0)
    with pytest.raises(ClusterError) as caught, connect(given):
        pass
    return str(caught.value)


def test_a_scheduler_takes_its_own_clients_and_nobody_else(folder, other, monkeypatch):
    with scheduler(folder) as running:
        with connect(settings(running.address, folder)) as client:
            assert client.scheduler_info()["address"] == running.address
            assert client.scheduler_comm.comm.peer_address.startswith("tls://")
        told = unreachable(settings(running.address, other), monkeypatch)
        assert told.startswith(f"MYRIAD_DASK_ADDRESS: no Dask scheduler answers at {running.address}: ")
        assert told.endswith("; start one, or unset it to use workers of this machine")
        # One that trusts the scheduler, and whom the scheduler has no reason to trust.
        shutil.copy(folder / "ca.pem", other)
        monkeypatch.setattr("adapters.compute.dask.check_certificates", lambda _: None)
        unreachable(settings(running.address, other), monkeypatch)
        unreachable(settings(running.address.replace("tls", "tcp")), monkeypatch)
        # It still serves those whom it knows.
        with connect(settings(running.address, folder)) as client:
            assert client.scheduler_info()["workers"] == {}
