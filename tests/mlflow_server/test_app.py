from importlib.metadata import entry_points

import pytest
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

from mlflow_server import app
from mlflow_server.app import set_password


@pytest.mark.parametrize(
    ("name", "function"), [("radsearch", "create_app"), ("radsearch-auth", "create_auth_app")]
)
def test_mlflow_finds_both_applications_by_name(name, function):
    found = {entry.load() for entry in entry_points(group="mlflow.app", name=name)}
    assert found == {getattr(app, function)}


@pytest.fixture
def store(tmp_path):
    store = SqlAlchemyStore()
    store.init_db(f"sqlite:///{tmp_path}/accounts.db")
    store.create_user("admin", "the first password", is_admin=True)
    return store


def test_the_password_of_this_start_replaces_the_earlier_one(store):
    set_password(store, "the second password")
    assert store.authenticate_user("admin", "the second password")
    assert not store.authenticate_user("admin", "the first password")
    assert store.get_user("admin").is_admin


def test_a_password_that_holds_is_left_alone(store, monkeypatch):
    monkeypatch.setattr(store, "update_user", lambda *_: pytest.fail("it was changed"))
    set_password(store, "the first password")
    assert store.authenticate_user("admin", "the first password")
