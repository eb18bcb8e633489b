from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from data_prep.problems import InputError
from mlflow_server.launch import free_port
from search.database import first_line, stopped_by
from search.delivery import Outage
from search.errors import BeyondWaitingError
from search.mlflow_store import checking
from search.mlflow_store.checking import check_store
from tests.impostors import ELSE, mlflow_of, silent_server, web_server
from tests.postgresql import Cluster

OURS = mlflow.__version__


def test_a_server_of_our_version_passes_whatever_its_last_number() -> None:
    major, minor = OURS.split(".")[:2]
    for version in (OURS, f"{major}.{minor}.99"):
        with web_server(mlflow_of(version)) as uri:
            check_store(uri)
            check_store(f"{uri}/")


def test_a_server_of_another_version_is_refused_naming_both() -> None:
    with web_server(mlflow_of("2.9.2")) as uri, pytest.raises(InputError) as caught:
        check_store(uri)
    (line,) = caught.value.problems
    assert f"({OURS})" in line
    assert f"{uri} is of version 2.9.2" in line


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({}, "an MLflow server is needed, but .* answers with 404 when asked for its version"),
        ({ELSE: (200, "<html>Welcome to nginx!</html>")}, "answers with something else when asked"),
        ({"/version": (200, OURS)}, "must list its experiments, but .* answers 404"),
        ({ELSE: (401, "who are you")}, "a user name and a password that .* takes are needed"),
        ({"/version": (200, OURS), ELSE: (401, "")}, "a user name and a password that .* takes are needed"),
        ({ELSE: (403, "Invalid Host header")}, "must let us in, but it answers 403. .*--allowed-hosts"),
    ],
)
def test_what_is_no_mlflow_for_us_is_refused_in_a_line(
    answers: dict[str, tuple[int, str]], says: str
) -> None:
    with web_server(answers) as uri, pytest.raises(InputError, match=says) as caught:
        check_store(uri.replace("//", "//jo:s3cret@"))
    assert len(caught.value.problems) == 1
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_an_outage_at_either_request(status: int) -> None:
    for answers in ({ELSE: (status, "")}, {"/version": (200, OURS), ELSE: (status, "")}):
        with web_server(answers) as uri, pytest.raises(Outage, match=f"it answers {status}"):
            check_store(uri)


def test_why_nothing_answers_is_told_in_few_words_and_without_a_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Outage, match=r"^Connection refused$"):
        check_store(f"http://jo:s3cret@127.0.0.1:{free_port()}")
    with pytest.raises(Outage, match=r"(?i)name"):  # the resolver's own words
        check_store("http://jo:s3cret@no-such-host.invalid:5000")
    monkeypatch.setattr(checking, "REQUEST_SECONDS", 0.2)
    with silent_server() as uri, pytest.raises(Outage, match=r"(?i)timed out"):
        check_store(uri)


@pytest.mark.parametrize(
    "uri", ["http://:5000", "http://host:99999", "http://jo:s3/cret@h:5000", "http://*:1"]
)
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="http://HOST:PORT is needed, but got") as caught:
        check_store(uri)
    assert "cret" not in str(caught.value)


def test_a_database_of_our_schema_or_an_empty_one_passes(empty_database: Path, tmp_path: Path) -> None:
    check_store(f"sqlite:///{empty_database}")
    (tmp_path / "empty.db").touch()
    check_store(f"sqlite:///{tmp_path}/empty.db")


def altered(database: Path, statement: str) -> str:
    uri = f"sqlite:///{database}"
    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement))
    engine.dispose()
    return uri


def test_a_database_of_another_schema_is_refused_and_left_as_it_is(
    empty_database: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_database, tmp_path / "old.db")
    uri = altered(tmp_path / "old.db", "UPDATE alembic_version SET version_num = 'v3.2.0.a'")
    before = (tmp_path / "old.db").read_bytes()
    with pytest.raises(InputError, match=r"\(revision [0-9a-f]+\) is needed, but .*old.db has v3.2.0.a"):
        check_store(uri)
    assert (tmp_path / "old.db").read_bytes() == before
    with pytest.raises(InputError, match="has tables of something else"):
        check_store(altered(tmp_path / "other.db", "CREATE TABLE patients (name text)"))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database at all, but long enough to look like a file " * 9)
    with pytest.raises(InputError, match=r"an SQLite file is needed, but .*notes.db is none"):
        check_store(f"sqlite:///{tmp_path}/notes.db")
    with pytest.raises(InputError, match="a file must be there or be made, but something else is"):
        check_store(f"sqlite:///{tmp_path}")


def test_postgresql_that_refuses_is_refused_and_one_that_is_away_an_outage(
    postgres: Cluster, database: str
) -> None:
    check_store(database)
    for uri in (database.replace("correct-horse", "wr0ng"), postgres.url("no_such")):
        with pytest.raises(InputError, match="the database must take us, but it says: ") as caught:
            check_store(uri)
        assert not any(part in str(caught.value) for part in ("wr0ng", "battery"))
    with pytest.raises(Outage, match="refused"):
        check_store(f"postgresql://radsearch:s3cret@127.0.0.1:{free_port()}/x")


@pytest.mark.parametrize(
    ("to", "advice"),
    [
        ("https://mlflow.lab{path}", r"leads to https://mlflow\.lab/version\. Give https://mlflow\.lab$"),
        ("https://jo:s3cret@mlflow.lab/sub{path}?token=s3cret", r"Give https://jo:\*\*\*@mlflow\.lab/sub$"),
        (
            "/login?next={path}&token=s3cret",
            r"leads to http://\S+/login\. Give the address of MLflow itself$",
        ),
    ],
)
def test_a_server_that_leads_elsewhere_is_refused_naming_the_place(to: str, advice: str) -> None:
    """What is logged comes by POST, of which a redirect makes a GET; here every GET would find its MLflow."""
    with web_server(mlflow_of(OURS)) as other:
        (where := dict(mlflow_of(OURS)))["/version"] = (301, to.format(path="/version"))
        with web_server(where) as uri, pytest.raises(InputError, match=advice) as caught:
            check_store(uri)
        assert "s3cret" not in str(caught.value)
        with (
            web_server({ELSE: (301, f"{other}/version")}) as uri,
            pytest.raises(InputError, match=f"answers 301 .*Give {other}$"),
        ):
            check_store(uri)


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "jo", database "x", no encryption',
        'FATAL:  pg_hba.conf rejects connection for host "10.0.0.7", user "jo", database "x"',
        'FATAL:  role "jo" is not permitted to log in',
    ],
)
def test_words_by_which_postgresql_turns_us_away_for_good(text: str) -> None:
    error = OperationalError("", {}, Exception(f'connection to server at "db" failed: {text}'))
    assert checking.REFUSED.search(first_line(error))
    assert isinstance(stopped_by(error, "told"), BeyondWaitingError)
    assert not isinstance(stopped_by(Exception("Connection refused"), "told"), BeyondWaitingError)
