"""The faults of the embedded mode on a real PostgreSQL: workers killed, at random moments and at any commit.

Each study has a database of its own, which notes by itself what happens to trials (`faults/audit.py`), and
MLflow in its first home. See `test_faults.py` for what is asserted and how to repeat a failure, and
`test_faults_outages.py` for what only a database brings: that it is killed, and machines that fall silent.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from tests.contracts.faults.crowd import UNREACHABLE, Crowd
from tests.contracts.faults.harness import LONGEST, finish, mend, report, verdict
from tests.contracts.faults.points import Point, noted, sample
from tests.contracts.faults.victims import FREE, LIGHT, REAL, Victim, is_stopped, until
from tests.contracts.faults.ward import SEED, Ward, check, crash, die_at, disturb, freely

FOLD_BOOKED = "commit INSERT trial_system_attributes radsearch:fold:N"
COPIED = "commit INSERT trials RUNNING"  # which Optuna turns to WAITING in the same transaction


@pytest.fixture
def ward(clustered: Ward) -> Ward:
    return clustered


@pytest.mark.parametrize(
    ("sampler", "kills", "trials"),
    [
        ("random", 6, 5),
        *(pytest.param(sampler, 100, 24, marks=pytest.mark.slow) for sampler in ("random", "tpe")),
    ],
)
def test_kills_at_random_moments_lose_nothing(ward: Ward, sampler: str, kills: int, trials: int) -> None:
    disturb(ward, kills, sampler, 100 * SEED + 1, trials)


@pytest.mark.slow
def test_the_real_command_line_and_the_real_child_lose_nothing(ward: Ward) -> None:
    disturb(ward, 16, "random", 100 * SEED + 21, trials=12, text=REAL, span=4.0)


def test_the_journal_and_the_database_give_the_same_results(ward: Ward, tmp_path: Path) -> None:
    embedded = Ward(tmp_path, ward.cohort, ward.warm)
    here, there = (found.undisturbed(2, "random", LIGHT, 2)[0] for found in (ward, embedded))
    assert [trial.params for trial in here] == [trial.params for trial in there]
    assert [trial.values for trial in here] == [trial.values for trial in there]
    assert [trial.intermediate_values for trial in here] == [trial.intermediate_values for trial in there]


@pytest.mark.parametrize(
    ("size", "kills", "trials", "seed"),
    [
        (2, 6, 6, 41),
        *(pytest.param(size, 40, 24, 40 + size, marks=pytest.mark.slow) for size in (2, 3, 4)),
    ],
)
def test_several_processes_of_one_study_killed_at_random(
    ward: Ward, size: int, kills: int, trials: int, seed: int
) -> None:
    victim = ward.victim(trials, text=FREE)
    crowd = Crowd(victim, ward.warm, size, 100 * SEED + seed, span=0.6)
    crowd.go(kills)
    check(ward, victim, crowd, freely(ward, trials), size, same=True)
    assert crowd.kills


def commits(points: list[Point]) -> list[Point]:
    """Those points at which the database is written to, or its lock is taken."""
    return [point for point in points if point.label.startswith(("commit INSERT", "commit UPDATE", "locked"))]


@pytest.mark.parametrize(
    ("part", "parts"), [(0, 40), *(pytest.param(part, 8, marks=pytest.mark.slow) for part in range(8))]
)
def test_a_kill_at_any_commit_loses_nothing(ward: Ward, part: int, parts: int) -> None:
    points = commits(ward.undisturbed(2, "random", LIGHT, 2)[1])
    draw = random.Random(SEED)  # noqa: S311
    crash(ward, sample(points, len(points), draw)[part::parts])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_kill_between_any_two_writes_loses_nothing(ward: Ward, part: int) -> None:
    _, points = ward.undisturbed(2, "random", LIGHT, 2)
    crash(ward, sample(points, 48, random.Random(SEED))[part::4])  # noqa: S311


@pytest.mark.parametrize(
    ("part", "parts"), [(1, 50), *(pytest.param(part, 8, marks=pytest.mark.slow) for part in range(8))]
)
def test_an_answer_that_is_lost_at_any_commit_changes_nothing(ward: Ward, part: int, parts: int) -> None:
    """The connection breaks before the commit or after it; a run that has begun goes on by itself."""
    undisturbed, points = ward.undisturbed(2, "random", LIGHT, 2)
    broken = [point for point in commits(points) if point.label != "locked"]
    wrong = []
    for point in sample(broken, len(broken), random.Random(SEED))[part::parts]:  # noqa: S311
        victim = ward.victim(2, folds=2)
        log = victim.folder / "points.jsonl"
        points_of = {"root": str(victim.home), "log": str(log), "point": list(point), "cut": True}
        run = ward.warm.start(victim, points_of)
        if run.wait(LONGEST) == UNREACHABLE and not victim.trace.exists():  # the study was being opened
            run = ward.warm.start(victim)
        finish(run, victim)
        mend(ward.warm, victim)
        wrong += [f"cut {point}: {line}" for line in verdict(victim, undisturbed)]
    assert not wrong, report(wrong, [], "these points alone")


def left_behind(ward: Ward) -> Victim:
    """A study whose owner died with a trial running, one of its folds booked."""
    victim = ward.victim(2, folds=2)
    assert die_at(ward, victim, Point(FOLD_BOOKED, 0, "after"))
    return victim


def copies_of_first(victim: Victim) -> int:
    return sum(trial.user_attrs.get("retry_of") == 0 for trial in victim.books.trials())


def test_two_reapers_make_one_copy_even_where_one_is_held_up(ward: Ward) -> None:
    """The first is stopped about to add the copy, while the second starts."""
    undisturbed, _ = ward.undisturbed(2, "random", LIGHT, 2)
    victim = left_behind(ward)
    log = victim.folder / "reaping.jsonl"
    points = {"root": str(victim.home), "log": str(log), "point": [COPIED, 0, "before"], "stop": True}
    first = ward.warm.start(victim, points)
    assert until(lambda: is_stopped(first.pid)), "the reaper never came to make a copy"
    second = ward.warm.join(victim, 1)
    until(lambda: second.wait(0) is not None, timeout=3.0)
    os.kill(first.pid, signal.SIGCONT)
    for run in (first, second):
        finish(run, victim)
    mend(ward.warm, victim)
    wrong = verdict(victim, undisturbed, supervisors=2)
    assert not wrong, report(wrong, [], "this test")
    assert copies_of_first(victim) == 1


def in_reaping(label: str) -> bool:
    """Whether a commit is one of those by which a dead owner's trial is taken up again."""
    names = ("attributes ending", "attributes error", "attributes fate", "UPDATE trials FAIL", COPIED)
    return any(name in label for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("step", range(4))
def test_a_reaper_killed_half_way_is_followed_by_two_at_once(ward: Ward, step: int) -> None:
    undisturbed, _ = ward.undisturbed(2, "random", LIGHT, 2)
    victim = left_behind(ward)
    log = victim.folder / "reaping.jsonl"
    finish(ward.warm.start(victim, {"root": str(victim.home), "log": str(log), "point": None}), victim)
    seen = noted(log)
    owned = next(index for index, point in enumerate(seen) if "attributes owner" in point.label)
    points = [point for point in seen[:owned] if in_reaping(point.label)]
    assert len(points) == 10, "five commits, each with a moment before and one after it"
    wrong = []
    for point in points[step::4]:
        victim = left_behind(ward)
        assert die_at(ward, victim, point), point
        for run in [ward.warm.start(victim), ward.warm.join(victim, 1)]:
            finish(run, victim)
        mend(ward.warm, victim)
        wrong += [f"killed {point}: {line}" for line in verdict(victim, undisturbed, supervisors=2)]
        if (count := copies_of_first(victim)) != 1:
            wrong.append(f"killed {point}: {count} copies of the trial")
    assert not wrong, report(wrong, map(str, points), "the same points")
