"""The configuration of MLflow's accounts, in a folder that nobody else may read."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from mlflow_server.access import USERNAME

AUTH_FILE = "basic_auth.ini"

# The password stands in no file: MLflow takes it from its environment. An account that the administrator
# makes for somebody else sees nothing until it is given a permission. Comparing a password costs a tenth of
# a second and pages send many requests, so that it holds is remembered for a minute by the one process.
_CONTENT = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{database}
admin_username = {username}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


def write_auth_file(folder: Path) -> Path:
    """Write the configuration whole, and an empty database where there is none; only this user reads them.

    Args:
        folder: Made if need be, for this user alone.

    Returns:
        The file for MLFLOW_AUTH_CONFIG_PATH.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    database = folder.absolute() / "accounts.db"
    os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))
    database.chmod(0o600)
    path = folder.absolute() / AUTH_FILE
    temporary = folder / f".{uuid.uuid4().hex}.ini"
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            escaped = str(database).replace("%", "%%")  # configparser interpolates
            file.write(_CONTENT.format(database=escaped, username=USERNAME))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
