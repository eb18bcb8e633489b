"""Workers as processes of this machine, each with its log, started again where one is killed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.files import make_folders
from data_prep.problems import InputError, Problems
from models.device import visible_gpus
from search.errors import StudyStoppedError
from search.home import Home
from search.launchers.following import Following, follow
from search.launchers.hearing import hearing
from search.launchers.request import LaunchRequest, share_of
from search.saying import say

RESTARTS = 3  # of one worker; what kills it more often is not by chance
POLL_SECONDS, LOOK_SECONDS = 0.1, 5.0  # between looks at the workers, and at what has become of trials


@dataclass(eq=False)
class Worker:
    """One worker, and the process that it is at the moment.

    Attributes:
        number: From 1 on.
        command: What starts it.
        cores: Those that it may use.
        log: Gets what it says.
        environment: Of the process.
    """

    number: int
    command: list[str]
    cores: set[int]
    log: Path
    environment: dict[str, str] = field(repr=False)
    _process: subprocess.Popen[bytes] | None = None
    _starts: int = 0

    def start(self) -> None:
        """Start it, once more if need be."""
        self._starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us to pass on
            )
        os.sched_setaffinity(self._process.pid, self.cores)

    def ended(self, may_restart: bool) -> int | None:
        """Its exit code, negative for a signal; None while it runs or was started again."""
        if self._process is None:
            return 0
        code = self._process.poll()
        if code is None or code >= 0 or not may_restart or self._starts > RESTARTS:
            return code
        say(f"worker {self.number} was ended by {_name(-code)}: started again")
        self.start()
        return None

    def tell(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


class Leaving:
    """Has workers leave, and leave faster, as whoever waits for them is asked to.

    Args:
        workers: All of them.
        heard: Signals that ask for the end, as they come.
    """

    def __init__(self, workers: list[Worker], heard: list[int]) -> None:
        self._workers, self._heard = workers, heard
        self._seen, self._is_asked = 0, False

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody asked for the end."""
        return bool(self._heard)

    def pass_on(self) -> None:
        """Pass on what was heard since the last time."""
        if len(self._heard) == self._seen:
            return
        self._seen = len(self._heard)
        if not self._is_asked:
            self._ask()
        else:
            say("The workers give up their folds and put them back ...")
            self._tell(signal.SIGINT)

    def wait(self) -> None:
        """Have those leave that still run, and wait until all have ended."""
        if not self._is_asked and not self._all_ended():
            self._ask()
        while not self._all_ended():
            self.pass_on()
            time.sleep(POLL_SECONDS)

    def _ask(self) -> None:
        say("The workers finish their folds, put back their trials and leave; Ctrl-C again gives them up ...")
        self._is_asked = True
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for worker in self._workers:
            worker.tell(number)

    def _all_ended(self) -> bool:
        return all(worker.ended(may_restart=False) is not None for worker in self._workers)


def check(request: LaunchRequest, problems: Problems) -> None:
    """Note GPUs that are not there."""
    there = len(visible_gpus()) if request.gpus else 0
    if request.gpus and there < request.at_once:
        problems.add("--gpus", f"this machine must have so many, but got {request.at_once} of {there}")


def plan(request: LaunchRequest) -> str:
    """The commands of the workers."""
    return "\n".join(shlex.join(worker.command) for worker in _workers(request))


def ready(request: LaunchRequest) -> None:
    """A machine on which this runs has all that is needed."""


def launch(request: LaunchRequest) -> int:
    """Start the workers and wait for them all, also where this fails.

    SIGTERM and Ctrl-C have them finish their folds and leave, a second one has them give these up.

    Returns:
        0, or 128 and the signal that was passed on.

    Raises:
        InputError: A worker was refused, as its cohort or code is not the study's.
        StudyStoppedError: A worker could not go on, or the study is gone from its storage.
    """
    make_folders(request.logs)
    workers, home = _workers(request), Home.at(request.environment["RADSEARCH_HOME"])
    url = request.environment.get("RADSEARCH_STORAGE")
    following = follow(request.study, url, home, request.trials, say)
    with hearing() as heard:
        leaving = Leaving(workers, heard)
        try:
            for worker in workers:
                worker.start()
            say(f"{len(workers)} workers started; what they say is in {request.logs}/worker-*.log")
            codes = _codes(workers, following, leaving)
        finally:
            leaving.wait()
    if heard:
        say("Stopped: the workers have put back what they were at. The same command continues the study.")
        return 128 + heard[0]
    failed = {worker: code for worker, code in zip(workers, codes, strict=True) if code}
    for worker, code in failed.items():
        how = f"exit code {code}" if code > 0 else _name(-code)
        say(f"worker {worker.number} ended with {how}: {_last_line(worker.log)}")
    if failed:
        kind = InputError if 1 in failed.values() else StudyStoppedError
        raise kind(f"{len(failed)} of {len(workers)} workers could not go on")
    return 0


def _workers(request: LaunchRequest) -> list[Worker]:
    available, share = sorted(os.sched_getaffinity(0)), share_of(request)
    gpus = visible_gpus() if request.gpus else []
    environment = {**os.environ, **request.environment}
    return [
        Worker(
            index + 1,
            [*request.command, *([f"--gpus={gpus[index]}"] if gpus else [])],
            {available[(share * index + core) % len(available)] for core in range(share)},
            request.logs / f"worker-{index + 1}.log",
            environment,
        )
        for index in range(request.at_once)
    ]


def _codes(workers: list[Worker], following: Following, leaving: Leaving) -> list[int]:
    """The exit codes of the workers, when all have ended; signals that are heard meanwhile are passed on."""
    looked = 0.0
    while True:
        codes = [worker.ended(may_restart=not leaving.is_asked_for) for worker in workers]
        ended = [code for code in codes if code is not None]
        is_over = len(ended) == len(workers)
        leaving.pass_on()
        if is_over or time.monotonic() - looked > LOOK_SECONDS:
            following.look()
            looked = time.monotonic()
        if is_over:
            return ended
        time.sleep(POLL_SECONDS)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
