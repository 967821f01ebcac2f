"""Certificates for the connections between scheduler, workers and coordinators: a small authority of our own.

Whoever shows a certificate that this authority has signed is let in, and nobody else; names are not compared, as Dask's
processes know each other by address.
"""

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.settings import TLS_FILES
from models.errors import SettingsError

__all__ = ["check_certificates", "expires", "make_certificates"]

CA_KEY = "ca-key.pem"
_CA_DAYS = 3650
_EARLY = timedelta(hours=1)
"""So that a host whose clock is late takes a certificate that was made this moment."""


def make_certificates(folder: Path, hosts: Sequence[str], days: int) -> datetime:
    """Write cert.pem and key.pem to `folder`, with ca.pem and ca-key.pem if it has none; returns when cert.pem expires.

    An authority that is in the folder signs again, so that hosts which trust it take the new certificate too.
    hosts : names and addresses that the certificate is for. Keys can be read by their owner alone.
    Raises SettingsError if the folder cannot be written, or has an authority without its key.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority, signer = _authority(folder)
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        certificate = (
            _builder("myriad", authority.subject, key, now, days)
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


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path, key_path = folder / "ca.pem", folder / CA_KEY
    if path.exists():
        if not key_path.exists():
            raise SettingsError(
                f"{folder}: ca.pem is there and its key {CA_KEY} is not; sign where the key is, or remove ca.pem to "
                "begin anew, and then give all hosts the new files"
            )
        signer = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise SettingsError(f"{key_path}: not a key that `myriad tls` has made")
        return x509.load_pem_x509_certificate(path.read_bytes()), signer
    signer, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "myriad authority")])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)  # Signs certificates and lists.
    authority = (
        _builder("myriad authority", name, signer, now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    _write(key_path, _private(signer), secret=True)
    _write(path, authority.public_bytes(serialization.Encoding.PEM))
    return authority, signer


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Whole or not at all; a secret is never readable by others, not even for a moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644), "wb") as stream:
        stream.write(content)
    draft.replace(path)


def expires(folder: Path) -> datetime:
    """When the first of the folder's certificates expires. Raises SettingsError if one cannot be read."""
    return min(_read(folder / name).not_valid_after_utc for name in ("ca.pem", "cert.pem"))


def check_certificates(folder: Path) -> None:
    """Raises SettingsError if a certificate cannot be read, is not valid now, or does not go with its key or issuer."""
    now, way_out = datetime.now(UTC), f"`myriad tls {folder}` makes new ones"
    certificates = {name: _read(folder / name) for name in ("ca.pem", "cert.pem")}
    for name, each in certificates.items():
        if now > each.not_valid_after_utc:
            raise SettingsError(f"{folder / name}: expired on {each.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; {way_out}")
        if now < each.not_valid_before_utc:
            begins = f"{each.not_valid_before_utc:%Y-%m-%d %H:%M}"
            raise SettingsError(
                f"{folder / name}: valid from {begins} UTC on, and it is {now:%Y-%m-%d %H:%M}; "
                "look at the clock of this host"
            )
    try:
        key = serialization.load_pem_private_key((folder / TLS_FILES[2]).read_bytes(), None)
        certificates["cert.pem"].verify_directly_issued_by(certificates["ca.pem"])
    except (OSError, ValueError, TypeError) as exc:
        raise SettingsError(f"{folder}: key.pem cannot be read, or another authority signed: {exc}; {way_out}") from exc
    except InvalidSignature as exc:
        raise SettingsError(f"{folder / 'cert.pem'}: not signed by ca.pem; {way_out}") from exc
    if key.public_key() != certificates["cert.pem"].public_key():
        raise SettingsError(f"{folder}: key.pem does not belong to cert.pem; {way_out}")


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{path}: not a certificate that can be read: {exc}") from exc
