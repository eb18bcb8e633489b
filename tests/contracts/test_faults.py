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
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from search.claims import trial_seed
from tests.contracts.faults.books import Books, lines_of
from tests.contracts.faults.harness import finish, mend, report, verdict
from tests.contracts.faults.havoc import Havoc, PairHavoc, answers_amiss
from tests.contracts.faults.points import Point, noted, sample
from tests.contracts.faults.victims import (
    LIGHT,
    NAME,
    REAL,
    Cold,
    Victim,
    Warm,
    child_of,
    is_stopped,
    make_victim,
    provide_database,
    until,
)

SEED = int(os.environ.get("RADSEARCH_FAULT_SEED", "0"))
JOURNAL_LOCKED = "open optuna.journal.lock"
FOLD_BOOKED = "sync optuna.journal SET_TRIAL_SYSTEM_ATTR radsearch:fold:N"


@dataclass
class Ward:
    """Makes victims of a kind, and knows how each would end undisturbed."""

    folder: Path
    cohort: Path
    warm: Warm
    made: int = 0

    def victim(self, trials: int, sampler: str = "random", text: str = LIGHT, folds: int = 3) -> Victim:
        self.made += 1
        victim = make_victim(self.folder / str(self.made), self.cohort, text, trials, sampler, folds)
        provide_database(victim, self.empty_database())
        return victim

    @cache  # noqa: B019 - lives as long as the session
    def empty_database(self) -> Path:
        path = self.folder / "empty.db"
        MlflowClient(f"sqlite:///{path}").search_experiments()
        return path

    @cache  # noqa: B019
    def undisturbed(
        self, trials: int, sampler: str, text: str = LIGHT, folds: int = 3
    ) -> tuple[list[FrozenTrial], list[Point]]:
        """The trials of a run that nobody disturbs, and every point at which one could have died."""
        victim = self.victim(trials, sampler, text, folds)
        log = victim.folder / "points.jsonl"
        points = {"root": str(victim.home), "log": str(log), "point": None}
        if text == REAL:
            finish(Cold(victim), victim)
        else:
            finish(self.warm.start(victim, points), victim)
        mend(self.warm, victim)
        trials_of = Books(victim.home, NAME).trials()
        wrong = verdict(victim, trials_of, traced=text == LIGHT)
        assert not wrong, report(wrong, ["nothing at all"], "the first run")
        points_of = noted(log) if log.exists() else []
        # What is then written to the journal has a point of its own.
        return trials_of, [point for point in points_of if point.label != JOURNAL_LOCKED]

    __hash__ = object.__hash__


@pytest.fixture(scope="session")
def ward(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("faults")
    cohort = make_cohort(folder / "cohort", participants=12, biopsies=36, sequences=("T1", "T2"), size=12)
    warm = Warm()
    yield Ward(folder, cohort, warm)
    warm.close()


def check(
    ward: Ward, victim: Victim, havoc: Havoc, undisturbed: list[FrozenTrial], supervisors: int = 1
) -> None:
    """Go through the books of a study that has come to its end, and throw it away."""
    mend(ward.warm, victim)
    traced = victim.trace.exists()
    wrong = havoc.wrong + verdict(victim, undisturbed, supervisors, traced)
    if traced:
        trials = Books(victim.home, NAME).trials()
        wrong += answers_amiss(trials, victim.splits.read_text(), lambda place: trial_seed(0, place))
    assert not wrong, report(wrong, havoc.history, f"RADSEARCH_FAULT_SEED={SEED}; moments vary a little")
    shutil.rmtree(victim.folder)


def disturb(
    ward: Ward, kills: int, sampler: str, seed: int, trials: int, text: str = LIGHT, span: float = 0.8
) -> None:
    """Kill processes of one study after another until so many are dead."""
    undisturbed, _ = ward.undisturbed(trials, sampler, text)
    rest = kills
    while rest > 0:
        victim = ward.victim(trials, sampler, text)
        havoc = Havoc(victim, partial(Cold if text == REAL else ward.warm.start, victim), seed, span)
        havoc.go(rest)
        check(ward, victim, havoc, undisturbed)
        assert havoc.kills
        rest, seed = rest - havoc.kills, seed + 1000


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
    ("sampler", "seed"), [("random", 21), pytest.param("tpe", 22, marks=pytest.mark.slow)]
)
def test_the_real_command_line_and_the_real_child_lose_nothing(ward: Ward, sampler: str, seed: int) -> None:
    disturb(ward, 16, sampler, 100 * SEED + seed, trials=12, text=REAL, span=4.0)


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


def die_at(ward: Ward, victim: Victim, point: Point) -> bool:
    """Run the victim until that point, or to its end where it never comes by; whether it died."""
    log = victim.folder / "points.jsonl"
    points = {"root": str(victim.home), "log": str(log), "point": list(point)}
    code = ward.warm.start(victim, points).wait(60)
    assert code in (-9, 0), f"{point}: the run ended with {code}; it said\n{victim.log.read_text()}"
    return code == -9


def crash(ward: Ward, points: list[Point], trials: int = 2, folds: int = 2) -> None:
    """At each point, kill a run of a small study there, and continue it."""
    undisturbed, _ = ward.undisturbed(trials, "random", LIGHT, folds)
    wrong, died = [], 0
    for point in points:
        victim = ward.victim(trials, "random", folds=folds)
        died += die_at(ward, victim, point)
        finish(ward.warm.start(victim), victim)
        mend(ward.warm, victim)
        found = verdict(victim, undisturbed)
        wrong += [f"killed {point}: {line}" for line in found]
        if not found:
            shutil.rmtree(victim.folder)
    assert not wrong, report(wrong, map(str, points), f"RADSEARCH_FAULT_SEED={SEED}, or these points alone")
    assert died > 0.8 * len(points)  # what a thread writes when may differ from the rehearsal


PARTS = 4


@pytest.mark.parametrize("part", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, PARTS))])
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
        copies = [t for t in Books(victim.home, NAME).trials() if t.user_attrs.get("retry_of") == 0]
        if len(copies) != 1:
            wrong.append(f"killed {point}: {len(copies)} copies of the trial")
    assert not wrong, report(wrong, map(str, points), "the same points")


@pytest.mark.parametrize("who", [("owner",) * 3, ("child", "owner", "child")], ids="-".join)
def test_a_trial_hit_three_times_is_given_up_and_the_others_go_on(ward: Ward, who: tuple[str, ...]) -> None:
    undisturbed, _ = ward.undisturbed(4, "random")
    victim = ward.victim(4)
    books = Books(victim.home, NAME)

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
