"""What only a database brings: it is killed at random, machines fall silent, processes stop and come back.

See `test_faults.py` for what is asserted and how to repeat a failure. `test_outage_postgresql.py` has the
outages that are no accident.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from optuna.trial import FrozenTrial, TrialState

from search.owner import Owner
from tests.contracts.faults.audit import silence_before
from tests.contracts.faults.books import folds_of, lines_of
from tests.contracts.faults.crowd import UNREACHABLE, Crowd
from tests.contracts.faults.harness import LONGEST, finish, mend, report, tail, verdict
from tests.contracts.faults.havoc import Havoc
from tests.contracts.faults.outages import Outages
from tests.contracts.faults.victims import FREE, Forked, Victim, child_of, is_stopped, until
from tests.contracts.faults.ward import AGAIN, SEED, Ward, check, freely
from tests.postgresql import Cluster


@pytest.fixture
def ward(clustered: Ward) -> Ward:
    return clustered


def admit(ward: Ward, trials: int, seconds: float, grace: int = 30) -> Victim:
    """A study whose folds take up to so many seconds."""
    return replace(ward.victim(trials, text=FREE), seconds=seconds, grace=grace)


Spans = tuple[tuple[float, float], tuple[float, float]]  # seconds up and seconds down, at least and at most
SHORT: Spans = ((0.5, 3.0), (0.2, 1.0))
LONG: Spans = ((3.0, 9.0), (0.2, 10.0))


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "spans"), [(51, SHORT), (52, SHORT), (53, LONG), (54, LONG)])
def test_a_database_killed_again_and_again_costs_no_trial_and_no_fold(
    ward: Ward, mortal: Cluster, seed: int, spans: Spans
) -> None:
    undisturbed = freely(ward, 8)
    victim = admit(ward, 8, seconds=1.0)
    with Outages(mortal, 100 * SEED + seed, *spans) as outages:
        run = ward.warm.start(victim)
        while (code := run.wait(1.0)) is None or code == UNREACHABLE:
            run = run if code is None else ward.warm.start(victim)  # nobody waits for a database at the start
    finish(ward.warm.start(victim), victim)
    mend(ward.warm, victim)
    trials_of = victim.books.trials()
    wrong = [] if code == 0 else [f"the run ended with {code}; it said\n{tail(victim.log)}"]
    wrong += verdict(victim, undisturbed)
    wrong += [f"trial {t.number} lost an owner" for t in trials_of if t.user_attrs.get("retries", 0)]
    assert not wrong, report(wrong, outages.history, AGAIN)
    assert outages.kills > 1


@pytest.mark.parametrize(
    ("seed", "kills", "trials", "spans"),
    [
        (61, 3, 4, ((1.0, 5.0), (0.2, 2.0))),
        pytest.param(62, 12, 8, ((1.0, 5.0), (0.2, 2.0)), marks=pytest.mark.slow),
        pytest.param(63, 12, 8, LONG, marks=pytest.mark.slow),
    ],
)
def test_database_and_worker_killed_at_random(
    ward: Ward,
    mortal: Cluster,
    seed: int,
    kills: int,
    trials: int,
    spans: Spans,
) -> None:
    undisturbed = freely(ward, trials)
    victim = admit(ward, trials, seconds=0.6)
    havoc = Havoc(victim, partial(ward.warm.start, victim), 100 * SEED + seed, span=3.0)
    with Outages(mortal, 100 * SEED + seed, *spans) as outages:
        havoc.rage(kills)
    havoc.settle()
    havoc.history += outages.history
    check(ward, victim, havoc, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "seed"), [(2, 71), (4, 72)])
def test_database_and_several_workers_killed_at_random(
    ward: Ward, mortal: Cluster, size: int, seed: int
) -> None:
    """A fold that waits on the disk of a killed worker may be trained again by another, and booked once."""
    undisturbed = freely(ward, 12)
    victim = admit(ward, 12, seconds=0.6)
    crowd = Crowd(victim, ward.warm, size, 100 * SEED + seed, span=3.0)
    with Outages(mortal, 100 * SEED + seed, up=(2.0, 8.0), down=(0.2, 6.0)) as outages:
        crowd.rage(12)
    crowd.settle()
    crowd.history += outages.history
    check(ward, victim, crowd, undisturbed, size, alone=False, same=True)


def of(process: Forked) -> Callable[[FrozenTrial], bool]:
    return lambda trial: Owner.parse(trial.user_attrs.get("owner", ":::0:0")).pid == process.pid


def with_a_fold(victim: Victim, process: Forked) -> FrozenTrial | None:
    """The trial that a process runs, when it has a fold and lacks another."""
    running = (t for t in victim.books.trials() if t.state == TrialState.RUNNING and of(process)(t))
    return next((trial for trial in running if 0 < len(folds_of(trial)) < 3), None)


def joined(ward: Ward, victim: Victim, host: str | None) -> tuple[Forked, Forked, FrozenTrial]:
    """A run, a worker beside it, and the worker's trial with a fold."""
    run = ward.warm.start(victim)
    assert until(lambda: victim.books.trials()), tail(victim.log)
    worker = ward.warm.join(victim, 1, host=host)
    seen: list[FrozenTrial | None] = [None]

    def comes() -> bool:
        seen[0] = with_a_fold(victim, worker)
        return seen[0] is not None or worker.wait(0) is not None

    assert until(comes), tail(victim.log)
    assert seen[0] is not None, f"the study was over before; it said\n{tail(victim.log)}"
    return run, worker, seen[0]


def is_taken_up(victim: Victim, trial: FrozenTrial) -> bool:
    return any(t.user_attrs.get("retry_of") == trial.number for t in victim.books.trials())


def test_a_worker_of_another_machine_is_lost_after_the_grace_and_not_before(ward: Ward) -> None:
    undisturbed = freely(ward, 4)
    victim = admit(ward, 4, seconds=1.0, grace=3)
    run, worker, trial = joined(ward, victim, "node1")
    os.kill(worker.pid, signal.SIGKILL)
    assert until(lambda: is_taken_up(victim, trial)), tail(victim.log)
    finish(run, victim)
    finish(ward.warm.join(victim, 1, host="node1"), victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed, supervisors=2, same=True)
    assert not wrong, report(wrong, ["the worker was killed"], "this test")
    assert victim.storage is not None
    assert silence_before(victim.storage, trial._trial_id) > victim.grace
    line = next(
        line for line in lines_of(victim.books.trials()) if trial.number in {t.number for t in line.trials}
    )
    assert set(folds_of(trial).items()) <= set(line.booked.items())


@pytest.mark.parametrize("host", [None, pytest.param("node1", marks=pytest.mark.slow)])
def test_a_worker_that_was_stopped_for_longer_than_the_grace_speaks_too_late(
    ward: Ward, host: str | None
) -> None:
    undisturbed = freely(ward, 6)
    victim = admit(ward, 6, seconds=1.0, grace=3)
    run, worker, trial = joined(ward, victim, host)
    both = [pid for pid in (child_of(worker.pid), worker.pid) if pid is not None]
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    assert until(lambda: is_taken_up(victim, trial)), tail(victim.log)
    for pid in both:
        os.kill(pid, signal.SIGCONT)
    for process in (worker, run):
        finish(process, victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed, supervisors=2, alone=False, same=True)
    assert not wrong, report(wrong, ["the worker was stopped"], "this test")
    assert "another process had already ended this trial" in victim.log.read_text()
    assert any(of(worker)(t) and t.number > trial.number for t in victim.books.trials()), "it goes on"


CLAIMING = ["commit UPDATE trials RUNNING", 0, "after"]  # the lock is held, and the trial has no owner yet


def stopped_at(ward: Ward, victim: Victim, point: list[str | int]) -> Forked:
    """A run that was stopped at a point."""
    log = victim.folder / "points.jsonl"
    points = {"root": str(victim.home), "log": str(log), "point": point, "stop": True}
    run = ward.warm.start(victim, points)
    assert until(lambda: is_stopped(run.pid)), tail(victim.log)
    return run


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGCONT, marks=pytest.mark.slow)], ids=lambda n: n.name
)
def test_the_holder_of_the_lock_holds_nobody_up_for_good(ward: Ward, number: signal.Signals) -> None:
    undisturbed = freely(ward, 3)
    victim = admit(ward, 3, seconds=0.06)
    first = stopped_at(ward, victim, CLAIMING)
    second = ward.warm.join(victim, 1)
    assert second.wait(3.0) is None, tail(victim.log)
    assert [trial.state.name for trial in victim.books.trials()] == ["RUNNING"]
    os.kill(first.pid, number)
    finish(second, victim)
    finish(ward.warm.start(victim), victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed, supervisors=2, same=True)
    assert not wrong, report(wrong, [f"{number.name} to who held the lock"], "this test")


@pytest.mark.slow
def test_a_holder_of_the_lock_that_stays_stopped_loses_it(ward: Ward) -> None:
    undisturbed = freely(ward, 3)
    victim = admit(ward, 3, seconds=0.06)
    first = stopped_at(ward, victim, CLAIMING)
    second = ward.warm.join(victim, 1)
    second.wait(LONGEST)  # the server waits for two minutes
    code = second.wait(LONGEST)
    assert code == 0, f"it ended with {code}; it said\n{tail(victim.log)}"
    assert is_stopped(first.pid)
    os.kill(first.pid, signal.SIGCONT)
    finish(first, victim)
    finish(ward.warm.start(victim), victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed, supervisors=2, alone=False, same=True)
    assert not wrong, report(wrong, ["who held the lock was stopped"], "this test")


SIGNED = "trial_user_attributes place"  # the first write to a trial when the lock was given back
LATE = [
    (SIGNED, "after"),
    (SIGNED, "before"),
    ("trial_user_attributes key", "after"),
    ("trial_user_attributes ending", "after"),
    ("trial_system_attributes radsearch:fold:N", "before"),
    ("trial_system_attributes radsearch:fold:N", "after"),
    ("trial_system_attributes radsearch:settings", "after"),
    ("trial_intermediate_values", "after"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "how"), LATE)
def test_a_worker_stopped_at_a_write_goes_on_when_its_trial_is_anothers(
    ward: Ward, what: str, how: str
) -> None:
    """Before a commit it holds its rows for as long as PostgreSQL lets it, a minute."""
    undisturbed = freely(ward, 3)
    victim = admit(ward, 3, seconds=0.06, grace=3)
    first = stopped_at(ward, victim, [f"commit INSERT {what}", 0, how])
    (trial,) = (trial for trial in victim.books.trials() if trial.state == TrialState.RUNNING)
    second = ward.warm.join(victim, 1)
    assert until(lambda: is_taken_up(victim, trial), LONGEST), tail(victim.log)
    os.kill(first.pid, signal.SIGCONT)
    for process in (first, second):
        finish(process, victim)
    finish(ward.warm.start(victim), victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed, supervisors=2, alone=False, same=True)
    assert not wrong, report(wrong, [f"stopped {how} {what}"], "this test")
