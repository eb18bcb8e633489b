"""What `radsearch submit` does before any launcher: what workers share is looked at, and handed to them."""

from __future__ import annotations

import importlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import urlsplit

from data_prep.problems import InputError, Problems
from search.database import POSTGRESQL, backend_of
from search.home import Home
from search.launchers.request import LaunchRequest, write_privately
from search.links import is_server
from search.tracking_uri import check_uri, without_password

LAUNCHERS = {
    "slurm": "search.launchers.slurm",
    "ray": "search.launchers.ray_cluster",
    "local": "search.launchers.local",
}

HERE = ("localhost", "127.0.0.1", "::1")
# What libpq, MLflow's client and the libraries beneath it take from the environment.
FILES = (
    *(f"PG{name}" for name in ("PASSFILE", "SERVICEFILE")),
    *(f"PGSSL{name}" for name in ("ROOTCERT", "CERT", "KEY", "CRL", "CRLDIR")),
    *(f"MLFLOW_TRACKING_{name}" for name in ("SERVER_CERT_PATH", "CLIENT_CERT_PATH")),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
CARRIED = (
    *FILES,
    *PROXIES,
    *map(str.lower, PROXIES),
    *(f"PG{name}" for name in ("HOST", "HOSTADDR", "PORT", "USER", "DATABASE", "SERVICE", "PASSWORD")),
    *(f"PG{name}" for name in ("SSLMODE", "CHANNELBINDING", "GSSENCMODE", "REQUIREAUTH", "KRBSRVNAME")),
    *(f"MLFLOW_TRACKING_{name}" for name in ("USERNAME", "PASSWORD", "TOKEN", "AUTH", "INSECURE_TLS")),
)


class Launcher(Protocol):
    """A module that starts workers."""

    def check(self, request: LaunchRequest, problems: Problems) -> None:
        """Note what of the request cannot be."""

    def plan(self, request: LaunchRequest) -> str:
        """What would be started, as text without a secret."""

    def ready(self, request: LaunchRequest) -> None:
        """Refuse surroundings in which nothing can be started."""

    def launch(self, request: LaunchRequest) -> int:
        """Start the workers of a study that is open; returns the exit code."""


def launcher_of(name: str) -> Launcher:
    """The launcher of that name, loaded."""
    return cast(Launcher, importlib.import_module(LAUNCHERS[name]))


def check_reach(
    launcher: str, several: bool, storage: str | None, tracking: str | None, problems: Problems
) -> None:
    """Note a storage or a tracking URI that the workers could not share.

    Args:
        launcher: Its name.
        several: Whether workers run on several machines.
        storage: URL of Optuna's storage; None for the journal in the home.
        tracking: MLflow's tracking URI; None for the database in the home.
        problems: Gets them.
    """
    try:
        backend = None if storage is None else backend_of(storage)
        if backend != POSTGRESQL and (backend is not None or launcher != "local"):
            got = _shown(storage, "journal")
            law = f"--launcher {launcher} needs postgresql://USER@HOST/DATABASE, which many workers can share"
            problems.add("--storage", f"{law}, but got {got}")
    except InputError as error:
        problems.extend(error)
    try:
        if tracking is not None:
            check_uri(tracking)
        if several and not (tracking and is_server(tracking)):
            got = _shown(tracking, "database")
            law = "workers on several machines need an MLflow server, http://HOST:PORT"
            problems.add("--tracking-uri", f"{law}, but got {got}. `radsearch server` starts one")
    except InputError as error:
        problems.extend(error)
    except ValueError as error:
        got = without_password(str(tracking))
        problems.add("--tracking-uri", f"http://HOST:PORT is needed, but got {got!r}: {error}")


def _shown(uri: str | None, default: str) -> str:
    return without_password(uri) if uri else f"none: the {default} in the home is for one machine"


def only_here(storage: str | None, tracking: str | None) -> Iterator[str]:
    """A line for each address that means another machine on each machine."""
    for flag, uri in (("--storage", storage), ("--tracking-uri", tracking)):
        host = urlsplit(uri).hostname if uri else "elsewhere"
        if host is None or host in HERE:
            yield f"{flag}: workers on other machines will look for {host or 'a socket'} on their own machine"


def environment_of(home: Home, storage: str | None, tracking: str | None) -> dict[str, str]:
    """What workers find in their environment, passwords among it."""
    named = {
        "RADSEARCH_HOME": str(home.root),
        "RADSEARCH_STORAGE": storage,
        "RADSEARCH_TRACKING_URI": tracking,
        **{name: _carried(name) for name in CARRIED},
    }
    return {name: value for name, value in named.items() if value is not None}


def _carried(name: str) -> str | None:
    """A variable as it holds in any folder."""
    value = os.environ.get(name)
    # "system" and "ENGINE:KEY" are libpq's words for what is no file.
    if name not in FILES or not value or value == "system" or ":" in value:
        return value
    return str(Path(value).absolute())


def write_environment(request: LaunchRequest) -> None:
    """Write what workers need as lines of shell, into a file that nobody else may read."""
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in request.environment.items())
    write_privately(request.env_file, "".join(lines))
