import pytest

from data_prep.problems import InputError
from search.tracking_uri import check_uri, without_password


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////home/a/mlflow.db",
        "http://localhost:5000",
        "https://jo:secret@mlflow.example",
        "postgresql+psycopg2://db/mlflow",
    ],
)
def test_stores_that_can_be_written_by_several_processes_pass(uri):
    assert check_uri(uri) is None


@pytest.mark.parametrize(
    "uri", ["", "mlruns", "./mlruns", "file:///a/mlruns", "databricks", "htp://x", "http://"]
)
def test_another_scheme_is_refused_with_the_legal_ones(uri):
    with pytest.raises(InputError, match="one of http, https, sqlite, postgresql, mysql, but got"):
        check_uri(uri)


def test_an_sqlite_path_must_be_absolute():
    with pytest.raises(InputError, match=r"must be absolute .* but got 'sqlite:///mlflow.db'"):
        check_uri("sqlite:///mlflow.db")


def test_a_refusal_never_shows_the_password():
    with pytest.raises(InputError, match=r"jo:\*\*\*@db") as refusal:
        check_uri("oracle://jo:secret@db/mlflow")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "password", ["secret", "s@cret", "s/cret", "s@cr/t", "a/b@c/d@e", "?#s@c/", "p:q@r/s"]
)
def test_no_part_of_a_password_is_shown_even_where_it_should_have_been_encoded(password):
    said = without_password(
        f"cannot reach postgresql://jo:{password}@db:5432/x (as told) or https://db:5000/y"
    )
    assert said == "cannot reach postgresql://jo:***@db:5432/x (as told) or https://db:5000/y"
