"""Real workers on a real Ray cluster and a real PostgreSQL; some are killed in the middle of a fold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from search.home import Home
from search.launchers import ray_cluster
from search.launchers.request import Batch, LaunchRequest
from search.progress import Listener
from search.study_file import read_study
from search.supervisor import RunOptions, create_study
from tests.contracts.faults import ray_light
from tests.contracts.faults.books import lines_of
from tests.contracts.faults.harness import mend, report, tail, verdict
from tests.contracts.faults.victims import NAME, REAL, Victim, prepare_process, until
from tests.contracts.faults.ward import Ward
from tests.postgresql import PASSWORD, Cluster
from tests.ray_head import ROOT, Head

BATCH = Batch("04:00:00", None, None, 1, 120)


@pytest.fixture(scope="module")
def ward(
    postgres: Cluster, make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Ward:
    folder = tmp_path_factory.mktemp("faults")
    cohort = make_cohort(folder / "cohort", participants=12, biopsies=36, sequences=("T1", "T2"), size=12)
    return Ward(folder, cohort, None, postgres)  # type: ignore[arg-type]


def request_of(victim: Victim, head: Head, workers: int) -> LaunchRequest:
    """What `radsearch submit` asks for."""
    environment = {"RADSEARCH_HOME": str(victim.home), "RADSEARCH_STORAGE": str(victim.storage)}
    return LaunchRequest(
        study=NAME,
        trials=victim.trials,
        folder=Home(victim.home).study(NAME).root,
        worker=("worker", NAME, "--workers", "1", "--gpus=", "--leave-within", "90"),
        environment={**environment, "LIGHT": json.dumps(victim.light)},
        at_once=workers,
        gpus=0,
        cpus=1,
        memory_mb=64,
        address=head.address,
        batch=BATCH,
    )


def open_study(victim: Victim) -> None:
    """Create the study, as `radsearch submit` does before anything is launched."""
    study = read_study(victim.folder / "study.toml")
    create_study(study, Home(victim.home), RunOptions(storage=victim.storage), Listener())


@dataclass
class Killer(threading.Thread):
    """Kills the processes of Ray in which workers are, each in the middle of a fold that is not its first.

    Attributes:
        victim: The study.
        kills: How many.
        killed: What was being trained, as the trace has it.
    """

    victim: Victim
    kills: int
    killed: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        for _ in range(self.kills):
            until(self._kill_one, pause=0.005)

    def _kill_one(self) -> bool:
        events = events_of(self.victim)
        ended = {event["training"] for event in events if event["event"] == "end"}
        for event in events:
            if event["event"] == "start" and event["split"] and event["training"] not in ended:
                owner = owner_of(int(event["training"].partition("-")[0]))
                if owner is not None and event["seed"] not in {other["seed"] for other in self.killed}:
                    os.kill(owner, signal.SIGKILL)
                    self.killed.append(event)
                    return True
        return False

    __hash__ = threading.Thread.__hash__


def events_of(victim: Victim) -> list[dict[str, Any]]:
    """What light children have begun and ended."""
    lines = victim.trace.read_text().splitlines(keepends=True) if victim.trace.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def owner_of(child: int) -> int | None:
    """The process of Ray that started a child; None where one of the two is dead."""
    try:
        parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
        title = Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return None
    return parent if title.startswith(b"ray::radsearch worker") else None


def test_a_worker_killed_in_a_fold_is_started_again_and_its_trial_goes_on_in_that_fold(
    ray_head: Head, ward: Ward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = replace(ward.victim(5), seconds=1.0)
    open_study(victim)
    monkeypatch.setattr(ray_cluster, "work", ray_light.work)
    killer = Killer(victim, kills=2)
    killer.start()
    assert ray_cluster.launch(request_of(victim, ray_head, workers=2)) == 0
    killer.join()
    assert len(killer.killed) == 2
    told = capsys.readouterr().out
    assert told.count("was lost: The worker died unexpectedly") == 2
    mend(None, victim)
    wrong = verdict(victim, [], supervisors=2)
    assert not wrong, report(wrong, [str(event) for event in killer.killed], "this test")
    events = events_of(victim)
    for killed in killer.killed:
        begun = Counter(e["split"] for e in events if e["seed"] == killed["seed"] and e["event"] == "start")
        assert begun.pop(killed["split"]) == 2
        assert set(begun.values()) == {1}
    retried = [line for line in lines_of(victim.books.trials()) if len(line.trials) > 1]
    assert [len(line.trials) for line in retried] == [2, 2]


class Submission:
    """`radsearch submit --launcher ray` without an address, as a shell would start it."""

    def __init__(self, victim: Victim, *more: str) -> None:
        where = ["--home", str(victim.home), "--storage", str(victim.storage)]
        study = str(victim.folder / "study.toml")
        command = ["submit", study, "--launcher", "ray", "--workers", "2", *where, *more]
        keep = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.sessions = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))  # the path of a socket is short
        ours = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(self.sessions)}
        with victim.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "search.cli", *command],
                env={**keep, **ours},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=prepare_process,
            )

    def end(self) -> int:
        """Wait for it; nothing of its cluster is left behind."""
        code = self.process.wait(180)
        assert until(lambda: not self._left_behind(), 20), self._left_behind()
        self.sessions.rmdir()
        return code

    def _left_behind(self) -> list[str]:
        """Processes and folders of its cluster."""
        mine = f"RAY_TMPDIR={self.sessions}\0".encode()
        processes = (path for path in Path("/proc").glob("[0-9]*") if mine in _content(path / "environ"))
        return [str(path) for path in (*processes, *self.sessions.iterdir())]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_baselines_on_a_cluster_of_this_machine_alone_run_to_their_end(ward: Ward) -> None:
    victim = ward.victim(4, text=REAL)
    assert Submission(victim).end() == 0, tail(victim.log)
    wrong = verdict(victim, [], supervisors=2, traced=False)
    assert not wrong, report(wrong, [], "this test")
    said = victim.log.read_text()
    assert "4 of 4)" in said
    assert PASSWORD not in said


@pytest.mark.slow
@pytest.mark.parametrize(("send", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_whoever_waits_is_interrupted_and_the_same_command_continues(
    ward: Ward, send: Callable[[int, int], None], number: int
) -> None:
    """A terminal sends SIGINT to all processes of the group."""
    victim = ward.victim(40, text=REAL)
    submission = Submission(victim)
    assert until(lambda: any(trial.state.is_finished() for trial in victim.books.trials()), 120)
    send(submission.process.pid, number)
    assert submission.end() == 128 + number, tail(victim.log)
    assert "Stopped. The same command continues the study." in victim.log.read_text()
    trials = victim.books.trials()
    assert not [trial for trial in trials if trial.state == TrialState.RUNNING]
    assert not [trial for trial in trials if trial.user_attrs.get("ending") == "owner lost"]
    rest = replace(victim, trials=sum(trial.state.is_finished() for trial in trials) + 2)
    assert Submission(rest, "--trials", str(rest.trials)).end() == 0, tail(victim.log)
    wrong = verdict(rest, [], supervisors=2, traced=False)
    assert not wrong, report(wrong, [], "this test")
