"""What an MLflow server serves, where and to whom, as a frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy
from sqlalchemy.exc import ArgumentError

from mlflow_server.access import LOOPBACK_ONLY, PASSWORD, SECRET_KEY, Access
from mlflow_server.app import HOSTS
from mlflow_server.auth_file import AUTH_FILE
from mlflow_server.backend import POSTGRESQL, split_password, with_patience

# No telemetry, no helper processes for features of language models, and no module of ours or of the
# standard library shadowed by a file in the working folder.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONSAFEPATH": "1",
}

# MLflow serves 40 requests at a time, each with a connection or two. Of SQLAlchemy's pool of 15 some wait in
# vain, and after 30 s their senders are told that the request is wrong (400), so that none sends it again.
POOL = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "40", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "80"}

# MLflow's own import; whoever starts the server cannot mend it.
QUIET = {"PYTHONWARNINGS": "ignore:starlette.middleware.wsgi:UserWarning"}

# What a user has set for MLflow could open the server wider than this record says, or move it elsewhere. Only
# how its stores are reached is theirs.
_DROPPED = ("MLFLOW_", "_MLFLOW_", "UVICORN_", "FORWARDED_ALLOW_IPS", "PYTHONPATH", "NOTIFY_SOCKET")
_SCHEMES, _PORTS = ("http", "https"), ("", ":*")
_KEPT = ("MLFLOW_S3_", "MLFLOW_HTTP_REQUEST_", "MLFLOW_SQLALCHEMYSTORE_")


@dataclass(frozen=True)
class ServerConfig:
    """An MLflow tracking server with its UI.

    Attributes:
        backend_uri: Where runs are kept: an SQLAlchemy URI such as `sqlite:////absolute/path.db`. It may hold
            a password, so it is part of no text and of no command line.
        artifacts: Folder of artifacts of experiments that name no place of their own.
        access: Where it listens and for whom; by default on loopback, without password.
        port: TCP port; 0 leaves the choice to `mlflow_server.launch.start`.
        accounts: Folder of MLflow's accounts; needed where the access has credentials.
        shared: The accounts lie in the backend, and the folder holds no more than where that is.

    Raises:
        ValueError: The port is none, or credentials come without a folder for the accounts.
    """

    backend_uri: str = field(repr=False)
    artifacts: Path
    access: Access = LOOPBACK_ONLY
    port: int = 0
    accounts: Path | None = None
    shared: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: 0 <= port <= 65535 must hold, but got {self.port}")
        if self.access.credentials is not None and self.accounts is None:
            raise ValueError("accounts: a password needs a folder for the accounts, but got none")

    @property
    def url(self) -> str:
        """Its address, as people are given it."""
        return self.access.url(self.port)

    @property
    def app_name(self) -> str:
        """The application that MLflow is to serve, an entry point of ours."""
        return "radsearch" if self.access.credentials is None else "radsearch-auth"

    @property
    def accounts_uri(self) -> str | None:
        """Where MLflow keeps the accounts, without a password; None for a file in their folder."""
        return self._database[0] if self.shared else None

    @property
    def _database(self) -> tuple[str, str]:
        """The backend without its password, and the password; apart for PostgreSQL only."""
        try:
            url = sqlalchemy.make_url(self.backend_uri)
        except (ArgumentError, ValueError):  # MLflow will say so
            return self.backend_uri, ""
        if url.drivername not in POSTGRESQL:
            return self.backend_uri, ""
        uri, password = split_password(url)
        return with_patience(uri), password

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may quote."""
        given = self.access.credentials
        own = () if given is None else (given.password, given.secret_key)
        password = urlsplit(self.backend_uri).password or ""
        return tuple(secret for secret in (*own, password, unquote(password)) if secret)

    def command(self, python: str) -> list[str]:
        """The command line that runs it with one worker under the given interpreter."""
        # MLflow reads "[" in a pattern with "*" as the start of a set.
        hosts = [pattern for host in self.access.hosts for pattern in (host, host.replace("[", "[[]") + ":*")]
        # Which port a browser sees depends on tunnels and proxies; our gate compares origins to the letter.
        others = [host for host in self.access.hosts if host not in LOOPBACK_ONLY.hosts]
        origins = [f"{scheme}://{host}{port}" for host in others for scheme in _SCHEMES for port in _PORTS]
        return [
            *(python, "-P", "-m", "mlflow", "server", "--app-name", self.app_name),
            *("--artifacts-destination", self.artifacts.absolute().as_uri()),
            *("--host", self.access.host, "--port", str(self.port), "--workers", "1"),
            *("--allowed-hosts", ",".join(hosts)),
            *(("--cors-allowed-origins", ",".join(origins)) if origins else ()),
            "--uvicorn-opts=--no-proxy-headers --no-server-header",
        ]

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Its environment: the inherited one without settings of MLflow's server, plus ours."""
        kept = {
            name: value
            for name, value in inherited.items()
            if name.startswith(_KEPT) or not name.startswith(_DROPPED)
        }
        uri, password = self._database
        own = {"MLFLOW_BACKEND_STORE_URI": uri, HOSTS: ",".join(self.access.hosts)}
        if password:
            own |= {"PGPASSWORD": password}  # libpq's own variable; the address stands in messages of MLflow
        given = self.access.credentials
        if given is not None:
            own |= {PASSWORD: given.password, SECRET_KEY: given.secret_key}
            own |= {"MLFLOW_AUTH_CONFIG_PATH": str((self.accounts or Path()).absolute() / AUTH_FILE)}
        return QUIET | POOL | kept | SETTINGS | own
