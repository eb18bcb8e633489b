"""Workers as processes of this machine; stubs stand in for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data_prep.problems import InputError, Problems
from search.errors import StudyStoppedError
from search.launchers import local
from tests.search.launchers.conftest import STORAGE, MakeRequest, StubbedRequest


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the launcher looked for trials that have ended; stubs work on none."""
    looks: list[float] = []
    follower = SimpleNamespace(look=lambda: looks.append(time.monotonic()))
    monkeypatch.setattr(local, "follow", lambda *_: follower)
    return looks


def starts(log: Path) -> list[dict[str, Any]]:
    """What the stubs that wrote to a log tell of how they were started."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{")]


def once(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it has not happened in time"
        time.sleep(0.01)


def test_each_worker_has_a_log_and_the_secrets_in_its_environment(
    make_request: MakeRequest, looks: list[float]
) -> None:
    request = make_request(StubbedRequest)
    assert local.launch(request) == 0
    for number in (1, 2):
        (start,) = starts(request.logs / f"worker-{number}.log")
        assert start["argv"] == list(request.worker)
        assert start["environment"]["RADSEARCH_STORAGE"] == STORAGE
    assert len(looks) >= 2  # the last one when all have ended


def test_cores_are_shared_out(make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(2, 12)))
    monkeypatch.setattr("search.launchers.request.cores", lambda: 10)
    workers = local._workers(make_request(at_once=3, cpus=8))
    assert [worker.cores for worker in workers] == [{2, 3, 4}, {5, 6, 7}, {8, 9, 10}]
    assert [len(worker.cores) for worker in local._workers(make_request(at_once=20, cpus=8))] == [1] * 20
    assert [len(worker.cores) for worker in local._workers(make_request(at_once=2, cpus=1))] == [1, 1]


def test_each_worker_gets_one_gpu_and_more_than_there_are_are_refused(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "visible_gpus", lambda: ["GPU-a", "GPU-b", "GPU-c"])
    request = make_request(gpus=1, at_once=2)
    local.check(request, Problems())
    assert [line.split()[-1] for line in local.plan(request).splitlines()] == ["--gpus=GPU-a", "--gpus=GPU-b"]
    problems = Problems()
    local.check(make_request(gpus=1, at_once=4), problems)
    with pytest.raises(InputError, match="--gpus: this machine must have so many, but got 4 of 3"):
        problems.raise_any()


def test_what_a_dry_run_prints_is_the_command_of_each_worker_without_a_secret(
    make_request: MakeRequest,
) -> None:
    plan = local.plan(make_request())
    assert plan.count(f"{sys.executable} -P -m search.cli worker toy") == 2
    assert "sesame-open" not in plan


def test_a_worker_that_is_killed_is_started_again_a_few_times(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_SECONDS", "60")
    request = make_request(StubbedRequest, at_once=1)
    log = request.logs / "worker-1.log"

    def kill() -> None:
        for count in range(1, 1 + 1 + local.RESTARTS):
            once(lambda count=count: len(starts(log)) == count)  # type: ignore[misc]
            os.kill(starts(log)[-1]["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StudyStoppedError, match="1 of 1 workers could not go on"):
        local.launch(request)
    killer.join()
    told = capsys.readouterr().out
    assert told.count("worker 1 was ended by SIGKILL: started again") == local.RESTARTS
    assert "worker 1 ended with SIGKILL" in told


def test_a_worker_that_cannot_go_on_is_not_started_again_and_quoted(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_CODE", "3")
    request = make_request(StubbedRequest)
    with pytest.raises(StudyStoppedError, match="2 of 2 workers could not go on"):
        local.launch(request)
    assert 'worker 2 ended with exit code 3: {"argv"' in capsys.readouterr().out
    assert len(starts(request.logs / "worker-1.log")) == 1


def test_workers_that_were_refused_are_a_fault_of_the_input(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_CODE", "1")
    with pytest.raises(InputError, match="2 of 2 workers could not go on"):
        local.launch(make_request(StubbedRequest))


def test_where_the_waiting_fails_the_workers_leave_and_are_waited_for(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_SECONDS", "60")
    request = make_request(StubbedRequest)
    logs = [request.logs / f"worker-{number}.log" for number in (1, 2)]

    def look() -> None:
        once(lambda: all(starts(log) for log in logs))
        raise StudyStoppedError("the study is gone")

    monkeypatch.setattr(local, "follow", lambda *_: SimpleNamespace(look=look))
    with pytest.raises(StudyStoppedError, match="the study is gone"):
        local.launch(request)
    assert all("left after 1" in log.read_text() for log in logs)
    assert "The workers finish their folds" in capsys.readouterr().out


def test_where_a_worker_cannot_be_started_the_others_leave(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_SECONDS", "60")
    request = make_request(StubbedRequest)
    log = request.logs / "worker-1.log"
    start = local.Worker.start

    def start_one(worker: local.Worker) -> None:
        if worker.number == 2:
            once(lambda: bool(starts(log)))
            raise OSError("no more processes")
        start(worker)

    monkeypatch.setattr(local.Worker, "start", start_one)
    with pytest.raises(OSError, match="no more processes"):
        local.launch(request)
    assert "left after 1" in log.read_text()


LAUNCH = """
import sys
from pathlib import Path
from types import SimpleNamespace
from search.launchers import local
from tests.search.launchers.conftest import StubbedRequest
from search.launchers.request import Batch
batch = Batch("1", None, None, 2, 1)
folder = Path(sys.argv[1])
local.follow = lambda *_: SimpleNamespace(look=lambda: None)
environment = {"RADSEARCH_HOME": str(folder)}
sys.exit(local.launch(StubbedRequest("toy", 1, folder, ("worker",), environment, 2, 0, 1, 1, None, batch)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_to_every_worker_and_their_leaving_is_waited_for(
    tmp_path: Path, number: signal.Signals
) -> None:
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, tmp_path],
        env={**os.environ, "PYTHONPATH": str(root), "STUB_SECONDS": "60"},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    logs = [tmp_path / "logs" / f"worker-{worker}.log" for worker in (1, 2)]
    once(lambda: all(starts(log) for log in logs))
    pids = [starts(log)[0]["pid"] for log in logs]
    once(lambda: all(len(os.sched_getaffinity(pid)) == 1 for pid in pids))
    process.send_signal(number)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "The same command continues the study." in told
    assert all("left after 1" in log.read_text() for log in logs)


def test_a_second_ctrl_c_has_the_workers_give_their_folds_up(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCH, tmp_path],
        env={**os.environ, "PYTHONPATH": str(root), "STUB_SECONDS": "60", "STUB_STAYS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as process:
        assert process.stdout is not None
        logs = [tmp_path / "logs" / f"worker-{worker}.log" for worker in (1, 2)]
        once(lambda: all(starts(log) for log in logs))
        assert "2 workers started" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "Ctrl-C again gives them up" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert "The workers give up their folds" in told
    assert all("KeyboardInterrupt" in log.read_text() for log in logs)
