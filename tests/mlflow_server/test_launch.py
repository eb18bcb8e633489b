import errno
import os
import socket
from http.client import HTTPConnection

import pytest

from mlflow_server.config import ServerConfig
from mlflow_server.launch import DatabaseRefusedError, ServerError, free_port, provide_tables, start


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(folder):
    server = start(
        ServerConfig(f"sqlite:///{folder}/mlflow.db", folder / "mlartifacts"), folder / "mlflow.log"
    )
    yield server
    server.stop()


def status(server, path, host="localhost"):
    connection = HTTPConnection(server.config.access.host, server.config.port, timeout=30)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse().status
    connection.close()
    return answer


def test_a_started_server_answers_on_a_port_it_found_itself(server):
    assert server.url == f"http://127.0.0.1:{server.config.port}"
    assert server.config.port > 0
    assert (status(server, "/health"), status(server, "/")) == (200, 200)


def test_a_foreign_host_name_is_refused(server):
    assert status(server, "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0") == 200
    assert status(server, "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0", "mlflow.example") == 403


def test_a_taken_port_is_replaced_and_a_free_one_kept(server):
    assert free_port(server.config.port) != server.config.port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert free_port(port) not in (0, port)
    assert free_port(port) == port


def test_an_address_of_another_machine_is_told():
    with pytest.raises(ServerError, match=r"192\.0\.2\.1 is no address of this machine"):
        free_port(host="192.0.2.1")


def test_whether_it_answers_is_asked_of_it(server):
    assert server.answers(30)


def test_a_stopped_server_is_gone_and_stopping_again_is_harmless(server, is_gone):
    server.check()
    server.stop()
    with pytest.raises(ServerError, match="the MLflow server ended"):
        server.check()
    with pytest.raises(ConnectionRefusedError, match="refused"):
        status(server, "/health")
    assert is_gone(server._guard.pid)
    assert not server.answers(30)
    server.stop()


def test_a_port_for_the_administrator_is_not_told_to_be_taken(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(
        ServerError, match=r"port 443 of 127\.0\.0\.1 takes the right to use ports below 1024"
    ):
        free_port(443)


@pytest.mark.parametrize(
    ("uri", "kind", "said"),
    [
        ("postgresql://anna:s3cret@127.0.0.1:1/mlflow", ServerError, "^the database does not answer: "),
        ("sqlite:////nowhere/mlflow.db", DatabaseRefusedError, "unable to open database file$"),
    ],
)
def test_a_database_that_will_not_do_is_told_in_a_line(tmp_path, uri, kind, said):
    with pytest.raises(ServerError, match=said) as refused:
        provide_tables(ServerConfig(uri, tmp_path))
    assert type(refused.value) is kind
    assert "s3cret" not in str(refused.value)


def test_without_a_log_a_server_speaks_on_standard_error(tmp_path, monkeypatch, capfd):
    says = "import os; raise SystemExit('here is ' + os.getcwd())"
    monkeypatch.setattr(ServerConfig, "command", lambda self, python: [python, "-c", says])
    with pytest.raises(ServerError, match=r"^the MLflow server ended; what it said is above$"):
        start(ServerConfig("sqlite:////a.db", tmp_path / "mlartifacts"), None)
    assert capfd.readouterr().err.splitlines()[-1] == "here is /"


def test_what_ends_the_wait_ends_the_server(tmp_path, monkeypatch):
    note = tmp_path / "id"
    script = "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()}.'); time.sleep(60)"
    monkeypatch.setattr(ServerConfig, "command", lambda self, python: [python, "-c", script, str(note)])

    def interrupt(*_):
        if note.exists() and note.read_text().endswith("."):
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr("mlflow_server.launch._answers", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start(ServerConfig("sqlite:////a.db", tmp_path / "mlartifacts"), tmp_path / "log")
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()[:-1]), 0)


def test_a_server_that_ends_at_once_says_why(tmp_path):
    log = tmp_path / "mlflow.log"
    log.write_text("an older line\n")
    with pytest.raises(
        ServerError, match=r"the MLflow server ended: .*MlflowException: .*filesystem"
    ) as failure:
        start(ServerConfig("no_such_store://a", tmp_path / "mlartifacts"), log)
    assert str(log) in str(failure.value)


def test_what_a_server_said_is_quoted_without_the_password(tmp_path, monkeypatch):
    says = "import os; raise SystemExit('no access with ' + os.environ['PGPASSWORD'])"
    monkeypatch.setattr(ServerConfig, "command", lambda self, python: [python, "-c", says])
    config = ServerConfig("postgresql://anna:secret%21@db/a", tmp_path / "mlartifacts")
    with pytest.raises(ServerError, match=r"ended: no access with \*\*\* \(see"):
        start(config, tmp_path / "mlflow.log")


def test_an_installation_without_our_application_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("mlflow_server.launch.entry_points", lambda **_: ())
    with pytest.raises(ServerError, match="bring it up to date with make install"):
        start(ServerConfig("sqlite:////a.db", tmp_path / "a"), tmp_path / "mlflow.log")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_told_before_anything_is_started(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = ServerConfig("sqlite:////a.db", tmp_path / "a", port=listener.getsockname()[1])
        with pytest.raises(ServerError, match=r"port \d+ of 127.0.0.1 is taken by another program"):
            start(config, tmp_path / "mlflow.log")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_never_answers_is_given_up_and_gone(tmp_path):
    config = ServerConfig(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlartifacts", port=free_port())
    with pytest.raises(ServerError, match="did not answer within 0 s: it printed nothing"):
        start(config, tmp_path / "mlflow.log", timeout=0.0)
    assert free_port(config.port) == config.port
