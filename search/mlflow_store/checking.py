"""What is at a tracking URI, found out before anything is logged to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import sqlalchemy
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from data_prep.problems import InputError
from search.database import REFUSED, first_line
from search.delivery import Outage
from search.links import is_server
from search.sqlite_files import sqlite_file
from search.tracking_uri import without_password
from search.writable import file_problem

if TYPE_CHECKING:
    from requests import Response

REQUEST_SECONDS = 7  # of each of two requests
VERSION = re.compile(r"\d+\.\d+\.\d\S*")
VERSION_PATH, SEARCH_PATH = "/version", "/api/2.0/mlflow/experiments/search"
LONGEST_ANSWER = 40  # characters; of no version
WHERE = "tracking URI"


def check_store(uri: str) -> None:
    """Ask a server for its version and for its consent, or a database for its tables; nothing is written.

    Args:
        uri: Tracking URI; MLflow was prepared.

    Raises:
        InputError: No MLflow is there, one of another version, or it does not take us.
        Outage: Nothing answers there at the moment.
    """
    if is_server(uri):
        _check_server(uri)
    else:
        _check_database(uri)


def _check_server(uri: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    def get(endpoint: str) -> Response:
        options = {"max_retries": 0, "timeout": REQUEST_SECONDS, "raise_on_status": False}
        options |= {"allow_redirects": False}
        try:
            credentials = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
            response: Response = http_request(credentials, endpoint, "GET", **options)  # type: ignore[no-untyped-call]
        except MlflowException as error:
            raise Outage(_origin(error)) from error
        if response.status_code >= 500 or response.status_code == 429:
            raise Outage(f"it answers {response.status_code} {response.reason}")
        return response

    _check_url(uri)
    _check_version(uri, get)
    _check_consent(uri, get)


def _check_url(uri: str) -> None:
    """Refuse what `requests` could not send to; its own words would hold the password."""
    from requests import PreparedRequest
    from requests.exceptions import RequestException

    try:
        PreparedRequest().prepare_url(uri, None)
        is_address = bool(urlsplit(uri).hostname) and urlsplit(uri).port != 0
    except (RequestException, ValueError):
        is_address = False
    if not is_address:
        raise InputError(f"{WHERE}: http://HOST:PORT is needed, but got {without_password(uri)!r}")


def _check_version(uri: str, get: Callable[[str], Response]) -> None:
    import mlflow

    response, shown = get(VERSION_PATH), without_password(uri)
    _check_admitted(response, uri)
    text = response.text.strip() if response.ok else ""
    if len(text) > LONGEST_ANSWER or not VERSION.fullmatch(text):
        what = "with something else" if response.ok else f"with {response.status_code}"
        raise InputError(
            f"{WHERE}: an MLflow server is needed, but {shown} answers {what} when asked for its version"
        )
    ours = mlflow.__version__
    if text.split(".")[:2] != ours.split(".")[:2]:
        raise InputError(
            f"{WHERE}: the MLflow server must be of version {_short(ours)} as the MLflow of radsearch here "
            f"({ours}), but {shown} is of version {text}. Install the same on both sides"
        )


def _check_consent(uri: str, get: Callable[[str], Response]) -> None:
    response = get(f"{SEARCH_PATH}?max_results=1")
    _check_admitted(response, uri)
    if not response.ok:
        raise InputError(
            f"{WHERE}: the server must list its experiments, but {without_password(uri)} answers "
            f"{response.status_code} {response.reason}"
        )


def _check_admitted(response: Response, uri: str) -> None:
    """Refuse where the server does; what it says beyond the number may be a page."""
    shown = without_password(uri)
    if 300 <= response.status_code < 400:
        raise InputError(_led_on(response, shown))
    if response.status_code == 401:
        raise InputError(
            f"{WHERE}: a user name and a password that {shown} takes are needed, but it refuses those given. "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are read from the environment"
        )
    if response.status_code == 403:
        raise InputError(
            f"{WHERE}: {shown} must let us in, but it answers 403. Start it with the host name in that "
            "address among --allowed-hosts, and give its user the right to log"
        )


def _led_on(response: Response, shown: str) -> str:
    """What is told of a server that sends us elsewhere: what is logged is POSTed, which is not sent on."""
    target = urlsplit(urljoin(response.url, response.headers.get("Location", "")))
    place = f"{target.scheme}://{target.netloc}{target.path}"
    address = re.sub(rf"({VERSION_PATH}|{SEARCH_PATH})/?$", "", place)
    is_mlflow = address != place and address != shown.rstrip("/")
    advice = f"Give {without_password(address)}" if is_mlflow else "Give the address of MLflow itself"
    return (
        f"{WHERE}: an MLflow server that answers by itself is needed, but {shown} answers "
        f"{response.status_code} and leads to {without_password(place)}. {advice}"
    )


def _check_database(uri: str) -> None:
    """Compare a database's tables with those of our MLflow; one that is empty, or not there yet, will do."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    file = sqlite_file(uri)
    problem = None if file is None else file_problem(file)
    if problem:
        raise InputError(f"{WHERE}: {file}: {problem}")
    expected, found = str(_get_latest_schema_revision()), _revision(uri)  # type: ignore[no-untyped-call]
    if found not in (None, expected):
        raise InputError(
            f"{WHERE}: a database with the tables of the MLflow of radsearch here (revision {expected}) is "
            f"needed, but {without_password(uri)} has {found}. `mlflow db upgrade URI` renews those of an "
            "older MLflow; Optuna's tables need a database of their own"
        )


def _revision(uri: str) -> str | None:
    """The revision that a database's tables are of; None where it has none."""
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    except (ArgumentError, ImportError, ValueError) as error:
        raise InputError(f"{WHERE}: a database URL is needed, but: {without_password(str(error))}") from error
    try:
        with engine.connect() as connection:
            if sqlalchemy.inspect(connection).has_table("alembic_version"):
                rows = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version"))
                return ", ".join(sorted(str(row[0]) for row in rows)) or None
            tables = sqlalchemy.inspect(connection).get_table_names()
            return "tables of something else" if tables else None
    except SQLAlchemyError as error:
        reason = first_line(error)
        if "not a database" in reason:
            raise InputError(
                f"{WHERE}: an SQLite file is needed, but {without_password(uri)} is none"
            ) from error
        if REFUSED.search(reason):
            raise InputError(f"{WHERE}: the database must take us, but it says: {reason}") from error
        raise Outage(reason) from error


def _origin(error: BaseException) -> str:
    """What lies at the bottom of an error: sockets say in a few words what all above them wrap up."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return without_password(" ".join(text.split())) or type(error).__name__


def _short(version: str) -> str:
    return ".".join(version.split(".")[:2])
