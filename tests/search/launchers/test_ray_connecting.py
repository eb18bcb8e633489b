from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.errors import StudyStoppedError
from search.launchers import ray_connecting
from search.launchers.ray_connecting import Head, connected, knock, refusal
from tests import ray_head
from tests.search.launchers.conftest import MakeRequest

JOIN = """
import sys, types
import ray
from pathlib import Path
from search.launchers.ray_connecting import connected
from data_prep.problems import InputError
try:
    with connected(ray, types.SimpleNamespace(address=sys.argv[1], folder=Path("/"))):
        print("joined")
except InputError as error:
    print(error)
"""


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nobody_answers_is_told_at_once(deaf: str, scheme: str) -> None:
    law = f"--address: the Ray cluster at {scheme}{deaf} must answer, but: Connection refused. What is "
    with pytest.raises(StudyStoppedError, match=law):
        knock(f"{scheme}{deaf}")


def test_a_host_that_there_is_not_is_told() -> None:
    with pytest.raises(StudyStoppedError, match=r"cluster at nowhere\.invalid:6379 must answer, but: "):
        knock("nowhere.invalid:6379")


def test_a_cluster_that_answers_is_joined_and_left(
    ray_head: ray_head.Head, make_request: MakeRequest
) -> None:
    knock(ray_head.address)
    ray, handler = import_module("ray"), signal.getsignal(signal.SIGTERM)
    with connected(ray, make_request(address=ray_head.address)):
        assert [node["Resources"]["GPU"] for node in ray.nodes()] == [2.0]
        assert signal.getsignal(signal.SIGTERM) == handler
    assert not ray.is_initialized()


def test_what_lies_where_the_user_is_does_not_come_before_what_is_installed(
    ray_head: ray_head.Head, make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "search.py").write_text("raise SystemExit('a module of the user')")
    monkeypatch.chdir(tmp_path)
    ray = import_module("ray")
    with connected(ray, make_request(address=ray_head.address)):
        there = ray.get(ray.remote(lambda: sys.path).remote())
    assert str(tmp_path) not in there
    assert Path.cwd() == tmp_path


def test_a_cluster_of_another_version_is_refused_naming_both(
    ray_head: ray_head.Head, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = import_module("ray")
    theirs = ray.__version__
    monkeypatch.setattr(ray, "__version__", "2.51.7")
    law = rf"the cluster at {ray_head.address} must run Ray 2\.51\.7 and Python 3\.\S+, as this machine does"
    request = make_request(address=ray_head.address)
    with (
        pytest.raises(InputError, match=rf"{law}, but runs Ray {theirs} and Python"),
        connected(ray, request),
    ):
        pass


def test_a_token_that_is_wrong_is_an_input_error_without_a_word_of_rays_own(ray_head: ray_head.Head) -> None:
    environment = {**os.environ, **ray_head.environment, "RAY_AUTH_TOKEN": "0" * 64}
    environment["RAY_gcs_server_port_wait_time_s"] = "1"
    command = [sys.executable, "-c", JOIN, ray_head.address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith(
        f"--address: the cluster at {ray_head.address} must be told its token. Set "
    )
    assert not done.stderr


def raised(text: str) -> ConnectionError:
    """What Ray raises as it cannot connect."""
    error = ConnectionError("Failed to connect to Ray cluster at head:6379")
    error.__cause__ = RuntimeError(text)
    return error


def test_a_machine_outside_of_the_cluster_is_told_the_ways_in() -> None:
    told = refusal("head:6379", raised("No node info found matching attributes: '' when trying to resolve"))
    assert isinstance(told, InputError)
    assert "this machine must be a node of the cluster at head:6379, but is none" in str(told)
    assert "ray://HOST:10001" in str(told)


@pytest.mark.parametrize(
    "text",
    ["no such thing.\nAnd more", "Last error: Traceback (most recent call last):\n  File\nno such thing\n"],
)
def test_anything_else_is_told_in_one_line(text: str) -> None:
    told = refusal("head:6379", raised(text))
    assert isinstance(told, StudyStoppedError)
    assert str(told).startswith(
        "--address: the Ray cluster at head:6379 must answer, but: no such thing. What "
    )


def test_a_head_that_is_gone_is_told_before_ray_ends_the_process(
    deaf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((1000.0, 1005.0, 1039.0, 1041.0))
    monkeypatch.setattr(ray_connecting.time, "monotonic", lambda: next(clock))
    head = Head(deaf)
    assert not head.answers()
    assert not head.answers()
    with pytest.raises(StudyStoppedError, match=f"cluster at {deaf} must answer, but: Connection refused"):
        head.answers()


def test_a_head_that_answers_again_is_waited_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((1000.0, 1100.0, 1130.0))
    monkeypatch.setattr(ray_connecting.time, "monotonic", lambda: next(clock))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        head = Head(f"127.0.0.1:{listening.getsockname()[1]}")
        assert head.answers()
    assert not head.answers()
