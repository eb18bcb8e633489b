import logging
import re
import sqlite3

import pytest
import sqlalchemy
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base

from mlflow_server import tables
from mlflow_server.backend import read_backend
from mlflow_server.tables import AWAY, REFUSED, TablesError, provide_tables


@pytest.fixture
def backend(database, monkeypatch):
    """An empty database of PostgreSQL, its password where libpq looks for it."""
    backend = read_backend(database)
    monkeypatch.setenv("PGPASSWORD", backend.password)
    for name in ("handlers", "propagate", "level"):  # what making tables changes in its own process
        monkeypatch.setattr(logging.getLogger("alembic"), name, getattr(logging.getLogger("alembic"), name))
    return backend


@pytest.fixture
def run(backend):
    """Runs statements in that database; gives the rows of the last."""
    engine = sqlalchemy.create_engine(backend.whole_uri, poolclass=sqlalchemy.NullPool)

    def run(*statements):
        with engine.begin() as connection:
            results = [connection.execute(sqlalchemy.text(statement)) for statement in statements]
            return results[-1].all() if results[-1].returns_rows else None

    yield run
    engine.dispose()


def refusal(uri):
    with pytest.raises(TablesError, match=r"^\S+ \S+") as refused:
        provide_tables(uri)
    assert "\n" not in str(refused.value)
    return refused.value.code, str(refused.value)


def test_tables_that_a_killed_start_left_are_completed_and_then_left_alone(backend, run, capsys):
    engine = sqlalchemy.create_engine(backend.whole_uri, poolclass=sqlalchemy.NullPool)
    Base.metadata.create_all(engine)
    engine.dispose()
    assert provide_tables(backend.uri) == []
    ((revision,),) = run("SELECT version_num FROM alembic_version")
    assert revision == utils._get_latest_schema_revision()
    said = capsys.readouterr().err
    assert re.search(r"^a new database: MLflow makes its tables, step 1 of \d+$", said, re.MULTILINE)
    assert said.splitlines()[-1].startswith("MLflow's tables are made (")

    run("INSERT INTO experiments (name, artifact_location) VALUES ('a', 'mlflow-artifacts:/1')")
    assert provide_tables(backend.uri) == []
    run("INSERT INTO experiments (name, artifact_location) VALUES ('b', 'file:///home/anna/mlartifacts')")
    (note,) = provide_tables(backend.uri)
    assert note.startswith("1 experiments of this database keep their artifacts at places of their own")
    assert "file:///home/anna/mlartifacts" in note
    assert capsys.readouterr().err == ""


def test_tables_of_another_version_are_refused_with_both_revisions(backend, run):
    run(
        "CREATE TABLE alembic_version (version_num varchar(32))",
        "INSERT INTO alembic_version VALUES ('cafe')",
        "CREATE TABLE experiments (i int)",
    )
    code, line = refusal(backend.uri)
    assert code == REFUSED
    assert f"(revision {utils._get_latest_schema_revision()}) are needed" in line
    assert "another version (revision cafe)" in line
    assert "`mlflow db upgrade URI`" in line


@pytest.mark.parametrize(
    ("table", "whose"), [("studies", "this one holds Optuna's"), ("patients", "holds others: patients")]
)
def test_a_database_with_the_tables_of_another_program_is_refused_and_left_as_it_was(
    backend, run, table, whose
):
    run(f"CREATE TABLE {table} (i int)")
    code, line = refusal(backend.uri)
    assert (code, whose in line) == (REFUSED, True)
    assert run("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'") == [(table,)]


def test_a_wrong_password_is_refused_and_not_printed(backend, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "an-entirely-wrong-one")
    code, line = refusal(backend.uri)
    assert code == REFUSED
    assert "password authentication failed" in line
    assert "an-entirely-wrong-one" not in line


def test_a_user_who_may_not_make_tables_is_refused(backend, run, monkeypatch):
    run("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN PASSWORD 'guest-password'")
    monkeypatch.setenv("PGPASSWORD", "guest-password")
    code, line = refusal(backend.uri.replace("radsearch@", "guest@"))
    assert (code, "permission denied for schema public" in line) == (REFUSED, True)


def test_an_unknown_database_is_refused_and_a_silent_one_is_away(backend):
    code, line = refusal(f"{backend.uri}_of_nobody")
    assert (code, "does not exist" in line) == (REFUSED, True)
    code, line = refusal("postgresql://anna@127.0.0.1:1/mlflow")
    assert (code, line.startswith("the database does not answer: ")) == (AWAY, True)


def test_a_file_that_is_no_database_is_refused_and_a_locked_one_is_away(tmp_path, monkeypatch):
    (tmp_path / "letter.db").write_text("Dear Anna, " * 100)
    assert refusal(f"sqlite:///{tmp_path}/letter.db")[0] == REFUSED
    with sqlite3.connect(tmp_path / "busy.db", isolation_level=None) as holder:
        holder.execute("CREATE TABLE a (i)")
        holder.execute("BEGIN EXCLUSIVE")
        assert refusal(f"sqlite:///{tmp_path}/busy.db?timeout=0.1")[0] == AWAY
    holder.close()


def test_the_program_prints_one_line_and_ends_with_its_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql://anna@127.0.0.1:1/mlflow")
    assert tables.main() == AWAY
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("the database does not answer: ")
