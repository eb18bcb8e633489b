"""Real processes are killed, at random moments and between any two writes; then the books are gone through.

After every disturbed study: no fold lost or trained twice, every trial ended once, results those of an
undisturbed run, and MLflow agreeing with the storage. `light_child.py` stands in for the child where a kill
shall cost milliseconds; with `Cold` everything is the real command line.

RADSEARCH_FAULT_SEED moves the random moments (default 0). A failure names what was done, and how to
repeat it.
"""

from __future__ import annotations

import os
import random
import signal

import pytest
from optuna.trial import TrialState

from tests.contracts.faults.books import lines_of
from tests.contracts.faults.harness import finish, mend, report, verdict
from tests.contracts.faults.havoc import PairHavoc
from tests.contracts.faults.points import Point, noted, sample
from tests.contracts.faults.victims import LIGHT, REAL, Victim, child_of, is_stopped, until
from tests.contracts.faults.ward import JOURNAL_LOCKED, SEED, Ward, check, crash, die_at, disturb

FOLD_BOOKED = "sync optuna.journal SET_TRIAL_SYSTEM_ATTR radsearch:fold:N"


@pytest.fixture
def ward(embedded: Ward) -> Ward:
    return embedded


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_nothing(ward: Ward, sampler: str, seed: int) -> None:
    disturb(ward, 25, sampler, 100 * SEED + seed, trials=14)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_many_kills_at_random_moments_lose_nothing(ward: Ward, sampler: str, seed: int) -> None:
    disturb(ward, 100, sampler, 100 * SEED + seed, trials=24)


@pytest.mark.parametrize(
    ("sampler", "seed", "kills"), [("random", 21, 6), pytest.param("tpe", 22, 16, marks=pytest.mark.slow)]
)
def test_the_real_command_line_and_the_real_child_lose_nothing(
    ward: Ward, sampler: str, seed: int, kills: int
) -> None:
    disturb(ward, kills, sampler, 100 * SEED + seed, trials=12, text=REAL, span=4.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [31, 32, 33, 34])
def test_the_real_command_line_under_many_kills(ward: Ward, seed: int) -> None:
    disturb(ward, 20, ("random", "tpe")[seed % 2], 100 * SEED + seed, trials=12, text=REAL, span=4.0)


MORE = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(42, 46)]


@pytest.mark.parametrize("seed", [41, *MORE])
def test_two_supervisors_of_one_study_one_or_both_killed(ward: Ward, seed: int) -> None:
    undisturbed, _ = ward.undisturbed(14, "random")
    victim = ward.victim(14, "random")
    havoc = PairHavoc(victim, lambda: ward.warm.start(victim), 100 * SEED + seed, span=0.5)
    havoc.go(16)
    check(ward, victim, havoc, undisturbed, supervisors=2)
    assert havoc.kills


def test_two_reapers_make_one_copy_even_where_one_is_held_up(ward: Ward) -> None:
    """The first is stopped about to add the copy to the journal, while the second starts."""
    undisturbed, _ = ward.undisturbed(2, "random", LIGHT, 2)
    victim = left_behind(ward)
    log = victim.folder / "reaping.jsonl"
    finish(ward.warm.start(victim, {"root": str(victim.home), "log": str(log), "point": None}), victim)
    labels = [point.label for point in noted(log)]
    copied = next(index for index, label in enumerate(labels) if "CREATE_TRIAL" in label)
    point = Point(JOURNAL_LOCKED, labels[:copied].count(JOURNAL_LOCKED) - 1, "before")

    victim = left_behind(ward)
    points = {"root": str(victim.home), "log": str(log), "point": list(point), "stop": True}
    first = ward.warm.start(victim, points)
    assert until(lambda: is_stopped(first.pid)), "the reaper never came to make a copy"
    second = ward.warm.start(victim)
    until(lambda: second.wait(0) is not None, timeout=3.0)
    os.kill(first.pid, signal.SIGCONT)
    for run in (first, second):
        finish(run, victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed, supervisors=2)
    assert not wrong, report(wrong, [str(point)], "this test")


PARTS = 4


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, PARTS))])
def test_a_kill_between_any_two_writes_loses_nothing(ward: Ward, part: int) -> None:
    _, points = ward.undisturbed(2, "random", LIGHT, 2)
    draw = random.Random(SEED)  # noqa: S311
    crash(ward, sample(points, 12 * PARTS, draw)[part::PARTS])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(12))
def test_a_kill_at_every_write_loses_nothing(ward: Ward, part: int) -> None:
    _, points = ward.undisturbed(2, "random", LIGHT, 2)
    crash(ward, points[part::12])


def left_behind(ward: Ward) -> Victim:
    """A study whose owner died with a trial running, one of its folds booked."""
    victim = ward.victim(2, folds=2)
    assert die_at(ward, victim, Point(FOLD_BOOKED, 0, "after"))
    return victim


def in_reaping(label: str) -> bool:
    """Whether a write is one of those by which a dead owner's trial is taken up again."""
    return any(
        name in label
        for name in ("_ATTR ending", "_ATTR error", "_ATTR fate", "STATE_VALUES", "CREATE_TRIAL")
    )


def test_a_reaper_killed_half_way_is_followed_by_two_at_once(ward: Ward) -> None:
    """Also torn: each write of the reaping is the last of the first reaper; two others start together."""
    undisturbed, _ = ward.undisturbed(2, "random", LIGHT, 2)
    victim = left_behind(ward)
    log = victim.folder / "reaping.jsonl"
    finish(ward.warm.start(victim, {"root": str(victim.home), "log": str(log), "point": None}), victim)
    seen = noted(log)
    owned = next(index for index, point in enumerate(seen) if "owner" in point.label)
    points = [point for point in seen[:owned] if in_reaping(point.label)]
    assert len(points) >= 8
    wrong = []
    for point in points:
        victim = left_behind(ward)
        assert die_at(ward, victim, point), point
        for run in [ward.warm.start(victim), ward.warm.start(victim)]:
            finish(run, victim)
        mend(ward.warm, victim)
        wrong += [f"killed {point}: {line}" for line in verdict(victim, undisturbed, supervisors=2)]
        copies = [t for t in victim.books.trials() if t.user_attrs.get("retry_of") == 0]
        if len(copies) != 1:
            wrong.append(f"killed {point}: {len(copies)} copies of the trial")
    assert not wrong, report(wrong, map(str, points), "the same points")


@pytest.mark.parametrize("who", [("owner",) * 3, ("child", "owner", "child")], ids="-".join)
def test_a_trial_hit_three_times_is_given_up_and_the_others_go_on(ward: Ward, who: tuple[str, ...]) -> None:
    undisturbed, _ = ward.undisturbed(4, "random")
    victim = ward.victim(4)
    books = victim.books

    def runs_with(retries: int) -> bool:
        return any(
            (trial.state, trial.user_attrs.get("key"), trial.user_attrs.get("retries", 0))
            == (TrialState.RUNNING, 1, retries)
            for trial in books.trials()
        )

    owner = ward.warm.start(victim)
    for retries, name in enumerate(who):
        assert until(lambda n=retries, pid=owner.pid: runs_with(n) and child_of(pid) is not None)
        os.kill(owner.pid if name == "owner" else child_of(owner.pid) or 0, 9)
        if name == "owner":
            owner.wait(60)
            owner = ward.warm.start(victim)
    finish(owner, victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed)
    assert not wrong, report(wrong, who, "this test")
    states = [(line.last.state.name, line.ending) for line in lines_of(books.trials())]
    assert states == [("COMPLETE", "complete"), ("FAIL", f"{who[-1]} lost"), *[("COMPLETE", "complete")] * 2]


@pytest.mark.parametrize(
    "commit", [0, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 60, 4))]
)
def test_a_kill_while_mlflow_makes_its_database(ward: Ward, commit: int) -> None:
    undisturbed, _ = ward.undisturbed(2, "random", LIGHT, 2)
    victim = ward.victim(2, folds=2)
    (victim.home / "mlflow.db").unlink()
    die_at(ward, victim, Point("commit in None", commit, "before"))
    finish(ward.warm.start(victim), victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed)
    assert not wrong, report(wrong, [f"killed at commit {commit}"], "this test")
