"""MLflow's web application behind our gate: what `mlflow server --app-name radsearch` runs.

The entry points of the group `mlflow.app` in setup.cfg name the two functions; MLflow calls one in its server
process, which `mlflow_server.config` has given its environment.

References:
    MLflow documentation, "Plugins": an entry point of group `mlflow.app` replaces the application.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

from mlflow_server.access import PASSWORD, USERNAME
from mlflow_server.gate import Gate

HOSTS = "RADSEARCH_UI_HOSTS"


class UserStore(Protocol):
    """What is needed of MLflow's store of accounts."""

    def authenticate_user(self, username: str, password: str) -> bool:
        """Whether this is the password of that user."""

    def update_user(self, username: str, password: str) -> Any:
        """Give a user another password."""


def create_app() -> Gate:
    """MLflow's server without accounts."""
    from mlflow.server.fastapi_app import app  # noqa: TID251 - this is MLflow's own process

    return Gate(app, _hosts())


def create_auth_app() -> Gate:
    """MLflow's server with its accounts, MLflow's own application `basic-auth`."""
    from mlflow.server import auth  # noqa: TID251 - the same

    app = auth.create_app()
    set_password(auth.store, os.environ[PASSWORD])
    return Gate(app, _hosts())


def set_password(store: UserStore, password: str) -> None:
    """Make the password of this start the administrator's; MLflow would keep that of its first start."""
    if not store.authenticate_user(USERNAME, password):
        store.update_user(USERNAME, password=password)


def _hosts() -> list[str]:
    return os.environ[HOSTS].split(",")
