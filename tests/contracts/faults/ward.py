"""Victims of a kind, what becomes of them undisturbed, and how all of them are disturbed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import sqlalchemy
from mlflow import MlflowClient
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from search.claims import trial_seed
from tests.contracts.faults import audit
from tests.contracts.faults.harness import finish, mend, report, verdict
from tests.contracts.faults.havoc import Havoc, answers_amiss
from tests.contracts.faults.points import Point, noted
from tests.contracts.faults.victims import (
    FREE,
    LIGHT,
    REAL,
    Cold,
    Victim,
    Warm,
    make_victim,
    provide_database,
)
from tests.postgresql import Cluster

SEED = int(os.environ.get("RADSEARCH_FAULT_SEED", "0"))
AGAIN = f"RADSEARCH_FAULT_SEED={SEED}; moments vary a little"
JOURNAL_LOCKED = "open optuna.journal.lock"


@dataclass
class Ward:
    """Makes victims of a kind, and knows how each would end undisturbed.

    Attributes:
        folder: Where they lie.
        cohort: Of all of them.
        warm: Starts their runs.
        cluster: Holds their trials; None for a journal in the home of each.
        made: How many there were.
    """

    folder: Path
    cohort: Path
    warm: Warm
    cluster: Cluster | None = None
    made: int = 0

    def victim(self, trials: int, sampler: str = "random", text: str = LIGHT, folds: int = 3) -> Victim:
        self.made += 1
        folder, storage = self.folder / str(self.made), self.new_storage()
        victim = make_victim(folder, self.cohort, text, trials, sampler, folds, storage)
        provide_database(victim, self.empty_database())
        return victim

    @cache  # noqa: B019 - lives as long as the session
    def empty_database(self) -> Path:
        path = self.folder / "empty.db"
        MlflowClient(f"sqlite:///{path}").search_experiments()
        return path

    def new_storage(self) -> str | None:
        """A database with Optuna's tables, which notes what happens to trials; None for a journal."""
        return None if self.cluster is None else self.cluster.new_database(self._empty_storage())

    @cache  # noqa: B019
    def _empty_storage(self) -> str:
        assert self.cluster is not None
        url = self.cluster.new_database()
        RDBStorage(url, engine_kwargs={"poolclass": sqlalchemy.NullPool})
        audit.install(url)
        return url

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
        trials_of = victim.books.trials()
        wrong = verdict(victim, trials_of, traced=text != REAL)
        assert not wrong, report(wrong, ["nothing at all"], "the first run")
        points_of = noted(log) if log.exists() else []
        # What is then written to the journal has a point of its own.
        return trials_of, [point for point in points_of if point.label != JOURNAL_LOCKED]

    __hash__ = object.__hash__


def freely(ward: Ward, trials: int) -> list[FrozenTrial]:
    """At least so many trials of a study that nothing prunes; the first of many are those of few."""
    return ward.undisturbed(6 if trials <= 6 else 24, "random", FREE)[0]


@contextmanager
def opened(folder: Path, cohort: Path, cluster: Cluster | None = None) -> Iterator[Ward]:
    """A ward with a warm process of its own."""
    warm = Warm()
    try:
        yield Ward(folder, cohort, warm, cluster)
    finally:
        warm.close()


def check(
    ward: Ward,
    victim: Victim,
    havoc: Havoc,
    undisturbed: list[FrozenTrial],
    supervisors: int = 1,
    alone: bool = True,
    same: bool | None = None,
) -> None:
    """Go through the books of a study that has come to its end, and throw it away."""
    mend(ward.warm, victim)
    traced = victim.trace.exists()
    wrong = havoc.wrong + verdict(victim, undisturbed, supervisors, traced, alone, same)
    if traced:
        trials = victim.books.trials()
        wrong += answers_amiss(trials, victim.splits.read_text(), lambda place: trial_seed(0, place))
    assert not wrong, report(wrong, havoc.history, AGAIN)
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
