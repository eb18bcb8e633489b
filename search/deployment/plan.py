"""Which fits a model folder is made of: on all biopsies for new ones, on each fold's for those held out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from data_prep.arrays import IntArray
from data_prep.folds import Split
from data_prep.problems import InputError
from models.registry import BASELINES
from search.booking import booked_versions, finished_folds
from search.facts import config_of
from search.material import Material
from search.records import FoldResult, TrialConfig
from search.refits.chosen import chosen_trials
from search.refits.finalists import with_seeds
from search.refits.fit import Fit, context_of
from search.refits.ledger import FitLedger
from search.refits.repeated import Repeated, compare_repeated
from search.specs import is_baseline
from search.study_file import Study

DRAWN = ("forest", "gp")
"""Shallow models of which another seed is another model."""


@dataclass(frozen=True, eq=False)
class RefitPlan:
    """The fits of a model of c configurations.

    Attributes:
        study: The study's settings.
        material: Its dataset.
        trials: Numbers of the trials that answer together.
        configs: Their settings and seeds.
        rule: How they were chosen: a name of `search.sections.SELECTIONS`, or "named".
        booked: What the search booked of each, by split.
        versions: The software that ran each, by package; None where that was not recorded.
        epochs: Of each, how many a network trains on all biopsies: the median of the booked folds' best; None
            of a shallow model.
        splits: Of the first fold table.
        final: Of each, a fit a seed; they are given all biopsies to learn from (`learned` are those that they
            do), draw the cuts of the labels from all, as the fits of a fold do from theirs, and score all.
        folds: Of each, a fit a split, as the search fitted it; empty without models of the folds.
    """

    study: Study
    material: Material
    trials: tuple[int, ...]
    configs: tuple[TrialConfig, ...]
    rule: str
    booked: tuple[Mapping[int, FoldResult], ...]
    versions: tuple[Mapping[str, str] | None, ...]
    epochs: tuple[int | None, ...]
    splits: tuple[Split, ...]
    final: tuple[tuple[Fit, ...], ...]
    folds: tuple[tuple[Fit, ...], ...]

    @property
    def context(self) -> str:
        """A hash of all that the fits depend on beside themselves."""
        return context_of(self.study, self.material)

    @property
    def learned(self) -> IntArray:
        """The rows that the models for new participants learn from: with `missing = "drop"` the complete."""
        return self.material.learnable(np.array(self.final[0][0].train, dtype=np.int64))

    @property
    def by_trial(self) -> tuple[tuple[int, tuple[Fit, ...]], ...]:
        """Each trial's fits, those of the folds first."""
        folds = self.folds or ((),) * len(self.final)
        rows = zip(self.trials, folds, self.final, strict=True)
        return tuple((trial, (*of_folds, *final)) for trial, of_folds, final in rows)

    @property
    def fits(self) -> list[Fit]:
        """All of them."""
        return [fit for _, fits in self.by_trial for fit in fits]

    @property
    def firsts(self) -> list[Fit]:
        """One of each configuration, which tells whether it can be fitted and kept at all."""
        return [fits[0] for _, fits in self.by_trial]

    def repeated(self) -> Iterator[Repeated]:
        """The fits that the search has made before."""
        for row, fits in enumerate(self.folds):
            for fit in fits:
                before = self.booked[row].get(fit.split)
                if before is not None and before.rows == fit.test:
                    yield Repeated(self.trials[row], before, fit, self.versions[row])


def plan_refit(
    recorded: optuna.Study,
    study: Study,
    material: Material,
    trial: int | None = None,
    seeds: int = 1,
    skip_folds: bool = False,
) -> RefitPlan:
    """Plan the fits of a model.

    Args:
        recorded: What Optuna has of the study.
        study: Its settings.
        material: Its dataset.
        trial: The number of a trial; None for what the study's rule selects.
        seeds: How many networks, or other models that draw, of each configuration; of others one.
        skip_folds: Leave out the models of the folds.

    Raises:
        InputError: No trial is complete; no such trial; one of a network that finished no fold.
    """
    chosen, rule = chosen_trials(recorded, study, trial)
    trials = recorded.get_trials(deepcopy=False)
    configs = tuple(config_of(trials, one, study.search.seed) for one in chosen)
    booked = tuple(finished_folds(one) for one in chosen)
    epochs = tuple(_epochs(*parts) for parts in zip(chosen, configs, booked, strict=True))
    splits = tuple(split for split in material.folds.splits() if split.repeat == 0)
    folds = tuple(tuple(replace(Fit.of(one, split), keep=True) for split in splits) for one in configs)
    return RefitPlan(
        study=study,
        material=material,
        trials=tuple(one.number for one in chosen),
        configs=configs,
        rule=rule,
        booked=booked,
        versions=tuple(booked_versions(one) for one in chosen),
        epochs=epochs,
        splits=splits,
        final=tuple(_final(material, *one, seeds) for one in zip(configs, epochs, strict=True)),
        folds=() if skip_folds else folds,
    )


def check_fitted(plan: RefitPlan, ledger: FitLedger) -> None:
    """Refuse a plan of which a model could not be fitted, or cannot be kept; fits to come are not looked at.

    Raises:
        InputError: Why, a line a trial and reason.
    """
    problems: dict[str, None] = {}
    for trial, fits in plan.by_trial:
        for why in filter(None, map(ledger.failure, fits)):
            problems[f"trial {trial}: its model could not be made: {why}"] = None
    if problems:
        raise InputError(list(problems))


def check_as_booked(plan: RefitPlan, ledger: FitLedger) -> list[str]:
    """Compare the models of the folds with what the search booked, to the last bit.

    Returns:
        A line for each trial that came out otherwise on another device or with other software.

    Raises:
        InputError: Another result on the same device with the same software.
    """
    advice = "The cohort and the software must be those that the search ran on"
    return compare_repeated(plan.repeated(), ledger, plan.study, advice, other_software=True)


def _epochs(trial: FrozenTrial, config: TrialConfig, booked: Mapping[int, FoldResult]) -> int | None:
    """The median epoch that its folds were best at, halves up; None of a shallow model."""
    if is_baseline(config.settings):
        return None
    if not booked:
        raise InputError(
            f"--trial: a trial with a finished fold is needed, which tells how many epochs to train, but "
            f"trial {trial.number} has none"
        )
    return max(1, math.floor(float(np.median([fold.best_epoch for fold in booked.values()])) + 0.5))


def _final(material: Material, config: TrialConfig, epochs: int | None, seeds: int) -> tuple[Fit, ...]:
    """The fits on all biopsies, numbered behind the splits of the fold tables."""
    rows = np.arange(len(material.patches))
    splits = material.folds.splits()
    split = Split(len(splits), splits[-1].repeat + 1, 0, rows, rows)
    own = BASELINES.get(str(config.settings["architecture"]))
    count = seeds if own is None or own.model in DRAWN else 1
    return tuple(replace(Fit.of(one, split), epochs=epochs, keep=True) for one in with_seeds(config, count))
