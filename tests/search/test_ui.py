from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from pathlib import Path

import optuna
import pytest

from mlflow_server.access import Access, Credentials
from mlflow_server.launch import ServerError, free_port
from search import ui
from search.home import Home
from search.publishing import trial_key
from search.run_ids import EXPERIMENT, RunIds
from search.ui import DashboardServer, recorded_runs, serve


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def broken(environ, start_response):
    raise RuntimeError("no such study")


def get(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Accept-Encoding": ""})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def closed(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def log(tmp_path):
    with (tmp_path / "dashboard.log").open("a", buffering=1) as stream:
        yield stream


@pytest.fixture
def running(log):
    """Starts a dashboard server on any free port."""
    servers = []

    def start(app, port=0):
        servers.append(DashboardServer(app, port, log))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def home(tmp_path):
    """The arguments of `serve` for an empty home, with a tracking server that runs elsewhere."""
    return {
        "storage": optuna.storages.InMemoryStorage(),
        "artifact_folder": tmp_path / "artifacts",
        "mlflow_uri": "http://anna:secret@mlflow.lab:5000",
        "mlflow_artifacts": tmp_path / "mlartifacts",
        "log_folder": tmp_path / "logs",
        "dashboard_port": free_port(0),
        "find_run": lambda study, key: None,
    }


def test_a_taken_port_is_replaced_by_a_free_one(running):
    first = running(hello)
    second = running(hello, first.server_port)
    assert first.server_port != second.server_port
    assert get(first.server_port) == get(second.server_port) == (200, b"hello")


def test_requests_and_errors_go_to_the_log_and_not_to_the_terminal(running, log, capfd):
    assert get(running(hello).server_port, "/some/page")[0] == 200
    assert get(running(broken).server_port)[0] == 500
    text = Path(log.name).read_text()
    assert '"GET /some/page HTTP/1.1" 200' in text
    assert "RuntimeError: no such study" in text
    assert capfd.readouterr() == ("", "")


def test_the_server_listens_on_loopback_only(running):
    assert running(hello).server_address[0] == "127.0.0.1"


def test_the_server_listens_on_loopback_of_ipv6_where_told(log):
    try:
        server = DashboardServer(hello, 0, log, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    server.start()
    with socket.create_connection(("::1", server.server_port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"hello" in connection.makefile("rb").read()
    server.stop()


def test_a_slow_request_does_not_hold_up_another(running):
    released = threading.Event()

    def slow(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            released.wait(20)
        return hello(environ, start_response)

    port = running(slow).server_port
    waiting = threading.Thread(target=get, args=(port, "/slow"))
    waiting.start()
    assert get(port)[0] == 200
    released.set()
    waiting.join()


def test_a_recorded_run_is_found_under_its_own_tracking_uri_only(tmp_path):
    home, uri = Home.at(tmp_path), "sqlite:////a/mlflow.db"
    with RunIds(home.study("demo").spool, uri, "demo").locked() as note:
        note(EXPERIMENT, "1")
        note(trial_key(3), "3f2a")
    assert recorded_runs(home, uri)("demo", 3) == ("1", "3f2a")
    assert recorded_runs(home, uri)("demo", 4) is None
    assert recorded_runs(home, "http://elsewhere")("demo", 3) is None


def test_a_remote_tracking_server_is_named_without_its_password_and_none_is_started(home, monkeypatch):
    monkeypatch.setattr(ui, "start", lambda *_: pytest.fail("a server was started"))
    stop, lines = threading.Event(), []
    stop.set()
    serve(**home, announce=lines.append, stop=stop)
    assert lines == [
        f"optuna-dashboard: http://127.0.0.1:{home['dashboard_port']}/dashboard (read-only)",
        "MLflow UI: http://mlflow.lab:5000/#/experiments?workflowType=machine_learning",
        "Ctrl-C stops the dashboard.",
    ]


def test_with_a_password_the_account_and_the_lack_of_encryption_are_told(home):
    stop, lines = threading.Event(), []
    stop.set()
    access = Access("0.0.0.0", ("lab.example",), Credentials("correct horse", "0123456789abcdef"))  # noqa: S104
    serve(**home, access=access, announce=lines.append, stop=stop)
    assert lines[0] == f"optuna-dashboard: http://lab.example:{home['dashboard_port']}/dashboard (read-only)"
    assert lines[2] == "Log in as admin with the password of MLFLOW_AUTH_ADMIN_PASSWORD."
    assert lines[3].startswith("There is no encryption: ")
    assert not any("correct horse" in line for line in lines)


def test_when_mlflow_ends_the_dashboard_ends_too_and_says_why(home, monkeypatch):
    class Server:
        url = "http://127.0.0.1:5000"
        stopped = False

        def check(self):
            raise ServerError("the MLflow server ended")

        def stop(self):
            self.stopped = True

    server = Server()
    monkeypatch.setattr(ui, "start", lambda *_: server)
    with pytest.raises(ServerError, match="the MLflow server ended"):
        serve(**home | {"mlflow_uri": "sqlite:////a.db"}, announce=lambda _: None)
    assert server.stopped
    assert closed(home["dashboard_port"])


def test_ctrl_c_stops_the_dashboard_and_is_passed_on(home):
    def interrupt(line):
        if line.startswith("Ctrl-C"):
            assert get(home["dashboard_port"], "/api/studies")[0] == 200
            signal.raise_signal(signal.SIGINT)

    # A shell starts what it puts in the background with SIGINT ignored, and this process may be such a one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            serve(**home, announce=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert closed(home["dashboard_port"])


def test_both_servers_answer_once_announced_and_free_their_ports(home, tmp_path):
    home |= {"mlflow_uri": f"sqlite:///{tmp_path / 'mlflow.db'}", "mlflow_port": free_port(0)}
    ports, stop, lines = (home["dashboard_port"], home["mlflow_port"]), threading.Event(), []
    served = threading.Thread(target=serve, kwargs={**home, "announce": lines.append, "stop": stop})
    served.start()
    deadline = time.monotonic() + 90
    while len(lines) < 3 and served.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    answers = [get(port)[0] for port in ports]
    stop.set()
    served.join(30)
    assert lines[1].startswith(f"MLflow UI: http://127.0.0.1:{ports[1]}/")
    assert answers == [302, 200]
    assert [closed(port) for port in ports] == [True, True]
