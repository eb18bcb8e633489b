"""Finalists on every fold table and several seeds: how much of a trial's value was luck of one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import optuna

from data_prep.folds import FoldTable, Split
from data_prep.problems import InputError
from data_prep.schemes import Scheme, leave_one_participant_out, random_60_20_20
from search.bank import TABLES, freeze_bank, too_few
from search.booking import is_superseded
from search.home import StudyFolder
from search.material import Material
from search.opening import study_id
from search.records import FoldResult
from search.refits.finalists import Candidate, finalists_of
from search.refits.fit import Fit
from search.refits.ledger import FitLedger
from search.refits.repeated import Repeated, compare_repeated
from search.refits.rescored import Finalist, SchemeScores, metrics_of
from search.study_file import Study


@dataclass(frozen=True, eq=False)
class Plan:
    """Which fits it takes to score the finalists of a study again.

    Attributes:
        study: The study's settings.
        recorded: What Optuna has of it.
        material: Its dataset.
        scheme: The splits.
        bank: The fold tables that they are of; None of other splits.
        candidates: The finalists.
        seeds: How many fits of each are averaged.
        shortage: What to say of a bank with fewer tables than others; None of a full one.
    """

    study: Study
    recorded: optuna.Study
    material: Material
    scheme: Scheme
    bank: FoldTable | None
    candidates: tuple[Candidate, ...]
    seeds: int
    shortage: str | None = None

    @property
    def tables(self) -> int:
        """How many tables, or splits of a scheme without tables, a result is averaged over."""
        return 1 + max(split.repeat for split in self.scheme.splits)

    def fits_of(self, candidate: Candidate, split: Split) -> tuple[Fit, ...]:
        """A finalist's fits of one split, that with its own seed first."""
        stop = None if self.scheme.stop is None else tuple(map(int, self.scheme.stop[split.index]))
        return tuple(replace(Fit.of(config, split), stop=stop) for config in candidate.configs(self.seeds))

    @property
    def fits(self) -> list[Fit]:
        """All of them."""
        return [fit for _, fit in self._pairs()]

    def _pairs(self) -> Iterator[tuple[Candidate, Fit]]:
        for candidate in self.candidates:
            for split in self.scheme.splits:
                yield from ((candidate, fit) for fit in self.fits_of(candidate, split))

    def repeated(self) -> Iterator[tuple[Candidate, FoldResult, Fit]]:
        """The fits that the search has made before, each with what it then booked."""
        for candidate in self.candidates:
            for split in self.scheme.splits if self.scheme.name == "bank" else ():
                booked = candidate.folds.get(split.index)
                if booked is not None and booked.rows == tuple(split.test):
                    yield candidate, booked, self.fits_of(candidate, split)[0]

    def seconds_left(self, ledger: FitLedger) -> float:
        """How long the fits that a ledger lacks take one after the other, each as long as in the search."""
        paces = {candidate.trial: candidate.pace for candidate in self.candidates}
        known = [pace for pace in paces.values() if pace is not None]
        usual = float(np.mean(known)) if known else 0.0
        missing = (candidate for candidate, fit in self._pairs() if fit not in ledger)
        return sum(usual if (pace := paces[candidate.trial]) is None else pace for candidate in missing)


def plan_of(
    recorded: optuna.Study,
    study: Study,
    material: Material,
    folder: StudyFolder,
    scheme: str = "bank",
    top: int = 10,
    seeds: int = 3,
    tables: int | None = None,
) -> Plan:
    """Plan to score the finalists of a study again; its bank is made where it has none.

    Args:
        recorded: What Optuna has of the study.
        study: Its settings.
        material: Its dataset.
        folder: Where its bank is.
        scheme: "bank", "participant" or "random".
        top: How many finalists, the default configuration beside.
        seeds: How many fits of each are averaged.
        tables: How many fold tables, or random splits; None for ten, or as many as the bank has.

    Raises:
        InputError: No trial is complete, or the scheme does not have so many tables.
    """
    candidates = finalists_of(recorded, study, top)
    if scheme == "bank":
        whole = freeze_bank(material, study, folder)
        bank = _first(whole, tables)
        title = f"fold bank, {len(bank.fold)} x {bank.n_folds} folds"
        splits = Scheme("bank", title, bank.splits(), None, shares_participants=False, is_pooled=False)
        return Plan(study, recorded, material, splits, bank, candidates, seeds, too_few(whole))
    if scheme == "participant":
        if tables is not None:
            raise InputError(f"--tables: leaving each participant out is one table alone, but got {tables}")
        splits = leave_one_participant_out(material.patches.participant_id)
        _check_inner(study, material)
    else:
        splits = random_60_20_20(len(material.patches), tables or TABLES, study.validation.seed)
    return Plan(study, recorded, material, splits, None, candidates, seeds)


def _first(bank: FoldTable, tables: int | None) -> FoldTable:
    if tables is not None and tables > len(bank.fold):
        raise InputError(f"--tables: 1 to {len(bank.fold)} are in the study's bank, but got {tables}")
    return replace(bank, fold=bank.fold[:tables])


def _check_inner(study: Study, material: Material) -> None:
    participants = len(set(material.patches.participant_id))
    if study.training.early_stopping != "none" and participants < 3:
        raise InputError(
            "--scheme: leaving each participant out needs 3 participants where training stops early, but got "
            f"{participants}"
        )


def check_repeated(plan: Plan, ledger: FitLedger) -> list[str]:
    """Compare what the search has fitted before with what it booked then, to the last bit.

    Where a fold ran on another device or with other threads, last bits may differ, and a network's training
    carries them on: that is told and no error.

    Returns:
        A line for each finalist that was fitted elsewhere and came out otherwise.

    Raises:
        InputError: Another result on the same device; the software is another.
    """
    repeated = (Repeated(one.trial, booked, fit, one.versions) for one, booked, fit in plan.repeated())
    return compare_repeated(repeated, ledger, plan.study, "Score finalists with what ran the search")


def scores_of(plan: Plan, ledger: FitLedger) -> SchemeScores:
    """What all fits of a plan gave; the ledger has them all."""
    scheme, trials = plan.scheme, plan.recorded.get_trials(deepcopy=False)
    handed_out = sum(trial.state.name != "WAITING" and not is_superseded(trial) for trial in trials)
    return SchemeScores(
        scheme=scheme.name,
        title=scheme.title,
        shares_participants=scheme.shares_participants,
        is_pooled=scheme.is_pooled,
        metric=plan.study.search.metric,
        study=study_id(plan.recorded),
        folds=plan.material.folds.hash,
        table=None if plan.bank is None else plan.bank.hash,
        tables=plan.tables,
        seeds=plan.seeds,
        handed_out=handed_out,
        finalists=tuple(_finalist(plan, candidate, ledger) for candidate in plan.candidates),
    )


def _finalist(plan: Plan, candidate: Candidate, ledger: FitLedger) -> Finalist:
    folds: dict[int, list[FoldResult]] = {}
    splits: dict[int, int] = {}
    failures: dict[str, None] = {}
    for split in plan.scheme.splits:
        fits = plan.fits_of(candidate, split)
        splits[split.repeat] = splits.get(split.repeat, 0) + 1
        failures |= {why: None for fit in fits if (why := ledger.failure(fit)) is not None}
        results = [result for fit in fits if (result := ledger.result(fit)) is not None]
        if results:
            folds.setdefault(split.repeat, []).append(averaged(results))
    tables = (
        metrics_of(folds[repeat] if len(folds.get(repeat, ())) == count else [], plan.scheme.is_pooled)
        for repeat, count in splits.items()
    )
    return Finalist(
        trial=candidate.trial,
        is_default=candidate.is_default,
        settings=candidate.config.settings,
        own=candidate.own,
        tables=tuple(tables),
        folds=tuple(fold for repeat in folds for fold in folds[repeat]),
        failures=tuple(failures),
    )


def averaged(results: list[FoldResult]) -> FoldResult:
    """One fold fitted with several seeds: the mean of the probabilities and of the cuts between labels."""
    probabilities = np.mean([result.probabilities for result in results], axis=0)
    return replace(
        results[0],
        probabilities=tuple(map(float, probabilities)),
        threshold=float(np.mean([result.threshold for result in results])),
        seconds=sum(result.seconds for result in results),
        memory_mb=max(result.memory_mb for result in results),
        curves={},
    )
