import socket
import threading
import time
import uuid

import pytest

from mlflow_server.launch import ServerError
from mlflow_server.watch import Manager, Watch


class Server:
    """A server whose answers the test decides upon."""

    def __init__(self):
        self.well, self.ended = True, False
        self.asked = threading.Semaphore(0)

    def answers(self, timeout):
        self.asked.release()
        return self.well

    def check(self):
        if self.ended:
            raise ServerError("the MLflow server ended")


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    """The socket on which systemd listens, and the name that it gives to services."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(20)
        unique = f"radsearch-{uuid.uuid4().hex}"
        name = str(tmp_path / "notify") if request.param == "path" else f"@{unique}"
        listener.bind(name if request.param == "path" else f"\0{unique}")
        yield listener, {"NOTIFY_SOCKET": name}


def test_systemd_hears_what_it_is_told(systemd):
    listener, environment = systemd
    Manager(environment).tell("READY=1")
    assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_without_a_listener_nothing_happens(environment):
    Manager(environment).tell("READY=1")


def test_each_answer_of_the_server_keeps_the_watchdog_quiet_and_silence_does_not(systemd):
    listener, environment = systemd
    server = Server()
    with Watch(server, Manager(environment), period=0.01).watching() as watch:
        assert [listener.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        watch.check()
        server.well = False
        for _ in range(3):
            assert server.asked.acquire(timeout=20)
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            [listener.recv(100) for _ in range(10_000)]


def test_a_server_that_is_silent_for_too_long_is_given_up():
    server = Server()
    server.well, began = False, time.monotonic()
    with Watch(server, Manager({}), period=0.01, patience=0.05).watching() as watch:
        for _ in range(3):
            assert server.asked.acquire(timeout=20)
        while time.monotonic() < began + 0.1:
            time.sleep(0.01)
        with pytest.raises(ServerError, match=r"did not answer for \d+ s"):
            watch.check()


def test_a_server_that_ended_is_told_at_once():
    server = Server()
    server.ended = True
    with (
        Watch(server, Manager({})).watching() as watch,
        pytest.raises(ServerError, match="the MLflow server ended"),
    ):
        watch.check()
