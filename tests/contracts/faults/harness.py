"""What every fault test does in the end: run the study undisturbed, and go through the books."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial

from tests.contracts.faults.audit import audit_amiss
from tests.contracts.faults.books import amiss, different, journal_amiss, trained_twice
from tests.contracts.faults.ledger import files_amiss, tracking_amiss
from tests.contracts.faults.victims import NAME, Process, Victim, Warm

LONGEST = 120.0  # seconds that a run of these studies may take on a busy machine


def finish(process: Process, victim: Victim) -> None:
    """Wait for a run that nobody disturbs."""
    code = process.wait(LONGEST)
    if code is None:
        raise AssertionError(f"an undisturbed run hangs; it said\n{tail(victim.log)}")
    assert code == 0, f"an undisturbed run ended with {code}; it said\n{tail(victim.log)}"


def mend(warm: Warm | None, victim: Victim) -> None:
    """What a user does on the morning after: `radsearch doctor`, in a new process where none is warm."""
    long_ago = time.time() - 7200  # doctor leaves alone what a living process may be writing
    for path in victim.folder.glob("home*/**/.*"):
        os.utime(path, (long_ago, long_ago))
    for home in victim.homes:
        code = warm.command(victim, *victim.examined(home)) if warm else _doctor(victim, home)
        assert code == 0, f"doctor ended with {code}; it said\n{tail(victim.log)}"


def _doctor(victim: Victim, home: Path) -> int:
    with victim.log.open("ab") as log:
        command = [sys.executable, "-m", "search.cli", *victim.examined(home)]
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=LONGEST).returncode


def verdict(
    victim: Victim,
    undisturbed: Sequence[FrozenTrial],
    supervisors: int = 1,
    traced: bool = True,
    alone: bool = True,
    same: bool | None = None,
) -> list[str]:
    """Everything that is wrong with a study after its last run, a line each.

    Args:
        victim: The study.
        undisturbed: Its trials where nobody disturbed it.
        supervisors: How many processes ran it at a time; of a journal each may hand out a trial too many.
        traced: Whether its children left a trace.
        alone: Whether nobody can have worked on a trial that another took for lost.
        same: Whether results must be the undisturbed ones; None where one process ran it.
    """

    def read() -> Iterator[str]:
        trials = victim.books.trials()
        yield from journal_amiss(victim.home) if victim.storage is None else audit_amiss(victim.storage)
        yield from amiss(trials, victim.trials, supervisors if victim.storage is None else 1)
        if traced:
            yield from trained_twice(victim.trace, trials, alone)
        if supervisors == 1 if same is None else same:
            yield from different(trials, undisturbed)
        yield from tracking_amiss(victim.home, NAME, trials)
        for home in victim.homes:
            yield from files_amiss(home)

    return list(read())


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(errors="replace")[-2000:]


def report(wrong: Sequence[str], history: Sequence[str], how: str) -> str:
    """A failure's text: what is wrong, what was done, how to do it again."""
    return "\n".join(["", *wrong[:20], f"({len(wrong)} in all) after", *history, f"again: {how}"])
