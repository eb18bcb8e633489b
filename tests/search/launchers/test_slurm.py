"""Submitting, with a stand-in for SLURM that runs what it gets, and stubs for workers."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search.errors import NothingStartedError, StudyStoppedError
from search.launchers import slurm
from tests.search.launchers.conftest import STORAGE, MakeRequest, StubbedRequest
from tests.slurm import Slurm

MakeSlurm = Callable[..., Slurm]


def test_a_machine_without_sbatch_is_refused_with_what_to_do(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyStoppedError, match=r"sbatch must be on the path, but it is not\. Submit from"):
        slurm.ready(make_request())


def test_the_workers_are_run_no_more_at_a_time_than_asked_for_and_say_it_in_the_logs(
    make_request: MakeRequest, make_slurm: MakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin, request = make_slurm(), make_request(StubbedRequest, tasks=5, at_once=2)
    monkeypatch.setenv("STUB_SECONDS", "0.3")
    slurm.ready(request)
    assert slurm.launch(request) == 0
    standin.wait("done")
    assert max(event["running"] for event in standin.events("start")) == 2
    assert [event["state"] for event in standin.events("end")] == ["COMPLETED"] * 5
    logs = sorted(path.name for path in request.logs.glob("slurm-*"))
    assert logs == [f"slurm-100_{number}.log" for number in range(1, 6)]
    assert all('"argv": ["worker", "toy"' in (request.logs / name).read_text() for name in logs)


def test_the_user_is_told_the_job_and_how_to_look_on_and_nothing_secret(
    make_request: MakeRequest, make_slurm: MakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    make_slurm()
    request = make_request(StubbedRequest)
    slurm.launch(request)
    told = capsys.readouterr().out
    assert told.startswith("Submitted as job 100: 3 workers, 2 at a time, --time 04:00:00 each\n")
    assert "squeue --job 100" in told
    assert f"source {request.env_file}; radsearch show toy" in told
    assert "sesame-open" not in told


def test_slurm_is_not_given_the_secrets_to_keep(
    make_request: MakeRequest, make_slurm: MakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RADSEARCH_STORAGE", STORAGE)
    monkeypatch.setenv("UNRELATED", "kept")
    standin = make_slurm()
    slurm.launch(make_request(StubbedRequest))
    (job,) = standin.submitted()
    assert "sesame-open" not in json.dumps(job)
    assert job["environment"]["UNRELATED"] == "kept"


def test_neither_the_users_settings_of_sbatch_nor_an_outer_job_overrule_the_script(
    make_request: MakeRequest, make_slurm: MakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {
        "SBATCH_TIMELIMIT": "1",
        "SBATCH_PARTITION": "short",
        "SBATCH_ACCOUNT": "other",
        "SBATCH_ARRAY_INX": "7",
        "SBATCH_SIGNAL": "B:USR1@9",
        "SBATCH_QOS": "short",
        "SBATCH_NO_REQUEUE": "1",
        "SBATCH_MEM_PER_CPU": "1",
        "SBATCH_OPEN_MODE": "truncate",
        "SBATCH_WAIT": "1",
        "SLURM_JOB_GPUS": "3",
        "SLURM_STEP_GPUS": "3",
        "CUDA_VISIBLE_DEVICES": "3",
    }
    for name, value in (theirs | {"SBATCH_CONSTRAINT": "icelake"}).items():
        monkeypatch.setenv(name, value)
    standin, request = make_slurm(), make_request(StubbedRequest, partition="gpu", options=("--qos=long",))
    slurm.launch(request)
    (job,) = standin.submitted()
    given = {"--time": "04:00:00", "--partition": "gpu", "--array": "1-3%2", "--signal": "B:TERM@120"}
    assert (given | {"--qos": "long"}).items() <= job["options"].items()
    assert theirs.keys() & job["environment"].keys() == {"SBATCH_ACCOUNT"}  # ours says nothing of it
    assert job["environment"]["SBATCH_CONSTRAINT"] == "icelake"


def test_the_script_is_for_its_owner_alone(make_request: MakeRequest, make_slurm: MakeSlurm) -> None:
    make_slurm()
    request = make_request(StubbedRequest)
    slurm.launch(request)
    assert (request.folder / slurm.SCRIPT).stat().st_mode & 0o777 == 0o600


def test_what_sbatch_says_when_it_refuses_is_passed_on(
    make_request: MakeRequest, make_slurm: MakeSlurm
) -> None:
    make_slurm()
    said = r"\(exit code 1\): sbatch: error: .* Invalid partition name .*\. The study is open.* submit again"
    with pytest.raises(NothingStartedError, match=said):
        slurm.launch(make_request(partition="nowhere"))


@pytest.mark.parametrize(
    ("program", "got"),
    [("exit 0", r"\(exit code 0\): it said nothing"), ("echo hello", r"\(exit code 0\): hello")],
)
def test_an_sbatch_that_names_no_job_is_not_believed(
    make_request: MakeRequest, make_slurm: MakeSlurm, program: str, got: str
) -> None:
    (make_slurm().bin / "sbatch").write_text(f"#!/bin/sh\n{program}\n")
    with pytest.raises(StudyStoppedError, match=got):
        slurm.launch(make_request())


def test_before_the_limit_the_worker_hears_of_it_and_leaves_in_time(
    make_request: MakeRequest, make_slurm: MakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_SECONDS", "60")
    standin = make_slurm(minute=0.6)
    request = make_request(StubbedRequest, tasks=1, time="00:06:00", notice=180)  # 3.6 s, told after 1.8 s
    slurm.launch(request)
    standin.wait("done")
    assert [(event["number"], event["processes"]) for event in standin.events("signal")] == [(15, 1)]
    assert [event["state"] for event in standin.events("end")] == ["COMPLETED"]
    assert "left after 1" in (request.logs / "slurm-100_1.log").read_text()


def test_a_worker_whose_node_fails_is_queued_again_and_its_log_goes_on(
    make_request: MakeRequest, make_slurm: MakeSlurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    monkeypatch.setenv("STUB_SECONDS", "1")
    monkeypatch.setenv("STUB_READY", str(ready))
    standin, request = make_slurm(), make_request(StubbedRequest, tasks=1)
    slurm.launch(request)
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert not standin.events("end")
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(standin.events("start")[0]["pid"], signal.SIGKILL)
    standin.wait("done")
    assert [event["state"] for event in standin.events("end")] == ["NODE_FAIL", "COMPLETED"]
    log = (request.logs / "slurm-100_1.log").read_text()
    assert log.count('"argv": ["worker", "toy"') == 2
