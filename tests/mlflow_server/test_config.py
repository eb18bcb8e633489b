from pathlib import Path

import pytest

from mlflow_server.config import ServerConfig


@pytest.fixture
def config():
    return ServerConfig("sqlite:////home/a/mlflow.db", Path("/home/a/mlartifacts"), port=5000)


def option(command, name):
    return command[command.index(name) + 1]


def test_the_command_serves_store_and_artifacts_with_one_worker(config):
    command = config.command("/venv/bin/python")
    assert command[:5] == ["/venv/bin/python", "-P", "-m", "mlflow", "server"]
    assert option(command, "--backend-store-uri") == "sqlite:////home/a/mlflow.db"
    assert option(command, "--artifacts-destination") == "file:///home/a/mlartifacts"
    assert (option(command, "--host"), option(command, "--port")) == ("127.0.0.1", "5000")
    assert option(command, "--workers") == "1"


def test_only_requests_to_loopback_names_are_answered(config):
    hosts = option(config.command("python"), "--allowed-hosts").split(",")
    assert hosts == ["127.0.0.1", "127.0.0.1:*", "localhost", "localhost:*"]


def test_the_environment_is_inherited_without_telemetry_and_without_pythonpath(config):
    environment = config.environment({"HOME": "/home/a", "PYTHONPATH": "/home/a/scripts"})
    assert environment["HOME"] == "/home/a"
    assert "PYTHONPATH" not in environment
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.5", "mlflow.example", ""])
def test_another_host_than_loopback_is_refused(host):
    with pytest.raises(ValueError, match=r"must listen on loopback \(127.0.0.1, localhost\), but got"):
        ServerConfig("sqlite:////home/a/mlflow.db", Path("/home/a"), host=host)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ValueError, match="0 <= port <= 65535 must hold, but got"):
        ServerConfig("sqlite:////home/a/mlflow.db", Path("/home/a"), port=port)
