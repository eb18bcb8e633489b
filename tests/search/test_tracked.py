from __future__ import annotations

import socket
from pathlib import Path

import optuna
import pytest

from data_prep.problems import InputError
from search.home import Home
from search.tracked import TRACKING, artifacts_of, book_tracking, tracking_of


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(study_name="s")


@pytest.fixture
def opener(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "opener")


@pytest.fixture
def other(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "other")


def test_a_worker_logs_to_the_server_of_the_study_which_keeps_no_password(
    study: optuna.Study, opener: Home, other: Home
) -> None:
    book_tracking(study, "https://jo:s3cret@mlflow.lab/tracking", opener)
    assert "s3cret" not in str(study.user_attrs)
    assert tracking_of(study, None, other) == "https://mlflow.lab/tracking"
    assert tracking_of(study, "http://other", other) == "http://other"
    assert artifacts_of(study, "https://mlflow.lab/tracking", other) is None


def test_a_worker_of_the_same_machine_logs_into_the_openers_database(
    study: optuna.Study, opener: Home, other: Home
) -> None:
    book_tracking(study, None, opener)
    with pytest.raises(InputError, match=r"opener/mlflow\.db, which is not there: say where it is now"):
        tracking_of(study, None, other)
    opener.root.mkdir()
    (opener.root / "mlflow.db").touch()
    uri = tracking_of(study, None, other)
    assert uri == opener.tracking_uri
    assert artifacts_of(study, uri, other) == opener.tracking_artifacts
    assert artifacts_of(study, other.tracking_uri, other) == other.tracking_artifacts


@pytest.mark.parametrize("uri", [None, "postgresql://db/mlflow"])
def test_a_worker_of_another_machine_needs_a_server(
    study: optuna.Study, opener: Home, other: Home, uri: str | None
) -> None:
    book_tracking(study, uri, opener)
    study.set_user_attr(TRACKING, study.user_attrs[TRACKING] | {"host": "login1"})
    here = socket.gethostname()
    with pytest.raises(InputError, match=rf"on login1, where {here} cannot write: .*`radsearch server`"):
        tracking_of(study, None, other)


def test_a_database_with_a_password_is_to_be_named_again(
    study: optuna.Study, opener: Home, other: Home
) -> None:
    book_tracking(study, "postgresql://jo:s3cret@db/mlflow", opener)
    with pytest.raises(InputError, match=r"jo:\*\*\*@db/mlflow; its password is not kept") as caught:
        tracking_of(study, None, other)
    assert "s3cret" not in str(caught.value)


def test_a_home_that_was_moved_with_its_journal_has_its_own_database(
    empty_study: optuna.Study, opener: Home, other: Home
) -> None:
    book_tracking(empty_study, None, opener)
    assert tracking_of(empty_study, None, other) == other.tracking_uri


def test_a_study_older_than_the_record_is_logged_to_the_home(study: optuna.Study, other: Home) -> None:
    assert tracking_of(study, None, other) == other.tracking_uri
    assert artifacts_of(study, other.tracking_uri, other) == other.tracking_artifacts
