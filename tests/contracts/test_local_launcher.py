"""`radsearch submit --launcher local`: real workers on the journal of a home, one of them killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.faults.books import Books, amiss, trained_twice
from tests.contracts.faults.victims import LIGHT, NAME, Victim, child_of, make_victim, until
from tests.contracts.light_workers import light_node


def workers_of(victim: Victim) -> list[int]:
    """The processes of workers of this study."""
    wanted = f"\0worker\0{NAME}\0".encode()
    home = f"RADSEARCH_HOME={victim.home}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in path.read_bytes() and home in (path.parent / "environ").read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_worker_that_is_killed_in_a_fold_is_started_again_and_the_study_comes_to_its_end(
    make_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    cohort = make_cohort(tmp_path / "cohort", participants=12, biopsies=36, sequences=("T1", "T2"), size=12)
    victim = make_victim(tmp_path / "victim", cohort, LIGHT, trials=5)
    flags = ("--launcher", "local", "--workers", "2", "--home", str(victim.home))
    command = [sys.executable, "-P", "-m", "search.cli", "submit", str(victim.folder / "study.toml"), *flags]
    path = f"{light_node(victim, seconds=1)}:{os.environ.get('PYTHONPATH', '')}"
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    with victim.log.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    assert until(victim.trace.exists, 120)
    killed = next(pid for pid in workers_of(victim) if child_of(pid))
    os.kill(killed, signal.SIGKILL)
    assert process.wait(240) == 0
    said = victim.log.read_text()
    assert said.count("was ended by SIGKILL: started again") == 1
    assert "(5 of 5" in said
    trials = Books(victim.home, NAME).trials()
    assert [*amiss(trials, 5, 2), *trained_twice(victim.trace, trials)] == []
    assert workers_of(victim) == []
