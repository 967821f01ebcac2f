"""Issue and check certificates for scheduler, workers and coordinators, from a private authority per folder.

Only peers with a certificate signed by this authority are accepted. Host names are not verified, because Dask's
processes know each other by address.
"""

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from domain.errors import SettingsError

__all__ = ["check_certificates", "expires", "make_certificates"]

CA_KEY = "ca-key.pem"
_CA_DAYS = 3650
_EARLY = timedelta(hours=1)
"""Backdating of new certificates, so that a host with a slow clock accepts them at once."""


def make_certificates(folder: Path, hosts: Sequence[str], days: int) -> datetime:
    """Write cert.pem and key.pem to `folder`, plus ca.pem and ca-key.pem if missing; return the expiry of cert.pem.

    An existing authority is reused, so that hosts which trust it accept the new certificate too; the certificate never
    outlives the authority. Only the owner can read the keys.
    hosts : names and addresses that the certificate covers.
    Raises SettingsError if the folder is not writable, or its authority is expired or incomplete.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        authority, signer = _authority(folder, now)
        key, end = ec.generate_private_key(ec.SECP256R1()), min(now + timedelta(days), authority.not_valid_after_utc)
        certificate = (
            _builder("myriad", authority.subject, key, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .sign(signer, hashes.SHA256())
        )
        _write(folder / "key.pem", _private(key), secret=True)
        _write(folder / "cert.pem", certificate.public_bytes(serialization.Encoding.PEM))
    except OSError as exc:
        raise SettingsError(f"{folder}: certificates cannot be written: {exc}") from exc
    return certificate.not_valid_after_utc


def _authority(folder: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the folder's authority and its key; create them if missing."""
    return _known_authority(folder, now) if (folder / "ca.pem").exists() else _new_authority(folder, now)


def _known_authority(folder: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path, key_path = folder / "ca.pem", folder / CA_KEY
    if not key_path.exists():
        raise SettingsError(
            f"{folder}: ca.pem is there and its key {CA_KEY} is not; sign where the key is, or {_anew(folder)}"
        )
    authority, signer = _read(path), _read_key(key_path)
    if not isinstance(signer, ec.EllipticCurvePrivateKey) or signer.public_key() != authority.public_key():
        raise SettingsError(f"{key_path}: not the key of ca.pem; put that back, or {_anew(folder)}")
    if now > authority.not_valid_after_utc:
        raise SettingsError(f"{path}: expired on {_timestamp(authority.not_valid_after_utc)}; {_anew(folder)}")
    return authority, signer


def _new_authority(folder: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    signer, end = ec.generate_private_key(ec.SECP256R1()), now + timedelta(_CA_DAYS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "myriad authority")])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)  # Signs certificates and lists.
    authority = (
        _builder("myriad authority", name, signer, now, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    _write(folder / CA_KEY, _private(signer), secret=True)
    _write(folder / "ca.pem", authority.public_bytes(serialization.Encoding.PEM))
    return authority, signer


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(end)
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as exc:
        raise SettingsError(f"{host}: not a host that a certificate can be for: {exc}") from exc


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Write a file atomically; a secret is never readable by others, not even briefly."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644), "wb") as stream:
        stream.write(content)
    draft.replace(path)


def expires(folder: Path) -> datetime:
    """Return the earliest expiry of the folder's certificates. Raises SettingsError if one cannot be read."""
    return min(_read(folder / name).not_valid_after_utc for name in ("ca.pem", "cert.pem"))


def check_certificates(folder: Path) -> None:
    """Raise SettingsError if a certificate is unreadable, not valid now, or does not match its key or issuer."""
    now, way_out = datetime.now(UTC), f"`myriad tls {folder}` makes a new one"
    authority, certificate, key = _read(folder / "ca.pem"), _read(folder / "cert.pem"), _read_key(folder / "key.pem")
    for name, pem in (("ca.pem", authority), ("cert.pem", certificate)):
        if now > pem.not_valid_after_utc:
            remedy = _anew(folder) if pem is authority else way_out
            raise SettingsError(f"{folder / name}: expired on {_timestamp(pem.not_valid_after_utc)}; {remedy}")
        if now < pem.not_valid_before_utc:
            raise SettingsError(
                f"{folder / name}: valid from {_timestamp(pem.not_valid_before_utc)} on, and it is {_timestamp(now)}; "
                "look at the clock of this host"
            )
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as exc:
        raise SettingsError(f"{folder / 'cert.pem'}: not signed by ca.pem; {way_out}") from exc
    if key.public_key() != certificate.public_key():
        raise SettingsError(f"{folder / 'key.pem'}: not the key of cert.pem; {way_out}")


def _anew(folder: Path) -> str:
    return f"remove ca.pem, let `myriad tls {folder}` begin anew, and give all hosts the new files"


def _timestamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{path}: not a certificate that can be read: {exc}") from exc


def _read_key(path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    # A password-protected key raises TypeError.
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise SettingsError(f"{path}: not a key that can be read: {exc}") from exc
