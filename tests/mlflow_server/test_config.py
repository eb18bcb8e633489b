from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.server.security_utils import is_allowed_host_header, should_block_cors_request

from mlflow_server.access import PASSWORD, SECRET_KEY, read_access
from mlflow_server.config import ServerConfig

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound here
URI = "postgresql://anna:p%40ss-of-anna@db/mlflow"
SECRETS = {PASSWORD: "correct horse battery", SECRET_KEY: "0123456789abcdef"}


@pytest.fixture
def config():
    return ServerConfig("sqlite:////home/a/mlflow.db", Path("/home/a/mlartifacts"), port=5000)


@pytest.fixture
def open_config():
    access = read_access(EVERYWHERE, "lab.example,2001:db8::2", SECRETS)
    return ServerConfig(URI, Path("/home/a/mlartifacts"), access, 5000, Path("/home/a/accounts"))


def option(command, name):
    return command[command.index(name) + 1]


def test_the_command_serves_our_application_and_artifacts_with_one_worker(config):
    command = config.command("/venv/bin/python")
    assert command[:5] == ["/venv/bin/python", "-P", "-m", "mlflow", "server"]
    assert option(command, "--app-name") == "radsearch"
    assert option(command, "--artifacts-destination") == "file:///home/a/mlartifacts"
    assert (option(command, "--host"), option(command, "--port")) == ("127.0.0.1", "5000")
    assert option(command, "--workers") == "1"
    assert "--cors-allowed-origins" not in command


def test_with_a_password_the_application_with_accounts_is_served(open_config):
    command = open_config.command("python")
    assert option(command, "--app-name") == "radsearch-auth"
    assert option(command, "--host") == EVERYWHERE
    assert open_config.environment({})["MLFLOW_AUTH_CONFIG_PATH"] == "/home/a/accounts/basic_auth.ini"


def test_mlflow_itself_answers_to_the_allowed_names_only(open_config):
    hosts = option(open_config.command("python"), "--allowed-hosts").split(",")
    for name in ("lab.example", "localhost", "127.0.0.1", "[::1]", "[2001:db8::2]"):
        assert is_allowed_host_header(hosts, name)
        assert is_allowed_host_header(hosts, f"{name}:5000")
    assert not any(
        is_allowed_host_header(hosts, name) for name in (EVERYWHERE, "evil.example", ":", "", "10.0.0.7")
    )


def test_mlflow_itself_takes_writes_from_pages_of_the_allowed_names_only(open_config):
    origins = option(open_config.command("python"), "--cors-allowed-origins").split(",")
    for origin in ("http://lab.example:5000", "https://lab.example", "https://lab.example:8443"):
        assert not should_block_cors_request(origin, "POST", origins)
    for origin in ("http://evil.example", "http://lab.example.evil:80", "null"):
        assert should_block_cors_request(origin, "POST", origins)


def test_no_secret_is_part_of_the_command_line_or_of_a_text(open_config):
    text = f"{open_config} {open_config!r} {open_config.command('python')} {open_config.url}"
    assert not any(secret in text for secret in (*SECRETS.values(), "p%40ss-of-anna"))
    assert set(open_config.secrets) == {*SECRETS.values(), "p%40ss-of-anna", "p@ss-of-anna"}
    environment = open_config.environment({})
    assert {name: environment[name] for name in SECRETS} == SECRETS


def test_postgresql_s_password_is_given_to_libpq_and_stands_in_no_address(open_config):
    environment = open_config.environment({"PGPASSWORD": "of another database"})
    assert environment["PGPASSWORD"] == "p@ss-of-anna"
    assert environment["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql://anna@db/mlflow?connect_timeout=")
    assert not [name for name, value in environment.items() if "p%40ss-of-anna" in value]
    given = ServerConfig("postgresql://anna@db/mlflow", Path("/home/a")).environment({"PGPASSWORD": "mine"})
    assert given["PGPASSWORD"] == "mine"


def test_accounts_lie_in_a_file_or_with_the_runs(open_config):
    assert open_config.accounts_uri is None
    shared = replace(open_config, shared=True).accounts_uri
    assert shared == open_config.environment({})["MLFLOW_BACKEND_STORE_URI"]


def test_other_databases_and_what_is_no_address_are_left_to_mlflow():
    for uri in ("mysql://anna:secret@db/mlflow", "postgresql://anna:secret@db:port/mlflow"):
        environment = ServerConfig(uri, Path("/home/a")).environment({})
        assert (environment["MLFLOW_BACKEND_STORE_URI"], "PGPASSWORD" in environment) == (uri, False)


def test_there_are_connections_for_all_that_mlflow_serves_at_once(config):
    environment = config.environment({"MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "7"})
    at_once = 40  # threads of anyio.to_thread
    assert int(environment["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"]) >= at_once
    assert environment["MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"] == "7"


def test_the_environment_is_inherited_without_what_would_open_or_move_the_server(config):
    inherited = {
        "HOME": "/home/a",
        "AWS_PROFILE": "lab",
        "MLFLOW_S3_ENDPOINT_URL": "https://s3.lab",
        "PYTHONPATH": "/home/a/scripts",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*",
        "MLFLOW_STATIC_PREFIX": "/mlflow",
        "MLFLOW_UVICORN_OPTS": "--host 0.0.0.0",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "true",
        "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true",
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "FORWARDED_ALLOW_IPS": "*",
        **SECRETS,
    }
    environment = config.environment(inherited)
    assert set(environment) == {
        "HOME",
        "AWS_PROFILE",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
        "PYTHONSAFEPATH",
        "MLFLOW_BACKEND_STORE_URI",
        "RADSEARCH_UI_HOSTS",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE",
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW",
        "PYTHONWARNINGS",
    }
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_password_without_a_place_for_the_accounts_is_refused():
    access = read_access("127.0.0.1", "", SECRETS)
    with pytest.raises(ValueError, match="accounts: a password needs a folder"):
        ServerConfig("sqlite:////home/a/mlflow.db", Path("/home/a"), access)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ValueError, match="0 <= port <= 65535 must hold, but got"):
        ServerConfig("sqlite:////home/a/mlflow.db", Path("/home/a"), port=port)
