"""The configuration of MLflow's accounts, in a folder that nobody else may read."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

from mlflow_server.access import USERNAME

AUTH_FILE, DATABASE = "basic_auth.ini", "accounts.db"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

# The password stands in no file: MLflow takes it from its environment. An account that the administrator
# makes for somebody else sees nothing until it is given a permission. Comparing a password costs a tenth of
# a second and pages send many requests, so that it holds is remembered for a minute by the one process.
_CONTENT = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = {database}
admin_username = {username}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


def write_auth_file(folder: Path, database_uri: str | None = None) -> Path:
    """Write the configuration whole, and an empty database where there is none; only this user reads them.

    Args:
        folder: Made if need be, for this user alone.
        database_uri: Where the accounts are kept, without a password; None for a file in the folder.

    Returns:
        The file for MLFLOW_AUTH_CONFIG_PATH.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder.absolute() / AUTH_FILE
    temporary = folder / f".{uuid.uuid4().hex}.ini"
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            database = (database_uri or _provide_file(folder)).replace("%", "%%")  # configparser interpolates
            file.write(_CONTENT.format(database=database, username=USERNAME))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _provide_file(folder: Path) -> str:
    database = folder.absolute() / DATABASE
    os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))
    database.chmod(0o600)
    return f"sqlite:///{database}"


def tampering(folder: Path) -> list[str]:
    """What of the accounts others could have written, a line each; closing it now would be too late."""
    return [
        f"{path}: only its owner may be able to write it, as it says who gets in, but its permissions are"
        f" {stat.filemode(path.stat().st_mode)}; see who has an account, then chmod go-w {path}"
        for path in (folder, folder / DATABASE)
        if path.exists() and path.stat().st_mode & _WRITABLE_BY_OTHERS
    ]
