"""The batch script, read as sbatch reads it and run as slurmd runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from data_prep.problems import Problems
from search.launchers.request import LaunchRequest
from search.launchers.slurm_script import WRITTEN, check_batch, script, seconds_of
from tests.search.launchers.conftest import STORAGE, MakeRequest, StubbedRequest
from tests.slurm import options_of

HOSTILE = "ho me/$(touch pwned)/`id`;&#%j*"


def start(request: LaunchRequest, **environment: str) -> subprocess.Popen[str]:
    """Run the script as slurmd does: copied, executed by its first line, with little in its environment."""
    path = request.folder / "slurm_script"
    path.write_text(script(request))
    path.chmod(0o755)
    node = request.folder / "node"
    node.mkdir(exist_ok=True)
    inherited = {"PATH": os.environ["PATH"], "TMPDIR": str(node), "SLURM_ARRAY_JOB_ID": "7"}
    return subprocess.Popen(
        [path],
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=request.folder,
    )


def said(output: str) -> dict[str, Any]:
    """What the stub tells of how it was started."""
    record: dict[str, Any] = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    return record


def until_there(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} is not there in time"
        time.sleep(0.01)


def complaints(request: LaunchRequest) -> list[str]:
    problems = Problems()
    check_batch(request, problems)
    try:
        problems.raise_any()
    except ValueError as error:
        return str(error).splitlines()
    return []


def test_sbatch_reads_out_of_it_what_was_asked_for(make_request: MakeRequest) -> None:
    request = make_request(
        partition="gpu",
        account="lab",
        gpus=1,
        cpus=8,
        memory_mb=2048,
        tasks=12,
        notice=300,
        options=("--qos=long",),
    )
    assert options_of(script(request)) == {
        "--job-name": "radsearch-toy",
        "--array": "1-12%2",
        "--nodes": "1",
        "--ntasks": "1",
        "--gres": "gpu:1",
        "--cpus-per-task": "8",
        "--mem": "2048M",
        "--time": "04:00:00",
        "--partition": "gpu",
        "--account": "lab",
        "--requeue": None,
        "--open-mode": "append",
        "--signal": "B:TERM@300",
        "--output": f"{request.logs}/slurm-%A_%a.log",
        "--qos": "long",
    }


def test_workers_without_gpus_ask_for_none_and_no_more_run_at_a_time_than_there_are(
    make_request: MakeRequest,
) -> None:
    options = options_of(script(make_request(at_once=50, tasks=3)))
    assert "--gres" not in options
    assert options["--array"] == "1-3%3"


def test_a_further_option_stands_behind_ours_and_so_overrides_it(make_request: MakeRequest) -> None:
    options = options_of(script(make_request(gpus=1, options=("--gres=gpu:a100:1",))))
    assert options["--gres"] == "gpu:a100:1"


@pytest.mark.parametrize("home", ["home", HOSTILE, "Müller's".replace("'", "")])
def test_the_shell_takes_every_path_for_what_it_is(make_request: MakeRequest, home: str) -> None:
    request = make_request(StubbedRequest, home)
    assert complaints(request) == []
    assert options_of(script(request))["--output"] == f"{request.logs}/slurm-%A_%a.log".replace("%j", "%%j")
    output, _ = start(request).communicate(timeout=30)
    assert said(output)["environment"]["RADSEARCH_HOME"] == str(request.folder.parents[1])
    assert not list(request.folder.rglob("pwned"))


def test_the_worker_gets_its_arguments_and_the_secrets_by_its_environment_alone(
    make_request: MakeRequest,
) -> None:
    request = make_request(StubbedRequest)
    output, _ = start(request).communicate(timeout=30)
    cache = request.folder / "node" / f"radsearch-cache-{os.getuid()}"
    assert said(output)["argv"] == [*request.worker, "--cache", str(cache)]
    assert said(output)["environment"]["RADSEARCH_STORAGE"] == STORAGE
    assert "sesame-open" not in script(request)
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("plant", ["link", "file"])
def test_a_cache_that_somebody_else_may_have_made_is_not_used(make_request: MakeRequest, plant: str) -> None:
    request = make_request(StubbedRequest)
    cache = request.folder / "node" / f"radsearch-cache-{os.getuid()}"
    cache.parent.mkdir()
    (request.folder / "theirs").mkdir()
    cache.symlink_to(request.folder / "theirs") if plant == "link" else cache.touch()
    output, _ = start(request).communicate(timeout=30)
    assert said(output)["argv"][-1] == f"{request.environment['RADSEARCH_HOME']}/cache"


def test_lines_of_shell_run_before_the_worker_and_have_the_last_word(make_request: MakeRequest) -> None:
    lines = ('export RADSEARCH_HOME="/scratch/$SLURM_ARRAY_JOB_ID"', "export RADSEARCH_CACHE=$PWD/mine")
    request = make_request(StubbedRequest, setup=lines)
    output, _ = start(request).communicate(timeout=30)
    assert said(output)["environment"]["RADSEARCH_HOME"] == "/scratch/7"
    assert said(output)["argv"][-1] == f"{request.folder}/mine"


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_exit_code_of_the_worker_is_that_of_the_task(make_request: MakeRequest, code: int) -> None:
    process = start(make_request(StubbedRequest), STUB_CODE=str(code))
    process.communicate(timeout=30)
    assert process.returncode == code


def test_a_signal_to_the_batch_shell_reaches_the_worker_once_and_its_leaving_is_waited_for(
    make_request: MakeRequest,
) -> None:
    request = make_request(StubbedRequest)
    ready = request.folder / "ready"
    process = start(request, STUB_SECONDS="60", STUB_READY=str(ready))
    until_there(ready)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert "left after 1" in output
    assert process.returncode == 0


def test_a_signal_before_the_worker_ends_the_task_in_peace(make_request: MakeRequest) -> None:
    request = make_request(StubbedRequest, setup=("touch ready", "sleep 0.5"))
    process = start(request)
    until_there(request.folder / "ready")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "argv" not in output


def test_a_node_that_cannot_see_the_home_says_so(make_request: MakeRequest) -> None:
    request = make_request(StubbedRequest)
    request.env_file.unlink()
    process = start(request)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "this node must be able to read it. Is the home on a file system of all nodes?" in output
    assert "argv" not in output


@pytest.mark.parametrize("home", ["home", HOSTILE])
def test_bash_and_shellcheck_have_nothing_against_it(make_request: MakeRequest, home: str) -> None:
    request = make_request(home=home, gpus=1, partition="gpu", setup=("module load cuda",))
    path = request.folder / "submit.sbatch"
    path.write_text(script(request))
    # SC2016 would have a "$" in quotes expanded, which a path may hold.
    checks = [["bash", "-n"], *([["shellcheck", "-x", "-e", "SC2016"]] if shutil.which("shellcheck") else [])]
    for check in checks:
        done = subprocess.run([*check, path], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"time": "soon"}, "--time: must be minutes, H:M:S, or days-hours, above 0, but got 'soon'"),
        ({"time": "0"}, "--time: must be minutes"),
        ({"time": "01:00:00\n#SBATCH --wrap=x"}, "--time: must be minutes"),
        ({"time": "2"}, "--notice: must be shorter than --time.* but got 120 s of 120 s"),
        ({"time": "9-0", "notice": 70000}, "--notice: SLURM takes 65535 s at most, but got 70000"),
        ({"partition": "--wrap=x"}, "--partition: must be a name of letters"),
        ({"partition": "gpu x"}, "--partition: must be a name of letters"),
        ({"partition": "gpu\n"}, "--partition: must be a name of letters"),
        ({"account": ""}, "--account: must be a name of letters"),
        ({"setup": ("true\nrm x",)}, "--setup: must be one line of shell, but got 'true"),
        (
            {"options": ("qos=long",)},
            "--sbatch: must be one long option of sbatch without a blank, as --qos=long",
        ),
        ({"options": ("--qos=a\n--wrap=x",)}, "--sbatch: must be one long option of sbatch"),
        ({"options": ("--array=1-9",)}, "--sbatch: must be none of --array, --signal, --wait, --wrap, "),
        ({"options": ("--'array'=1-9",)}, "--sbatch: must be none of --array"),
        ({"options": ("-a 1-9",)}, "--sbatch: must be one long option of sbatch"),
        ({"options": ("-Ha1-9",)}, "--sbatch: must be one long option of sbatch"),
        (
            {"options": ("--qos=long --array=1-2",)},
            "--sbatch: must be one long option of sbatch without a blank",
        ),
        ({"options": ("--comment='a b",)}, "--sbatch: must be one long option of sbatch"),
        ({"options": ("--arr=1-2",)}, "--sbatch: must have its whole name, but got '--arr=1-2'"),
        ({"options": ("--sig=TERM",)}, "--sbatch: must have its whole name"),
        ({"home": 'a"b'}, "--home: its path must be without quotes and backslashes"),
        ({"home": "a\\b"}, "--home: its path must be without quotes and backslashes"),
        ({"home": "a\nb"}, "--home: its path must be without quotes and backslashes"),
    ],
)
def test_what_sbatch_would_take_for_something_else_is_refused(
    make_request: MakeRequest, changes: dict[str, Any], complaint: str
) -> None:
    (line,) = complaints(make_request(**changes))
    assert re.match(complaint, line)


@pytest.mark.parametrize("option", ["--exclude=n1", "--mem=1G", "--mem-per-cpu=2G", "--comment='a b'"])
def test_other_options_of_sbatch_are_taken(make_request: MakeRequest, option: str) -> None:
    assert complaints(make_request(options=(option,))) == []


def test_the_options_whose_abbreviations_are_refused_are_those_of_the_script(
    make_request: MakeRequest,
) -> None:
    request = make_request(partition="gpu", account="lab", gpus=1)
    assert options_of(script(request)).keys() == WRITTEN


def test_everything_wrong_with_the_flags_is_said_at_once(make_request: MakeRequest) -> None:
    request = make_request(time="x", partition="-p", account="a b", setup=("\n",), options=("x",))
    flags = [line.partition(":")[0] for line in complaints(request)]
    assert flags == ["--time", "--partition", "--account", "--setup", "--sbatch"]


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("02:30:15", 9015),
        ("1-6", 108000),
        ("1-6:30", 109800),
        ("1-6:30:15", 109815),
        ("100:00:00", 360000),
        ("-5", None),
        ("1-", None),
        ("UNLIMITED", None),
    ],
)
def test_time_limits_are_read_as_sbatch_documents_them(limit: str, seconds: int | None) -> None:
    assert seconds_of(limit) == seconds
