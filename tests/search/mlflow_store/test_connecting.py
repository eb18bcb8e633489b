from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST
from sqlalchemy.exc import IntegrityError, OperationalError

from mlflow_server.launch import free_port
from search.delivery import Denied, Outage, Rejected
from search.mlflow_store.connecting import client_at, connecting, verdicts
from tests.impostors import ELSE, web_server


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (MlflowException("no such run", RESOURCE_DOES_NOT_EXIST), Rejected),
        (MlflowException("the database is locked", INTERNAL_ERROR), Outage),
        (OperationalError("INSERT", {}, Exception("disk I/O error")), Outage),
        (OSError(28, "No space left on device"), Outage),
        (KeyError("name"), Rejected),
        (ValueError("not a number"), Rejected),
    ],
)
def test_an_error_is_the_fault_of_the_request_or_an_outage(
    error: Exception, verdict: type[Exception]
) -> None:
    with pytest.raises(verdict), verdicts():
        raise error


@pytest.mark.parametrize(
    ("cause", "verdict"),
    [(OperationalError("SELECT", {}, Exception()), Outage), (IntegrityError("", {}, Exception()), Rejected)],
)
def test_a_database_that_breaks_down_behind_a_request_is_an_outage(
    cause: Exception, verdict: type[Exception]
) -> None:
    error = MlflowException("bad", RESOURCE_DOES_NOT_EXIST)
    error.__cause__ = cause
    with pytest.raises(verdict), verdicts():
        raise error


def test_what_is_told_is_one_line_without_a_password() -> None:
    with pytest.raises(Outage) as caught, connecting():
        raise RuntimeError("cannot reach\n https://jo:s3cret@mlflow.lab " + "x" * 500)
    text = str(caught.value)
    assert text.startswith("cannot reach https://jo:***@mlflow.lab xxx")
    assert len(text) == 200


def test_whatever_keeps_a_store_from_being_opened_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(Outage), connecting():
        raise KeyError("no table of that name")
    with pytest.raises(Outage), connecting():
        client_at(f"http://127.0.0.1:{free_port()}").search_experiments()


def test_a_right_that_is_missing_is_told_from_an_outage() -> None:
    with web_server({ELSE: (403, "Permission denied")}) as uri, pytest.raises(Denied), verdicts():
        client_at(uri).get_run("0f")
    with web_server({ELSE: (503, "")}) as uri, pytest.raises(Outage) as caught, verdicts():
        client_at(uri).get_run("0f")
    assert not isinstance(caught.value, Denied)
