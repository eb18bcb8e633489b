"""The database of a server: PostgreSQL or SQLite, its password apart from its address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import ArgumentError

BACKEND = "RADSEARCH_SERVER_BACKEND"
POSTGRESQL = ("postgresql", "postgresql+psycopg")
SQLITE = "sqlite"

# Of libpq: what notices a database whose machine or network is gone without a word.
PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

_FORMS = "postgresql://USER@HOST/DATABASE or sqlite:////ABSOLUTE/FILE"


class BackendError(ValueError):
    """The address of a database is none that a server can keep runs at; it quotes no password."""


@dataclass(frozen=True)
class Backend:
    """Where runs are kept.

    Attributes:
        uri: For SQLAlchemy; it holds no password.
        password: Of PostgreSQL's user. Where it is empty, libpq looks for one in PGPASSWORD and ~/.pgpass.
    """

    uri: str
    password: str = field(default="", repr=False)

    @property
    def whole_uri(self) -> str:
        """For SQLAlchemy, with the password."""
        url = sqlalchemy.make_url(self.uri)
        return (url.set(password=self.password) if self.password else url).render_as_string(
            hide_password=False
        )

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None for PostgreSQL."""
        url = sqlalchemy.make_url(self.uri)
        return Path(url.database or "") if url.drivername == SQLITE else None

    @property
    def host(self) -> str:
        """Where PostgreSQL is; empty where it is a socket of this machine, or for SQLite."""
        return sqlalchemy.make_url(self.uri).host or ""

    @property
    def is_here(self) -> bool:
        """Whether the address leads to this machine and nowhere else."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() in ("", "localhost")


def read_backend(text: str, *, visible: bool = False) -> Backend:
    """Read the address of a database.

    >>> read_backend("postgresql://anna:secret@db.lab/mlflow").uri
    'postgresql://anna@db.lab/mlflow'

    Args:
        text: `postgresql://...` or `sqlite:////...`.
        visible: It stood on a command line, where a password would be seen by every user of the machine.

    Raises:
        BackendError: It is neither, names no database, has a relative path, or shows a password.
    """
    try:
        url = sqlalchemy.make_url(text)
    except (ArgumentError, ValueError) as error:
        scheme, sign, _ = text.partition("://")
        got = f"{scheme[:20]}://..." if sign else "something else"
        raise BackendError(f"{_FORMS} is needed, but got {got}, which cannot be read") from error
    if url.drivername == SQLITE:
        return _read_file(url)
    if url.drivername not in POSTGRESQL:
        raise BackendError(f"{_FORMS} is needed, but got {url.drivername}://...")
    if "@" in (url.database or "") or "@" in (url.host or ""):
        raise BackendError(f"{_FORMS} is needed, with @ and / of a password written as %40 and %2F")
    bare, password = split_password(url)
    if not url.database:
        raise BackendError(f"{_FORMS} is needed, but {bare} names no database")
    if visible and password:
        raise BackendError(
            f"a password on a command line is seen by every user of this machine; set {BACKEND} to the whole"
            " address, or PGPASSWORD to the password, or write it into ~/.pgpass"
        )
    return Backend(bare, password)


def _read_file(url: sqlalchemy.URL) -> Backend:
    if not Path(url.database or "").is_absolute() or url.query:
        raise BackendError(
            "the path of an SQLite file must be absolute and without options: sqlite:////ABSOLUTE/FILE,"
            f" but got {url.render_as_string()}"
        )
    return Backend(url.render_as_string(hide_password=False))


def split_password(url: sqlalchemy.URL) -> tuple[str, str]:
    """The URI without its password, and the password, "" where there is none."""
    in_query = url.query.get("password", "")
    password = url.password or (in_query if isinstance(in_query, str) else in_query[-1])
    place = (url.drivername, url.username, None, url.host, url.port, url.database)
    bare = sqlalchemy.URL.create(*place, url.query).difference_update_query(["password"])
    return bare.render_as_string(hide_password=False), str(password)


def with_patience(uri: str) -> str:
    """A PostgreSQL URI that asks libpq to notice a silent database, where it says nothing else itself."""
    url = sqlalchemy.make_url(uri)
    missing = {name: value for name, value in PATIENCE.items() if name not in url.query}
    return url.update_query_dict(missing).render_as_string(hide_password=False)
