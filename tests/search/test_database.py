from __future__ import annotations

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from data_prep.problems import InputError
from search.database import backend_of, engine_options, first_line, is_outage, reason_of
from tests.postgresql import PASSWORD


@pytest.mark.parametrize(
    ("url", "backend"),
    [
        ("postgresql://h/d", "postgresql"),
        ("postgresql+psycopg://u:p@h:5432/d?sslmode=require", "postgresql"),
        ("sqlite:////a.db", "sqlite"),
    ],
)
def test_what_a_url_names_is_told(url: str, backend: str) -> None:
    assert backend_of(url) == backend


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://u@h/d", "http://h", "postgresql://h:port/d"])
def test_what_is_no_database_of_ours_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"--storage: .* needed"):
        backend_of(url)


def cause(kind: type[Exception], *args: object) -> StorageInternalError:
    """As Optuna wraps the errors of a database."""
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = kind(*args)
    return error


def test_a_lost_connection_is_an_outage_and_a_refused_request_is_none() -> None:
    lost, refused = Exception("server closed the connection"), Exception("duplicate key")
    assert is_outage(OperationalError("SELECT 1", None, lost))
    assert is_outage(cause(OperationalError, "SELECT 1", None, lost))
    assert is_outage(PoolTimeoutError("no connection within 60 s"))
    assert not is_outage(cause(IntegrityError, "INSERT", None, refused))
    assert not is_outage(ProgrammingError("SELECT", None, refused))
    assert not is_outage(StorageInternalError("a study of that name is there"))
    assert not is_outage(KeyError("x"))


def test_reasons_are_one_line_without_a_password() -> None:
    words = Exception("cannot reach postgresql://jo:tell-nobody@h/d\nIs the server running?")
    error = cause(OperationalError, "SELECT 1", None, words)
    assert reason_of(error) == "cannot reach postgresql://jo:***@h/d"
    assert first_line(ValueError()) == "ValueError"


def test_a_session_tells_times_in_utc_and_gives_its_locks_back_when_its_machine_is_gone(
    database: str,
) -> None:
    engine = sqlalchemy.create_engine(database, **engine_options(database))
    with engine.connect() as connection:
        shown = {
            name: connection.execute(sqlalchemy.text(f"SHOW {name}")).scalar_one()
            for name in ("timezone", "tcp_keepalives_idle", "statement_timeout", "application_name")
        }
    engine.dispose()
    assert shown == {
        "timezone": "UTC",
        "tcp_keepalives_idle": "30",
        "statement_timeout": "10min",
        "application_name": "radsearch",
    }


def test_a_refused_password_is_an_outage_that_does_not_print_it(database: str) -> None:
    wrong = database.replace(PASSWORD, "tell-nobody")
    engine = sqlalchemy.create_engine(wrong, **engine_options(wrong))
    with pytest.raises(OperationalError) as caught:
        engine.connect()
    assert "password authentication failed" in first_line(caught.value)
    assert "tell-nobody" not in first_line(caught.value)
