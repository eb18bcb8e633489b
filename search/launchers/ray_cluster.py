"""Ray: workers as tasks of a cluster. The one door to Ray.

References:
    https://docs.ray.io/en/latest/ray-core/tasks.html: resources, `max_calls`, cancelling.
    https://docs.ray.io/en/latest/ray-core/fault_tolerance/tasks.html: which errors tell of a lost worker.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_prep.problems import InputError, Problems, one_line
from models.device import visible_gpus
from search.errors import StudyStoppedError
from search.home import Home
from search.launchers.following import Following, follow
from search.launchers.hearing import hearing
from search.launchers.ray_connecting import (
    CLIENT,
    LOOK_SECONDS,
    Head,
    Ray,
    connected,
    gone,
    is_address,
    knock,
)
from search.launchers.ray_needs import in_words, needs_of, shortage
from search.launchers.ray_worker import End, work
from search.launchers.request import LaunchRequest
from search.terminal import say

WAIT_SECONDS = 1.0  # for the end of a worker
LEAVE_SECONDS = 60.0  # of workers that were asked to leave
LOSSES = 5  # of one worker while no trial ends: then it is not by chance
# Before a worker is started again: nodes that go away tell workers before they tell Ray.
LONGEST_PAUSE = 30.0
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # How often Ray tries an address that answers, but not as a cluster does: 40 s each.
    "RAY_gcs_server_port_wait_time_s": "1",
}


def check(request: LaunchRequest, problems: Problems) -> None:
    """Note an address that is none, and GPUs that this machine alone has not."""
    if request.address is not None and not is_address(request.address):
        law = "must be HOST:PORT, ray://HOST:PORT or auto"
        problems.add("--address", f"{law}, but got {request.address!r}")
    there = len(visible_gpus()) if request.gpus and request.address is None else request.at_once
    if request.gpus and there < request.at_once:
        problems.add("--gpus", f"this machine must have so many, but got {request.at_once} of {there}")


def plan(request: LaunchRequest) -> str:
    """The tasks in words."""
    where = request.address or "a cluster of this machine alone"
    tasks = f"{request.at_once} tasks on {where}, each with {in_words(needs_of(request))}:"
    return "\n".join([tasks, " ".join(("radsearch", *request.worker))])


def ready(request: LaunchRequest) -> None:
    """Refuse where Ray is not installed, or nothing answers at the address.

    Raises:
        InputError: It is not installed.
        StudyStoppedError: There is no cluster.
    """
    _ray(request)
    if request.address is not None:
        knock(request.address)


def launch(request: LaunchRequest) -> int:
    """Hand the workers to Ray and wait for them all, telling which trials end.

    Returns:
        0, or 128 and the signal that ended the waiting; the workers have left then.

    Raises:
        InputError: A worker was refused, as its cohort or code is not the study's; or the cluster does, as it
            runs another Ray.
        StudyStoppedError: The cluster is gone, or a worker could not go on.
    """
    ray = _ray(request)
    url, home = request.environment.get("RADSEARCH_STORAGE"), Home.at(request.environment["RADSEARCH_HOME"])
    following = follow(request.study, url, home, request.trials, say)
    with connected(ray, request), hearing() as heard:
        fleet = Fleet(ray, request, following, heard)
        fleet.wait()
    if heard:
        say(f"Stopped{fleet.left_behind}. The same command continues the study.")
        return 128 + heard[0]
    fleet.raise_any()
    return 0


@dataclass(eq=False)
class Worker:
    """One worker, whichever process it is at the moment.

    Attributes:
        number: From 1 on.
        losses: How often it was lost since a trial of the study last ended.
        seen: How many trials had ended when it was lost last.
    """

    number: int
    losses: int = 0
    seen: int = 0


class Fleet:
    """The workers of one study on a cluster that this process is connected to.

    A worker whose process or node is lost is handed to Ray once more. Ray could do that by itself
    (`max_retries`), but says nothing of it, and has no end where a worker dies of something else than chance.

    Args:
        ray: The module.
        request: What is asked for.
        following: Tells of trials.
        heard: Signals that ask for the end, as they come.

    Attributes:
        left_behind: What is to be said of workers that did not leave as they were asked to.
    """

    def __init__(self, ray: Ray, request: LaunchRequest, following: Following, heard: Sequence[int]) -> None:
        self._ray, self._request, self._following, self._heard = ray, request, following, heard
        self._needs = needs_of(request)
        self._task = _task(ray, request)
        self._running: dict[Any, Worker] = {}
        self._due: dict[Worker, float] = {}  # to be started again, and when
        self._refused: list[str] = []
        self._failed: list[str] = []
        # A client is told by the server it talks to; what that one talks to is not for it to reach.
        is_client = (request.address or "").startswith(CLIENT)
        self._head = None if is_client else Head(ray.get_runtime_context().gcs_address)
        self._short: str | None = None
        self.left_behind = ""

    def wait(self) -> None:
        """Start the workers and wait until all have ended, or left as somebody asked them to.

        Raises:
            StudyStoppedError: The cluster is gone.
        """
        self._following.look()
        for number in range(1, self._request.at_once + 1):
            self._submit(Worker(number))
        say(f"{self._request.at_once} workers are handed to Ray, each with {in_words(self._needs)}")
        looked = -LOOK_SECONDS
        try:
            while (self._running or self._due) and not self._heard:
                self._wait_a_little()
                if time.monotonic() - looked > LOOK_SECONDS or not self._running:
                    self._look()
                    looked = time.monotonic()
            self._leave()
        except ConnectionError as error:
            raise gone(self._request.address, error) from error

    def raise_any(self) -> None:
        """Raise where workers ended that should not have.

        Raises:
            InputError: They were refused.
            StudyStoppedError: They could not go on.
        """
        failed = [*self._failed, *self._refused]
        if failed:
            kind = InputError if self._refused else StudyStoppedError
            raise kind(f"{len(failed)} of {self._request.at_once} workers could not go on: {failed[-1]}")

    def _wait_a_little(self) -> None:
        if self._running:
            for ref in self._ray.wait(list(self._running), timeout=WAIT_SECONDS)[0]:
                self._end(ref)
        else:
            time.sleep(WAIT_SECONDS)
        now = time.monotonic()
        for worker in [worker for worker, when in self._due.items() if when <= now]:
            del self._due[worker]
            if not self._following.is_over:
                self._submit(worker)

    def _submit(self, worker: Worker) -> None:
        named = self._task.options(name=f"radsearch worker {worker.number} of {self._request.study}")
        command, environment = list(self._request.worker), dict(self._request.environment)
        self._running[named.remote(command, environment, int(self._needs["CPU"]))] = worker

    def _end(self, ref: Any) -> None:
        """Note how a worker ended, and hand it to Ray again where it has not done its work."""
        worker, errors = self._running.pop(ref), self._ray.exceptions
        try:
            end: End = self._ray.get(ref)
        except errors.RayTaskError as error:
            self._fail(worker, *_raised(error))
        except errors.RayError as error:
            self._again(worker, f"was lost: {_first_sentence(error)}")
        else:
            self._following.look()
            if end.code:
                self._fail(worker, end.code, [f"{end.host}: {line}" for line in end.said.splitlines()])
            elif self._following.has_work:
                self._again(worker, f"has left {end.host}", LONGEST_PAUSE)

    def _again(self, worker: Worker, what: str, pause: float = 1.0) -> None:
        """Have a worker started again, after a pause that doubles each time."""
        ended = self._following.ended
        worker.losses, worker.seen = 1 + (worker.losses if ended == worker.seen else 0), ended
        if worker.losses > LOSSES:
            self._failed.append(f"worker {worker.number} {what}, {worker.losses} times while no trial ended")
            return
        pause = min(LONGEST_PAUSE, pause * 2 ** (worker.losses - 1))
        say(f"worker {worker.number} {what}; it is started again in {pause:.0f} s")
        self._due[worker] = time.monotonic() + pause

    def _fail(self, worker: Worker, code: int, said: Sequence[str]) -> None:
        say(f"worker {worker.number} could not go on (exit code {code}):")
        for line in said:
            say(f"  {one_line(line)}")
        reason = said[-1] if said else "it said nothing"
        (self._refused if code == 1 else self._failed).append(reason)

    def _look(self) -> None:
        self._following.look()
        if self._running and (self._head is None or self._head.answers()):
            self._look_for_room()

    def _look_for_room(self) -> None:
        try:
            nodes = self._ray.nodes()
        except self._ray.exceptions.RayError:  # the head is busy, or has just gone
            return
        short = shortage(nodes, self._needs, self._request.at_once)
        if short is not None and self._request.address is None:
            raise gone(None, ConnectionError("a process of it has died"))
        if short is not None and short != self._short:
            say(short)
        self._short = short

    def _leave(self) -> None:
        """Ask the workers that run to leave, and wait; a second signal, or too long a wait, ends them."""
        if not self._running:
            return
        say("The workers put back what they are at ...")
        count, deadline = len(self._heard), time.monotonic() + LEAVE_SECONDS
        for ref in self._running:
            self._ray.cancel(ref)  # SIGINT to a worker that runs
        left = list(self._running)
        while left and len(self._heard) == count and time.monotonic() < deadline:
            left = self._ray.wait(left, num_returns=len(left), timeout=WAIT_SECONDS)[1]
        if left:
            self.left_behind = f"; {len(left)} workers had to be ended, whose trials are taken up later"
        for ref in left:
            self._ray.cancel(ref, force=True)


def _ray(request: LaunchRequest) -> Ray:
    """The module, which reads its settings from the environment as it is imported."""
    settings = dict(SETTINGS)
    if request.address is None:
        # What is for this process and its own alone; else Ray writes it into the user's home.
        settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        # Where memory is short, the study gives up a trial; Ray would end its worker, and with it the reason.
        settings["RAY_memory_monitor_refresh_ms"] = "0"
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--launcher ray: Ray must be installed, but is not: pip install 'radsearch[ray]'"
        ) from error
    return ray


def _task(ray: Ray, request: LaunchRequest) -> Any:
    needs = needs_of(request)
    return ray.remote(
        num_cpus=needs["CPU"],
        num_gpus=needs.get("GPU", 0),
        memory=needs.get("memory"),
        max_retries=0,
        retry_exceptions=False,
        max_calls=1,  # a process a worker
    )(work)


def _raised(error: BaseException) -> tuple[int, list[str]]:
    """Exit code and reason of a worker that raised: its node has no radsearch, or it met an error of ours."""
    line = str(error).strip().rpartition("\n")[2]
    if "ModuleNotFoundError" in line:
        return 1, [f"every node needs radsearch as it is installed here, but one has: {line}"]
    return 3, [line]


def _first_sentence(error: BaseException) -> str:
    return one_line(re.split(r"\.(?:\s|$)|\n", str(error).strip(), maxsplit=1)[0])
