import stat

import pytest
from mlflow.server.auth.config import read_auth_config

from mlflow_server.auth_file import tampering, write_auth_file


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "my home, 100%" / "accounts"


def test_mlflow_reads_what_was_written(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(write_auth_file(folder)))
    config = read_auth_config()
    assert config.default_permission == "NO_PERMISSIONS"
    assert config.database_uri == f"sqlite:///{folder / 'accounts.db'}"
    assert (config.admin_username, config.admin_password) == ("admin", None)
    assert config.authorization_function == "mlflow.server.auth:authenticate_request_basic_auth"


def test_nobody_else_may_read_the_folder_its_file_or_its_database(folder):
    path = write_auth_file(folder)
    assert [mode(entry) for entry in (folder, path, folder / "accounts.db")] == [0o700, 0o600, 0o600]


def test_writing_again_keeps_the_accounts_and_closes_what_was_open(folder):
    path = write_auth_file(folder)
    (folder / "accounts.db").write_bytes(b"accounts")
    for entry in (folder, path, folder / "accounts.db"):
        entry.chmod(0o777)
    assert write_auth_file(folder) == path
    assert (folder / "accounts.db").read_bytes() == b"accounts"
    assert [mode(entry) for entry in (folder, path, folder / "accounts.db")] == [0o700, 0o600, 0o600]
    assert sorted(entry.name for entry in folder.iterdir()) == ["accounts.db", "basic_auth.ini"]


def test_accounts_may_lie_elsewhere_and_then_no_file_is_made(folder, monkeypatch):
    uri = "postgresql://mlflow@db.lab/mlflow?host=%2Frun"
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(write_auth_file(folder, uri)))
    assert read_auth_config().database_uri == uri
    assert [entry.name for entry in folder.iterdir()] == ["basic_auth.ini"]


def test_what_others_could_have_written_is_told(folder):
    assert tampering(folder) == []
    write_auth_file(folder)
    assert tampering(folder) == []
    for path, permissions in ((folder, 0o770), (folder / "accounts.db", 0o602)):
        before = mode(path)
        path.chmod(permissions)
        (line,) = tampering(folder)
        assert line.startswith(f"{path}: only its owner may be able to write it")
        assert f"chmod go-w {path}" in line
        path.chmod(before)
