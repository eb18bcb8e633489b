"""A PostgreSQL that goes away in the middle of a study: training goes on, and nothing is lost or done twice.

Kills at any write and at random are in `test_faults_postgresql.py`; here the database is away for as long as
several folds take.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from search.home import Home
from search.spool import peek
from tests.contracts.faults.books import folds_of
from tests.contracts.faults.harness import finish, mend, report, tail, verdict
from tests.contracts.faults.victims import FREE, NAME, Victim, child_of, until
from tests.contracts.faults.ward import Ward
from tests.postgresql import PASSWORD, Cluster
from tests.proxy import Proxy

TRIALS, FOLDS = 2, 4
GRACE = 6  # seconds: an outage is to last for longer
# Nothing that it finds is so good that a run would end with an audit.
POOR = FREE.replace("low = 1e-4, high = 1e-1", "low = 1e-6, high = 1e-5").replace("= 0.01", "= 1e-5")


def admit(ward: Ward, seconds: float = 1.0, grace: int = 60) -> Victim:
    return replace(ward.victim(TRIALS, text=POOR, folds=FOLDS), seconds=seconds, grace=grace)


def trained(victim: Victim, event: str = "end") -> int:
    """How many folds have ended, or started."""
    lines = victim.trace.read_text().splitlines() if victim.trace.exists() else []
    return sum(json.loads(line)["event"] == event for line in lines)


def unbooked(victim: Victim) -> list[dict[str, Any]]:
    """What waits on disks for the database."""
    folders = [Home.at(home).study(NAME).unbooked for home in victim.homes]
    return [event for folder in folders for path in folder.glob("*.jsonl") for event in peek(path)]


@contextmanager
def away(server: Cluster) -> Iterator[None]:
    """Kill the server, and start it again after the block."""
    server.kill()
    try:
        yield
    finally:
        server.start()


def check(ward: Ward, victim: Victim, what: str, workers: int = 1, mended: bool = True) -> list[FrozenTrial]:
    """Go through the books; the trials."""
    if mended:
        mend(ward.warm, victim)
    undisturbed, _ = ward.undisturbed(victim.trials, "random", POOR, FOLDS)
    wrong = verdict(victim, undisturbed, workers, same=True)
    wrong += [f"on a disk is still {event}" for event in unbooked(victim)]
    wrong += [f"{word} is in the log" for word in (PASSWORD, "Traceback") if word in victim.log.read_text()]
    assert not wrong, report([*wrong, tail(victim.log)], [what], "this test")
    return victim.books.trials()


def test_training_goes_on_while_the_database_is_away(clustered: Ward, mortal: Cluster) -> None:
    """To the end of the trial, which is told when the database is back."""
    victim = admit(clustered)
    run = clustered.warm.start(victim)
    assert until(lambda: trained(victim, "start") > trained(victim) > 0), tail(victim.log)
    with away(mortal):
        assert until(lambda: trained(victim) == FOLDS), tail(victim.log)
        assert until(lambda: len(unbooked(victim)) >= FOLDS - 2), tail(victim.log)
        assert run.wait(1.0) is None, tail(victim.log)
        assert trained(victim, "start") == FOLDS
    finish(run, victim)
    trials = check(clustered, victim, "the database was away until a trial had ended", mended=False)
    assert len(trials) == TRIALS
    said = victim.log.read_text()
    assert "does not answer" in said
    assert "answers again" in said
    assert "folds that waited for it" in said


def test_folds_on_the_disk_of_a_killed_worker_are_not_trained_again(clustered: Ward, mortal: Cluster) -> None:
    victim = admit(clustered)
    run = clustered.warm.start(victim)
    assert until(lambda: trained(victim, "start") > trained(victim) > 0), tail(victim.log)
    with away(mortal):
        assert until(lambda: len(unbooked(victim)) >= 2), tail(victim.log)
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait(60) == -signal.SIGKILL
    finish(clustered.warm.start(victim), victim)
    assert trained(victim, "start") <= TRIALS * FOLDS + 1
    check(clustered, victim, "the database was away when the worker was killed")


@pytest.mark.parametrize(
    ("moment", "which"),
    [
        ("in a fold", signal.SIGINT),
        ("at the end", signal.SIGINT),
        pytest.param("in a fold", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_who_stops_a_run_while_the_database_is_away_waits_for_nothing(
    clustered: Ward, mortal: Cluster, moment: str, which: signal.Signals
) -> None:
    victim = admit(clustered)
    run = clustered.warm.start(victim)
    begun = FOLDS if moment == "at the end" else 2
    assert until(lambda: trained(victim, "start") == begun), tail(victim.log)
    with away(mortal):
        assert until(lambda: len(unbooked(victim)) >= 1), tail(victim.log)
        assert until(lambda: moment == "in a fold" or trained(victim) == FOLDS), tail(victim.log)
        os.kill(run.pid, which)
        assert run.wait(30) == 128 + which, tail(victim.log)
        assert unbooked(victim)[-1].get("left")
    finish(clustered.warm.start(victim), victim)
    assert trained(victim, "start") <= TRIALS * FOLDS + (moment == "in a fold")
    trials = check(clustered, victim, f"the run was stopped {moment} while the database was away")
    interrupted, copy = (trial for trial in trials if trial.user_attrs["key"] == 0)
    assert interrupted.user_attrs["ending"] == "interrupted"
    assert (copy.state, copy.user_attrs["retries"]) == (TrialState.COMPLETE, 0)


@pytest.mark.parametrize("how", ["killed", "held up"])
def test_after_an_outage_for_longer_than_grace_nobody_takes_living_trials_for_lost(
    clustered: Ward, mortal: Cluster, how: str
) -> None:
    victim = admit(clustered, 2.0, GRACE)
    runs = [clustered.warm.start(victim, host="node0")]
    assert until(lambda: trained(victim, "start") > 0), tail(victim.log)
    runs.append(clustered.warm.join(victim, 1, host="node1"))
    assert until(lambda: len(running(victim)) == 2), tail(victim.log)
    with away(mortal) if how == "killed" else mortal.held_up():
        assert runs[0].wait(GRACE + 3) is None, tail(victim.log)
    for run in runs:
        finish(run, victim)
    trials = check(clustered, victim, f"the database was {how} for longer than grace", 2, mended=False)
    assert len(trials) == TRIALS


def running(victim: Victim) -> list[FrozenTrial]:
    return [trial for trial in victim.books.trials() if trial.state == TrialState.RUNNING]


def test_folds_of_a_worker_that_is_cut_off_go_to_the_copy_that_others_made(
    clustered: Ward, mortal: Cluster
) -> None:
    """It alone is away for longer than grace, and the other is busy with a fold that does not end."""
    victim, network = admit(clustered, grace=GRACE), Proxy(mortal.port)
    url = sqlalchemy.make_url(str(victim.storage)).set(port=network.port)
    cut_off = replace(victim, storage=url.render_as_string(hide_password=False), seconds=3.0)
    busy = clustered.warm.start(victim, host="node0")
    assert until(lambda: trained(victim, "start") > 0), tail(victim.log)
    child = child_of(busy.pid)
    assert child is not None
    os.kill(child, signal.SIGSTOP)
    before = trained(victim)
    worker = clustered.warm.join(cut_off, 1, host="node1")
    assert until(lambda: trained(victim) > before), tail(victim.log)
    network.close()
    assert until(lambda: len(unbooked(victim)) > 0), tail(victim.log)
    assert until(lambda: len(victim.books.trials()) == 3), tail(victim.log)
    network.reopen()
    assert until(lambda: len(folds_of(victim.books.trials()[2])) == FOLDS), tail(victim.log)
    os.kill(child, signal.SIGCONT)
    for run in (busy, worker):
        finish(run, victim)
    _, lost, copy = check(clustered, victim, "one worker was cut off for longer than grace", 2)
    assert lost.user_attrs["ending"] == "owner lost"
    assert copy.user_attrs["retry_of"] == lost.number
    assert len(folds_of(lost)) < FOLDS
    assert trained(victim, "start") == TRIALS * FOLDS
