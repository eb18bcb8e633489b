"""Processes of a study killed at random moments, again and again."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence

from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError

from tests.contracts.faults.books import MOST_RETRIES, SETTINGS, lost
from tests.contracts.faults.harness import LONGEST, finish, tail
from tests.contracts.faults.victims import Process, Victim, child_of, until

Start = Callable[[], Process]

# What a run may end with that a signal met before its handler was set, or after its work was done.
POLITE = {signal.SIGINT: (130, -signal.SIGINT, 0), signal.SIGTERM: (143, -signal.SIGTERM, 0)}


class Havoc:
    """Disturbs one study, and looks at its storage after each blow.

    Args:
        victim: The study.
        start: Starts a run of it.
        seed: Of the moments, and of what is killed.
        span: Seconds after a start, or after the last blow, in which the next one falls.

    Attributes:
        kills: How many processes were killed with SIGKILL.
        history: What was done, a line each.
        wrong: What the storage showed that cannot be.
    """

    def __init__(self, victim: Victim, start: Start, seed: int, span: float) -> None:
        self._victim, self._start, self._span = victim, start, span
        self._random = random.Random(seed)  # noqa: S311
        self._books = victim.books
        self._before: list[FrozenTrial] = []
        self._blind = 0  # processes killed while the storage could not be looked at
        self._began = time.monotonic()
        self.kills = 0
        self.history: list[str] = []
        self.wrong: list[str] = []

    def go(self, kills: int) -> None:
        """Kill until enough were killed or the study is at its end; then let it come there."""
        self.rage(kills)
        self.settle()

    def settle(self) -> None:
        """Let the study come to its end."""
        finish(self._start(), self._victim)
        self._look()

    def rage(self, kills: int) -> None:
        """Kill until enough were killed or the study is at its end."""
        while self.kills < kills:
            owner = self._start()
            blows = [self._child] * self._random.choice((0, 0, 1, 2))  # a slot gives up at its child's third
            blows.append(self._random.choice((self._owner, self._owner, self._both, self._polite)))
            for blow in blows:
                self._pause(owner)
                if owner.wait(0) is not None:
                    break
                blow(owner)
                self._look()
            if owner.wait(0) == 0 and blows[-1] != self._polite:
                break
            if owner.wait(LONGEST) is None:
                self.wrong.append("a run that was stopped does not end")

    def _pause(self, owner: Process) -> None:
        deadline = time.monotonic() + self._random.uniform(0, self._span)
        until(lambda: time.monotonic() > deadline or owner.wait(0) is not None)

    def _child(self, owner: Process) -> None:
        """Kill the child, and wait until its owner took notice."""
        child: list[int | None] = [None]

        def comes() -> bool:
            child[0] = child_of(owner.pid)
            return child[0] is not None or owner.wait(0) is not None

        until(comes)
        self._pause(owner)
        if not self._may_die(owner, 1) or child[0] is None:
            return
        self._kill(child[0], "child")
        until(lambda: child_of(owner.pid) not in (None, child[0]) or owner.wait(0) is not None)

    def _owner(self, owner: Process) -> None:
        if self._may_die(owner, 1):
            self._kill(owner.pid, "owner")

    def _both(self, owner: Process) -> None:
        """Kill everything at once; in the worst case that costs the trial two of its retries."""
        if self._may_die(owner, 2):
            who = [(child_of(owner.pid), "child (and owner)"), (owner.pid, "owner (and child)")]
            for pid, name in self._random.sample(who, 2):
                if pid is not None:
                    self._kill(pid, name)

    def _polite(self, owner: Process) -> None:
        """Ctrl-C, Ctrl-C twice, or SIGTERM."""
        number = self._random.choice((signal.SIGINT, signal.SIGTERM))
        twice = number == signal.SIGINT and self._random.random() < 0.5
        if twice and not self._may_die(owner, 1):
            return
        self._signal(owner.pid, number, number.name)
        if twice:
            time.sleep(self._random.uniform(0, 0.1))
            self._signal(owner.pid, number, f"{number.name} again")
        if not until(lambda: owner.wait(0) is not None, 60):
            self.wrong.append(f"{number.name} ended nothing; the run said\n{tail(self._victim.log)}")
            self._kill(owner.pid, "hanging owner")
        elif owner.wait(0) not in POLITE[number]:
            self.wrong.append(f"after {number.name} the run ended with {owner.wait(0)}")

    def _may_die(self, owner: Process, deaths: int) -> bool:
        """Wait until the trial that would be hit has so many retries left; False when the run ends before."""

        def can_bear() -> bool:
            trials = self._glimpse()
            return not exhausted(self._before if trials is None else trials, deaths + self._blind)

        return until(lambda: owner.wait(0) is not None or can_bear()) and owner.wait(0) is None

    def _kill(self, pid: int, name: str) -> None:
        done = self._signal(pid, signal.SIGKILL, name)
        self.kills += done
        self._blind += done and self._glimpse() is None

    def _glimpse(self) -> list[FrozenTrial] | None:
        """The trials, None while the storage is away."""
        try:
            trials = self._books.trials(patience=0)
        except (OperationalError, StorageInternalError):
            return None
        self._blind = 0
        return trials

    def _signal(self, pid: int, number: signal.Signals, name: str) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        trials = self._glimpse()
        running = [trial for trial in trials or () if trial.state == TrialState.RUNNING]
        at = ", ".join(f"trial {t.number} with {len(t.system_attrs)} entries" for t in running) or "no trial"
        at = "an outage" if trials is None else at
        self.history.append(f"{time.monotonic() - self._began:7.2f} s: {number.name} to the {name}, in {at}")
        return True

    def _look(self) -> None:
        now = self._glimpse()
        if now is None:
            return
        self.wrong += lost(self._before, now)
        self._before = now


class PairHavoc(Havoc):
    """The same to a study that two supervisors run at once."""

    def go(self, kills: int) -> None:
        """Kill one or both and start those that are gone, until enough were killed or both are done."""
        runs = [self._start(), self._start()]
        while self.kills < kills and any(run.wait(0) != 0 for run in runs):
            for run in self._random.sample(runs, self._random.choice((1, 1, 2))):
                self._pause(run)
                self._random.choice((self._owner, self._owner, self._child_at_once))(run)
                self._look()
            for run in runs:
                code = run.wait(0.05)
                if code not in (None, 0, -signal.SIGKILL, 3):
                    self.wrong.append(f"a run ended with {code}; it said\n{tail(self._victim.log)}")
            runs = [self._start() if run.wait(0) else run for run in runs]
        for run in runs:
            finish(run, self._victim)
        finish(self._start(), self._victim)
        self._look()

    def _child_at_once(self, owner: Process) -> None:
        child = child_of(owner.pid)
        if child is not None and self._may_die(owner, 2):
            self._kill(child, "child")


def exhausted(trials: Sequence[FrozenTrial], deaths: int) -> bool:
    """Whether a trial that runs or waits could not bear so many deaths more."""
    alive = (t for t in trials if t.state in (TrialState.RUNNING, TrialState.WAITING))
    return any(int(trial.user_attrs.get("retries", 0)) + deaths > MOST_RETRIES for trial in alive)


def answers_amiss(trials: Sequence[FrozenTrial], splits: str, seed_of: Callable[[int], int]) -> Iterator[str]:
    """Booked folds that are not what a light child answers to the trial's settings and seed."""
    from tests.contracts.faults.light_child import fold_of

    known = json.loads(splits)
    for trial in trials:
        for name, text in trial.system_attrs.items():
            if name.startswith("radsearch:fold:"):
                fold = json.loads(text)
                settings, seed = json.loads(trial.system_attrs[SETTINGS]), seed_of(trial.user_attrs["place"])
                if fold != fold_of(known[fold["split"]], settings, seed, fold["device"]):
                    yield f"trial {trial.number} fold {fold['split']} is not what its settings and seed give"
