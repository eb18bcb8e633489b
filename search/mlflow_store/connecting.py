"""MLflow's client at an address, made ready; its errors in two kinds: a request at fault, or an outage."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy

from search.delivery import Denied, Outage, Rejected
from search.errors import StudyStoppedError
from search.sqlite_files import file_made_once, one_at_a_time
from search.tracking_uri import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Error codes by which MLflow says that the request itself is wrong.
AT_FAULT = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
DENIED = "PERMISSION_DENIED"

# The courier repeats by itself, so one request neither repeats nor waits for long.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # else a model takes along what lies in the folder one stands in
}


def client_at(uri: str) -> MlflowClient:
    """A client of the runs and models at a tracking URI, whose SQLite file is made where there is none."""
    prepare()
    from mlflow import MlflowClient

    with one_at_a_time(uri):
        _provide_database(uri)
        return MlflowClient(uri, registry_uri=uri)


def _provide_database(uri: str) -> None:
    """Make a database file whole: killed amid its migrations, MLflow could never open it again."""
    url = sqlalchemy.make_url(uri) if uri.startswith("sqlite") else None
    if url is None or not url.database or Path(url.database).exists():
        return
    from mlflow.store.db.utils import _initialize_tables

    with file_made_once(Path(url.database)) as draft:
        engine = sqlalchemy.create_engine(f"sqlite:///{draft}")
        _initialize_tables(engine)  # type: ignore[no-untyped-call]
        engine.dispose()


def prepare() -> None:
    """Settings that MLflow reads from the environment, and silence: the courier reports what matters."""
    shows_bars = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": str(sys.stderr.isatty()).lower()}
    for name, value in (SETTINGS | shows_bars).items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 - it sets the levels of its loggers when it is imported

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def connecting() -> Iterator[None]:
    """What keeps a store from being opened is an `Outage`: no event is at fault, whatever is raised."""
    try:
        with verdicts():
            yield
    except Outage:
        raise
    except Exception as error:
        raise Outage(_line(error)) from error


@contextmanager
def verdicts() -> Iterator[None]:
    """Translate errors into `Rejected` (the event is at fault) and `Outage` (the rest, `Denied` among it)."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        cause = error.__cause__
        broken = isinstance(cause, SQLAlchemyError) and not isinstance(cause, DataError | IntegrityError)
        # A server that has run out of database connections answers as if the request were at fault.
        broken = broken or "QueuePool limit" in str(error)
        if error.error_code in AT_FAULT and not broken:
            raise Rejected(_line(error)) from error
        raise (Denied if error.error_code == DENIED else Outage)(_line(error)) from error
    except (SQLAlchemyError, OSError, StudyStoppedError) as error:  # the last, of what guards the store
        raise Outage(_line(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise Rejected(f"{type(error).__name__}: {_line(error)}") from error


def _line(error: Exception) -> str:
    text = without_password(" ".join(str(error).split()))
    return text if len(text) <= 200 else f"{text[:199]}…"
