"""A stand-in for SLURM: an `sbatch` that really runs the array it is given, on this machine.

It knows what our script rests on: the options in the script and their quoting, the throttle of an array, logs
that are appended to, the early signal to the batch shell alone, what follows at the limit (SIGTERM to all
processes of the task, SIGKILL a little later), preemption, and tasks that are queued again where their node
fails, for which any SIGKILL that is not ours is taken. A minute of SLURM takes as long as it is told.

The same file is `sbatch` and the controller behind it: `python slurm.py FOLDER sbatch ...`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KNOWN = {  # of a line #SBATCH: whether a value follows
    "--job-name": True,
    "--array": True,
    "--nodes": True,
    "--ntasks": True,
    "--gres": True,
    "--cpus-per-task": True,
    "--mem": True,
    "--time": True,
    "--partition": True,
    "--account": True,
    "--requeue": False,
    "--open-mode": True,
    "--signal": True,
    "--output": True,
    "--qos": True,
    "--comment": True,
}
VARIABLES = {  # of sbatch's environment, which overrule lines #SBATCH
    "SBATCH_ARRAY_INX": "--array",
    "SBATCH_TIMELIMIT": "--time",
    "SBATCH_PARTITION": "--partition",
    "SBATCH_ACCOUNT": "--account",
    "SBATCH_SIGNAL": "--signal",
    "SBATCH_QOS": "--qos",
}
PARTITIONS = {"short", "gpu"}
MARK = "SLURM_STANDIN_TASK"  # stands in the environment of every process of a task, as a control group would
POLL = 0.02

Record = dict[str, Any]


class Slurm:
    """The handle of a test.

    Args:
        folder: Of the stand-in; made.
        minute: Seconds that a minute of SLURM takes.
        kill_wait: Seconds between SIGTERM and SIGKILL at the limit.
    """

    def __init__(self, folder: Path, minute: float = 60.0, kill_wait: float = 5.0) -> None:
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"minute": minute, "kill_wait": kill_wait}))
        program = self.bin / "sbatch"
        command = shlex.join([sys.executable, "-I", "-S", __file__, str(folder), "sbatch"])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)

    def events(self, kind: str | None = None) -> list[Record]:
        """What has happened so far."""
        path = self.folder / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        events = [json.loads(line) for line in lines]
        return [event for event in events if kind in (None, event["event"])]

    def wait(self, kind: str, count: int = 1, timeout: float = 120.0) -> list[Record]:
        """Wait until so many events of a kind have happened; all of that kind."""
        deadline = time.monotonic() + timeout
        while len(found := self.events(kind)) < count:
            assert time.monotonic() < deadline, f"no {kind} ({count}) in time; so far {self.events()}"
            time.sleep(POLL)
        return found

    def ask(self, do: str, task: int) -> None:
        """Have the controller do something with a running task: "preempt" it, or tell it to "leave"."""
        with (self.folder / "orders").open("a") as orders:
            orders.write(f"{do} {task}\n")

    def submitted(self) -> list[Record]:
        """The jobs as they were submitted: script, options, environment."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("job-*.json"))]

    def close(self) -> None:
        """End the controllers and their tasks."""
        for path in self.folder.glob("controller-*"):
            pid = int(path.read_text())
            for process in [pid, *processes_of(f"{self.folder}:")]:
                _kill(process, signal.SIGKILL)


def options_of(script: str) -> dict[str, str | None]:
    """The options in a script, the later of two in force; what follows the first command counts no more."""
    options: dict[str, str | None] = {}
    for line in script.splitlines()[1:]:
        if line.strip() and not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            for word in shlex.split(line.removeprefix("#SBATCH"), comments=True):
                name, equals, value = word.partition("=")
                if KNOWN.get(name) is not bool(equals):
                    raise ValueError(f"sbatch: unrecognized option '{word}'")
                options[name] = value if equals else None
    return options


def processes_of(mark: str) -> list[int]:
    """The processes whose mark begins so."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(wanted) for word in words):
            found.append(int(path.parent.name))
    return found


def sbatch(folder: Path, arguments: list[str]) -> int:
    """Take a script, start a controller for it, print the job's number."""
    path = Path(arguments[-1])
    script = path.read_text()
    try:
        if not script.startswith("#!"):
            raise ValueError("sbatch: error: This does not look like a batch script.")
        options = options_of(script)
        options |= {VARIABLES[name]: value for name, value in os.environ.items() if name in VARIABLES}
        if options.get("--partition", "short") not in PARTITIONS:
            print(f"sbatch: error: invalid partition specified: {options['--partition']}", file=sys.stderr)
            raise ValueError("sbatch: error: Batch job submission failed: Invalid partition name specified")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    job = 100 + len(list(folder.glob("job-*.json")))
    record = {"script": script, "options": options, "environment": dict(os.environ), "cwd": str(Path.cwd())}
    (folder / f"job-{job}.json").write_text(json.dumps(record))
    spooled = folder / f"job-{job}.sh"  # as slurmd does: what becomes of the file does not matter any more
    shutil.copy(path, spooled)
    spooled.chmod(0o755)
    command = [sys.executable, "-I", "-S", __file__, str(folder), "control", str(job)]
    null = subprocess.DEVNULL
    with (folder / f"log-{job}").open("w") as log:
        controller = subprocess.Popen(command, stdin=null, stdout=null, stderr=log, start_new_session=True)
    (folder / f"controller-{job}").write_text(str(controller.pid))
    print(f"{job};standin" if "--parsable" in arguments else f"Submitted batch job {job}")
    return 0


@dataclass
class Task:
    """One task of an array that runs."""

    number: int
    restarts: int
    mark: str
    process: subprocess.Popen[bytes]
    started: float
    state: str = "RUNNING"
    warned: bool = False
    killed_at: float | None = None


class Controller:
    """Runs the tasks of one job."""

    def __init__(self, folder: Path, job: int) -> None:
        record = json.loads((folder / f"job-{job}.json").read_text())
        config = json.loads((folder / "config.json").read_text())
        self.folder, self.job, self.minute, self.kill_wait = (
            folder,
            job,
            config["minute"],
            config["kill_wait"],
        )
        self.options, self.environment, self.cwd = record["options"], record["environment"], record["cwd"]
        match = re.fullmatch(r"1-(\d+)%(\d+)", self.options["--array"])
        assert match
        self.waiting = [(number, 0) for number in range(1, int(match[1]) + 1)]
        self.at_once = int(match[2])
        hours, minutes, seconds = map(int, self.options["--time"].split(":"))
        self.limit = (60 * hours + minutes + seconds / 60) * self.minute
        to, name, notice = re.split("[:@]", self.options["--signal"])
        assert (to, name) == ("B", "TERM")
        self.notice = int(notice) / 60 * self.minute
        self.running: list[Task] = []
        self.orders = 0

    def run(self) -> None:
        """Run all tasks to their end."""
        while self.waiting or self.running:
            while self.waiting and len(self.running) < self.at_once:
                self._start(*self.waiting.pop(0))
            self._obey()
            for task in list(self.running):
                self._look_after(task)
            time.sleep(POLL)
        self._note("done")

    def _start(self, number: int, restarts: int) -> None:
        mark = f"{self.folder}:{self.job}_{number}_{restarts}"
        environment = {
            **self.environment,
            MARK: mark,
            "SLURM_JOB_ID": str(self.job + number),
            "SLURM_ARRAY_JOB_ID": str(self.job),
            "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_RESTART_COUNT": str(restarts),
            "SLURM_CPUS_PER_TASK": str(self.options["--cpus-per-task"]),
        }
        with Path(self._output(number)).open(
            "ab" if self.options["--open-mode"] == "append" else "wb"
        ) as log:
            process = subprocess.Popen(
                [self.folder / f"job-{self.job}.sh"],
                env=environment,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(Task(number, restarts, mark, process, time.monotonic()))
        pid, running = process.pid, len(self.running)
        self._note("start", task=number, restarts=restarts, pid=pid, running=running)

    def _output(self, number: int) -> str:
        values = {"A": str(self.job), "a": str(number), "%": "%"}
        return re.sub(r"%(.)", lambda match: values[match[1]], self.options["--output"])

    def _obey(self) -> None:
        path = self.folder / "orders"
        orders = path.read_text().splitlines() if path.exists() else []
        for order in orders[self.orders :]:
            do, number = order.split()
            for task in self.running:
                if task.number == int(number) and do == "leave":
                    self._signal(task, [task.process.pid])
                elif task.number == int(number):
                    self._end(task, "PREEMPTED")
        self.orders = len(orders)

    def _look_after(self, task: Task) -> None:
        now = time.monotonic()
        if not task.warned and now > task.started + self.limit - self.notice:
            task.warned = True
            self._signal(task, [task.process.pid])
        if task.state == "RUNNING" and now > task.started + self.limit:
            self._end(task, "TIMEOUT")
        if task.killed_at is not None and now > task.killed_at:
            self._signal(task, processes_of(task.mark), signal.SIGKILL)
            task.killed_at = None
        code = task.process.poll()
        if code is not None:
            self._gather(task, code)

    def _end(self, task: Task, state: str) -> None:
        task.state, task.killed_at = state, time.monotonic() + self.kill_wait
        self._signal(task, processes_of(task.mark))

    def _gather(self, task: Task, code: int) -> None:
        self.running.remove(task)
        for process in processes_of(task.mark):
            _kill(process, signal.SIGKILL)
        state = task.state
        if state == "RUNNING":
            state = "NODE_FAIL" if code == -signal.SIGKILL else "COMPLETED" if code == 0 else "FAILED"
        self._note("end", task=task.number, restarts=task.restarts, code=code, state=state)
        if state in ("NODE_FAIL", "PREEMPTED") and "--requeue" in self.options:
            self.waiting.insert(0, (task.number, task.restarts + 1))

    def _signal(self, task: Task, pids: list[int], number: int = signal.SIGTERM) -> None:
        self._note("signal", task=task.number, number=int(number), processes=len(pids))
        for pid in pids:
            _kill(pid, number)

    def _note(self, event: str, **more: Any) -> None:
        with (self.folder / "events.jsonl").open("a") as events:
            events.write(json.dumps({"event": event, **more}) + "\n")


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def main(folder: Path, role: str, *arguments: str) -> int:
    """Be `sbatch`, or the controller of one job."""
    if role == "sbatch":
        return sbatch(folder, list(arguments))
    Controller(folder, int(arguments[0])).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
