from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_prep.problems import InputError
from mlflow_server.access import PASSWORD, SECRET_KEY, USERNAME, read_access
from mlflow_server.config import ServerConfig
from mlflow_server.launch import free_port, start
from search import preflight
from search.errors import StudyStoppedError
from search.home import Home
from search.mlflow_store import checking
from search.preflight import check_tracking
from search.run_ids import EXPERIMENT, RunIds
from tests.impostors import ELSE, silent_server, web_server

SECRETS = {PASSWORD: "correct-horse-battery", SECRET_KEY: "0123456789abcdef0123"}
VARIABLES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "home")


def heard_of(home: Home, uri: str) -> None:
    """Note that MLflow at that address has made the study's experiment."""
    with RunIds(home.study("s").spool, uri, "s").locked() as note:
        note(EXPERIMENT, "1")


def test_the_database_in_the_home_is_made_in_its_time(home: Home) -> None:
    check_tracking(None, home, "s")
    assert not home.root.exists()


def test_an_address_that_nothing_answers_at_stops_the_first_start_and_is_ridden_out_later(
    home: Home,
) -> None:
    uri = f"http://jo:s3cret@127.0.0.1:{free_port()}"
    told = r"tracking URI: MLflow at http://jo:\*\*\*@\S+ cannot be reached: Connection refused"
    with pytest.raises(StudyStoppedError, match=told):
        check_tracking(uri, home, "s")
    heard_of(home, uri)
    check_tracking(uri, home, "s")
    with pytest.raises(StudyStoppedError, match=told):
        check_tracking(uri, home, "another")
    with pytest.raises(StudyStoppedError, match=told):
        check_tracking(uri, home, "s", must_answer=True)
    check_tracking(uri, home, "another", must_answer=False)


def test_a_server_of_another_version_or_none_is_refused_also_where_it_had_answered(home: Home) -> None:
    for answers in ({"/version": (200, "2.9.2")}, {ELSE: (200, "welcome")}):
        with web_server(answers) as uri:
            heard_of(home, uri)
            with pytest.raises(InputError, match="tracking URI: "):
                check_tracking(uri, home, "s")


def test_whoever_never_answers_is_not_waited_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a request nor by the check as a whole, of which looking up a name is a part."""
    assert 2 * checking.REQUEST_SECONDS < preflight.ANSWER_SECONDS <= 15
    monkeypatch.setattr(preflight, "ANSWER_SECONDS", 0.3)
    with silent_server() as uri, pytest.raises(StudyStoppedError, match="has not answered within 0 s"):
        check_tracking(uri, home, "s")
    monkeypatch.setattr(preflight, "ANSWER_SECONDS", 60.0)
    monkeypatch.setattr(checking, "REQUEST_SECONDS", 0.3)
    with silent_server() as uri, pytest.raises(StudyStoppedError, match="timed out"):
        check_tracking(uri, home, "s")


def test_an_error_of_the_check_itself_is_told_as_an_outage(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(uri: str) -> None:
        raise KeyError("jo:s3cret")

    monkeypatch.setattr(preflight, "check_store", broken)
    with pytest.raises(StudyStoppedError, match="cannot be reached: KeyError"):
        check_tracking("http://127.0.0.1:1", home, "s")
    heard_of(home, "http://127.0.0.1:1")
    check_tracking("http://127.0.0.1:1", home, "s")


@pytest.fixture(scope="module")
def with_accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that asks for a password."""
    folder = tmp_path_factory.mktemp("accounts")
    config = ServerConfig(
        f"sqlite:///{folder}/server.db",
        folder / "artifacts",
        read_access("127.0.0.1", "", SECRETS),
        accounts=folder / "accounts",
    )
    server = start(config, folder / "server.log")
    yield server.url
    server.stop()


def test_a_real_server_takes_its_user_and_refuses_others_without_telling_what_they_said(
    with_accounts: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(uri: str, *variables: str) -> str:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in zip(VARIABLES, variables, strict=False):
            monkeypatch.setenv(name, value)
        try:
            check_tracking(uri, home, "s")
        except InputError as error:
            return "\n".join(error.problems)
        return ""

    right = SECRETS[PASSWORD]
    assert outcome(with_accounts, USERNAME, right) == ""
    assert outcome(with_accounts.replace("//", f"//{USERNAME}:{right}@")) == ""
    refused = [
        outcome(with_accounts),
        outcome(with_accounts, USERNAME, "wr0ng-horse"),
        outcome(with_accounts.replace("//", f"//{USERNAME}:wr0ng-horse@")),
        outcome(with_accounts.replace("//", "//jo:wr0ng-horse@")),
    ]
    for line in refused:
        assert line.startswith("tracking URI: a user name and a password that http://")
        assert "wr0ng" not in line
        assert "\n" not in line
