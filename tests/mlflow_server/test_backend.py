import pytest
import sqlalchemy

from mlflow_server.backend import Backend, BackendError, read_backend, split_password, with_patience

SECRET = "s3cret-of-anna"  # noqa: S105 - nobody's


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        (f"postgresql://anna:{SECRET}@db.lab:5433/mlflow", "postgresql://anna@db.lab:5433/mlflow"),
        (f"postgresql+psycopg://anna:{SECRET}@[::1]/mlflow", "postgresql+psycopg://anna@[::1]/mlflow"),
        (f"postgresql://anna@db.lab/mlflow?password={SECRET}", "postgresql://anna@db.lab/mlflow"),
        (
            f"postgresql://anna@db.lab/mlflow?sslmode=require&password={SECRET}",
            "postgresql://anna@db.lab/mlflow?sslmode=require",
        ),
    ],
)
def test_a_password_is_kept_apart_from_the_address(text, uri):
    backend = read_backend(text)
    assert (backend.uri, backend.password, backend.file) == (uri, SECRET, None)
    assert SECRET not in f"{backend} {backend!r}"
    assert read_backend(backend.whole_uri) == backend


def test_an_encoded_password_comes_out_as_it_was_meant():
    backend = read_backend("postgresql://anna:p%40ss%2Fw%25rd@db/mlflow")
    assert [backend.password, split_password(sqlalchemy.make_url(backend.whole_uri))[1]] == ["p@ss/w%rd"] * 2


def test_a_password_on_a_command_line_is_refused_with_the_ways_to_give_it():
    for text in (f"postgresql://anna:{SECRET}@db/mlflow", f"postgresql://anna@db/mlflow?password={SECRET}"):
        with pytest.raises(BackendError, match=r"seen by every user.*RADSEARCH_SERVER_BACKEND") as refused:
            read_backend(text, visible=True)
        assert SECRET not in str(refused.value)
    assert read_backend("postgresql://anna@db/mlflow", visible=True).password == ""


def test_a_file_is_an_absolute_path():
    assert str(read_backend("sqlite:////srv/my data/mlflow.db").file) == "/srv/my data/mlflow.db"
    for text in ("sqlite://", "sqlite:///mlflow.db", "sqlite:///:memory:", "sqlite:////srv/a.db?mode=ro"):
        with pytest.raises(BackendError, match=r"must be absolute and without options: sqlite:////ABSOLUTE"):
            read_backend(text)


@pytest.mark.parametrize(
    "text",
    [
        f"mysql://anna:{SECRET}@db/mlflow",
        f"postgres://anna:{SECRET}@db/mlflow",
        f"postgresql+psycopg2://anna:{SECRET}@db/mlflow",
        f"postgresql://anna:{SECRET}@db",
        f"postgresql://anna:{SECRET}@db:port/mlflow",
        f"postgresql://anna:{SECRET}/@@db/mlflow",
        f"anna:{SECRET}@db/mlflow",
        "http://mlflow.lab:5000",
        "/srv/mlflow.db",
        "",
    ],
)
def test_any_other_address_is_refused_without_its_password(text):
    with pytest.raises(
        BackendError, match=r"postgresql://USER@HOST/DATABASE or sqlite:////ABSOLUTE/FILE"
    ) as no:
        read_backend(text)
    assert SECRET not in str(no.value)


@pytest.mark.parametrize(
    ("uri", "here"),
    [
        ("postgresql://anna@localhost/mlflow", True),
        ("postgresql://anna@127.0.0.2/mlflow", True),
        ("postgresql://anna@[::1]/mlflow", True),
        ("postgresql:///mlflow", True),
        ("postgresql://anna@db.lab/mlflow", False),
        ("postgresql://anna@10.0.0.7/mlflow", False),
    ],
)
def test_whether_a_database_is_on_this_machine_shows_in_its_address(uri, here):
    assert Backend(uri).is_here == here


def test_a_silent_database_is_noticed_unless_the_address_says_otherwise():
    query = sqlalchemy.make_url(with_patience("postgresql://anna@db/mlflow?connect_timeout=3")).query
    assert query["connect_timeout"] == "3"
    assert int(query["tcp_user_timeout"]) == 30_000
