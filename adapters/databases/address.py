"""Resolve the address of a database. Passwords come from the environment; no message and no repr shows them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from domain.config.database import ENVIRONMENT_PREFIX, scheme_of
from domain.errors import DatabaseError

__all__ = ["DatabaseAddress", "resolve_address"]

_DEFAULTS = {
    "application_name": "myriad",
    "connect_timeout": "10",
    # A connection that a firewall has dropped ends within minutes instead of hours.
    "keepalives_idle": "30",
    "tcp_user_timeout": "120000",
}


@dataclass(frozen=True)
class DatabaseAddress:
    """A database.

    Parameters
    ----------
    kind : postgresql, sqlite or duckdb.
    shown : the address for messages, without user and password.
    target : connection string of libpq, or path of the file.
    secrets : texts that no message may show.
    """

    kind: str
    shown: str
    target: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def masked(self, text: str) -> str:
        """Return a message of the database's without the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def resolve_address(address: str, home: Path, key: str) -> DatabaseAddress:
    """Return the database that an address names.

    Parameters
    ----------
    address : as `checked_address` returns it.
    home : base of relative paths.
    key : where the address was given, for messages.
    """
    if address.startswith(ENVIRONMENT_PREFIX):
        name = address.removeprefix(ENVIRONMENT_PREFIX)
        key, address = f"environment variable {name}", os.environ.get(name, "")
        if not address:
            raise DatabaseError(f"{key}: is not set; set it to the address of the database, with its password")
    kind = scheme_of(address)
    if kind is None or kind == "env":
        raise DatabaseError(f"{key}: no address of a database, such as postgresql://user@host/database")
    return _server(address, key) if kind == "postgresql" else _file(address, kind, home, key)


def _server(address: str, key: str) -> DatabaseAddress:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    rest = address.partition("://")[2]
    unreadable = DatabaseError(
        f"{key}: not a usable address of a database; percent-encode special characters of user and password, "
        "such as %40 for @ and %2F for /"
    )
    if rest.count("@") > 1 or "#" in rest:
        raise unreadable
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(f"postgresql://{rest}").items() if value}
        target = make_conninfo(**(_DEFAULTS | parts))
    except (psycopg.ProgrammingError, UnicodeError):
        # The library's message repeats parts of the address.
        raise unreadable from None
    if not all(port.isdigit() for port in parts.get("port", "0").split(",")):
        raise unreadable
    places = parts.get("host") or os.environ.get("PGHOST") or "localhost"
    port = f":{parts['port']}" if "port" in parts else ""
    database = parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user", "")
    secrets = [parts.get("password"), parts.get("sslpassword"), os.environ.get("PGPASSWORD")]
    shown = f"postgresql://{places}{port}/{database}"
    return DatabaseAddress("postgresql", shown, target, tuple(secret for secret in secrets if secret))


def _file(address: str, kind: str, home: Path, key: str) -> DatabaseAddress:
    parts = urlsplit(address)
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or not path:
        raise DatabaseError(f"{key}: a file is written with three slashes: {kind}:///folder/file, from / with four")
    file = home / path
    return DatabaseAddress(kind, f"{kind}:///{file}", str(file))
