"""Addresses of databases in fleet files and on the command line. Passwords come from the environment alone."""

import re
from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "DATABASE_SCHEMES",
    "ENVIRONMENT_PREFIX",
    "LEDGER",
    "TABLE_NAME",
    "Sink",
    "checked_address",
    "query_problem",
    "scheme_of",
    "without_secrets",
]

DATABASE_SCHEMES = ("postgresql", "sqlite", "duckdb")
ENVIRONMENT_PREFIX = "env:"
"""`env:NAME` stands for the address in the environment variable NAME."""
TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")
"""Table or schema.table."""
LEDGER = "myriad_deliveries"
"""Table beside that of a sink, with the jobs that are there."""
_SECRET_PARAMETERS = ("password", "sslpassword")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLES = "postgresql://user@host/database, sqlite:///file.db, duckdb:///file.duckdb or env:VARIABLE"
_LEFT_OUT = (
    "a password has no place here: leave it out and set PGPASSWORD or a password file, or put the whole address into "
    "an environment variable and write env:ITS_NAME"
)


def scheme_of(address: str) -> str | None:
    """Return the kind of database that an address names, env if a variable holds it; None if it names none."""
    if address.startswith(ENVIRONMENT_PREFIX):
        return "env"
    scheme = address.partition("://")[0].partition("+")[0].lower() if "://" in address else ""
    scheme = "postgresql" if scheme == "postgres" else scheme
    return scheme if scheme in DATABASE_SCHEMES else None


def checked_address(address: str) -> str:
    """Return an address that names a database and holds no password.

    Raises
    ------
    ValueError
        Its message never repeats the address, which may hold a password.
    """
    scheme = scheme_of(address)
    if scheme is None:
        raise ValueError(f"give the address of a database: {_EXAMPLES}")
    if scheme == "env":
        if not _VARIABLE.fullmatch(address.removeprefix(ENVIRONMENT_PREFIX)):
            raise ValueError("env: is followed by the name of an environment variable, such as env:MYRIAD_SINK_URL")
        return address
    try:
        parts = urlsplit(address)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise ValueError(f"it cannot be read as an address; give {_EXAMPLES}") from None
    user = address.partition("://")[2].rpartition("@")[0]
    if ":" in user or any(name.lower() in _SECRET_PARAMETERS for name in query):
        raise ValueError(_LEFT_OUT)
    return address


def query_problem(path: str, query: str | None, others: Mapping[str, object]) -> str:
    """Return what contradicts itself in a source with a query, or in one without; empty if nothing does.

    others : keys that need a query, with their values.
    """
    scheme = scheme_of(path)
    if query is None:
        unused = [key for key, value in others.items() if value is not None]
        if scheme in DATABASE_SCHEMES:
            return "query: is missing; a database is read by a query, such as query: SELECT * FROM sales"
        return f"{unused[0]}: has no effect without a query; remove it" if unused else ""
    if scheme is None:
        return f"path: a query needs the address of a database: {_EXAMPLES}"
    try:
        checked_address(path)
    except ValueError as exc:
        return f"path: {exc}"
    return ""


def without_secrets(text: str) -> str:
    """Return a text without the users and passwords of the addresses in it."""
    text = re.sub(r"://.*@", "://***@", text)
    return re.sub(r"(?i)password=[^&\s'\"]*", "password=***", text)


Address = Annotated[str, AfterValidator(checked_address)]


class Sink(BaseModel):
    """A table of a database that gets a copy of all predictions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    url: Address = Field(
        description="Database, without a password: postgresql://user@host/database, sqlite:///FILE, duckdb:///FILE, "
        "or env:NAME for an environment variable that holds the address."
    )
    table: str | None = Field(
        None,
        pattern=f"^{TABLE_NAME.pattern}$",
        description="Table or schema.table, exactly as written; made if it is missing. Default: NAME_predictions.",
    )

    @field_validator("table")
    @classmethod
    def _other_than_ledger(cls, table: str | None) -> str | None:
        if table and table.rpartition(".")[2].lower() == LEDGER:
            raise ValueError(f"{LEDGER} is the ledger of deliveries; give another name")
        return table

    @model_validator(mode="after")
    def _table_of_schema(self) -> Self:
        if self.table and "." in self.table and scheme_of(self.url) == "sqlite":
            raise ValueError("table: SQLite has no schemas; give the name of a table alone")
        return self

    def table_of(self, fleet: str) -> str:
        """Return the table of a fleet's predictions."""
        return self.table or f"{fleet.replace('-', '_')}_predictions"
