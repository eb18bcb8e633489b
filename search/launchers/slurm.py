"""SLURM: writes the batch script into the study's folder and hands it to `sbatch`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from data_prep.files import make_folders
from data_prep.problems import Problems
from search.errors import NothingStartedError, StudyStoppedError
from search.launchers.request import LaunchRequest, write_privately
from search.launchers.slurm_script import check_batch, script, variables
from search.saying import say

SCRIPT = "submit.sbatch"
# Of a job in which `submit` itself may run.
OUTER = {"SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES"}
LONGEST = 300.0  # seconds that sbatch may take; a controller that restarts is tried by sbatch itself


def check(request: LaunchRequest, problems: Problems) -> None:
    """Note what sbatch would take for something else."""
    check_batch(request, problems)


def plan(request: LaunchRequest) -> str:
    """The script."""
    return script(request)


def ready(request: LaunchRequest) -> None:
    """Refuse a machine without `sbatch`.

    Raises:
        StudyStoppedError: It is not on the path.
    """
    if shutil.which("sbatch") is None:
        raise StudyStoppedError(
            "--launcher slurm: sbatch must be on the path, but it is not. Submit from a login node of the "
            "cluster; --dry-run prints the script anywhere"
        )


def launch(request: LaunchRequest) -> int:
    """Write the script, submit it, and tell how to look on.

    Raises:
        NothingStartedError: sbatch refused it.
        StudyStoppedError: sbatch did not answer.
    """
    path = request.folder / SCRIPT
    write_privately(path, script(request))  # lines of set-up may say what is for its owner alone
    make_folders(request.logs)  # SLURM makes none; a job without a place for its output fails in silence
    job = _submitted(path, request)
    for line in _told(job, request):
        say(line)
    return 0


def _submitted(path: Path, request: LaunchRequest) -> str:
    """The number of the job."""
    # SLURM keeps the environment of whoever submits; what is secret comes from `env_file` instead. What is
    # there for sbatch would overrule the script.
    dropped = OUTER | variables(request) | request.environment.keys()
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    command = ["sbatch", "--parsable", str(path)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired as error:
        raise StudyStoppedError(
            f"sbatch must answer within {LONGEST:.0f} s, but did not. squeue tells whether it took the job"
        ) from error
    job = done.stdout.strip().rpartition("\n")[2].partition(";")[0]
    if done.returncode == 0 and job.isdecimal():
        return job
    said = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
    raise NothingStartedError(
        f"sbatch did not take {path} (exit code {done.returncode}): {said or 'it said nothing'}. The study "
        "is open, and no worker is asked for: submit again, nothing is done twice"
    )


def _told(job: str, request: LaunchRequest) -> list[str]:
    tasks = request.batch.tasks
    at_once = min(request.at_once, tasks)
    return [
        f"Submitted as job {job}: {tasks} workers, {at_once} at a time, --time {request.batch.time} each",
        f"  the queue   squeue --job {job}",
        f"  results     source {shlex.quote(str(request.env_file))}; radsearch show {request.study}",
        f"  logs        {request.logs}/slurm-{job}_*.log",
        f"  more, less  scontrol update jobid={job} arraytaskthrottle=N",
        f"  stop        scancel --state=PENDING {job}; scancel --batch --signal=TERM {job}",
    ]
