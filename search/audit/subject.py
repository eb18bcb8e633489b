"""What the checks of an audit look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from data_prep.arrays import DoubleArray, IntArray
from data_prep.folds import FoldTable, Split
from search import bank
from search.booking import booked_settings, finished_folds, is_superseded
from search.claims import trial_seed
from search.home import Home
from search.material import Material
from search.metrics import Scores
from search.opening import IDENTITY
from search.records import TrialConfig
from search.statistics.performance import Measured, performance
from search.statistics.predictions import Outputs, Predictions, predictions_of
from search.statistics.selection import Rule, combined, select
from search.study_file import Study


@dataclass(frozen=True, eq=False)
class Subject:
    """A study that is audited.

    Attributes:
        opened: What Optuna has of it.
        study: Its settings.
        home: Where it is.
        material: Its dataset.
    """

    opened: optuna.Study
    study: Study
    home: Home
    material: Material

    @property
    def participants(self) -> tuple[str, ...]:
        """The participant of each biopsy."""
        return self.material.patches.participant_id

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the search's trials were scored on."""
        return self.material.folds.splits()

    @cached_property
    def tables(self) -> Mapping[str, FoldTable]:
        """The study's fold tables by name: the search's, and its bank where one was made."""
        found = {"search": self.material.folds}
        folder = self.home.study(self.study.name)
        if (folder.root / bank.NAME).exists():
            found["bank"] = bank.read_bank(folder)
        return found

    @cached_property
    def trials(self) -> list[FrozenTrial]:
        """The trials, without those that a copy replaced."""
        return [trial for trial in self.opened.get_trials(deepcopy=False) if not is_superseded(trial)]

    @cached_property
    def scored(self) -> frozenset[str] | None:
        """The biopsies that every complete trial scored in every repeat; None while no trial is complete."""
        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        booked = [folds for trial in complete if (folds := finished_folds(trial))]
        if not booked:
            return None
        rows = set(range(len(self.participants)))
        for folds in booked:
            for repeat in range(len(self.material.folds.fold)):
                rows &= {row for fold in folds.values() if fold.repeat == repeat for row in fold.rows}
        return frozenset(self.material.patches.biopsy_id[row] for row in rows)

    @cached_property
    def predictions(self) -> Predictions | None:
        """The out-of-fold predictions of the complete trials; None while there is none."""
        return predictions_of(self.opened)

    @cached_property
    def selected(self) -> tuple[int, ...]:
        """The configurations that the study selects, best first; empty while no trial is complete."""
        if self.predictions is None:
            return ()
        rule = Rule(self.study.search.selection, self.study.search.top)
        return select(rule, self.predictions, self.study.search.metric)

    @cached_property
    def winner(self) -> Outputs | None:
        """What was selected said of the biopsies held out; None while no trial is complete."""
        return None if self.predictions is None else combined(self.predictions, self.selected)

    @cached_property
    def winner_measured(self) -> Mapping[str, Measured]:
        """The metrics of what was selected; empty while no trial is complete."""
        return {} if self.winner is None else performance(self.winner, None)

    @cached_property
    def refitted(self) -> tuple[int, TrialConfig] | None:
        """The trial that is fitted again: the first selected one that reads images, else the first."""
        if self.predictions is None:
            return None
        traits = self.study.catalogue.traits
        numbers = [self.predictions.trials[index] for index in self.selected]
        configs = {number: self._config(number) for number in numbers}
        reading = [n for n in numbers if "patch" in traits(str(configs[n].settings["architecture"]))]
        number = (reading or numbers)[0]
        return number, configs[number]

    def _config(self, number: int) -> TrialConfig:
        trial = next(trial for trial in self.trials if trial.number == number)
        seed = trial_seed(self.study.search.seed, int(trial.user_attrs["place"]))
        return TrialConfig(booked_settings(trial) or {}, seed)

    @property
    def identity(self) -> Mapping[str, object]:
        """What made the trials comparable, as it was recorded."""
        recorded: Mapping[str, object] = self.opened.user_attrs[IDENTITY]
        return recorded


def outputs_of(material: Material, label: IntArray, fold: IntArray, probability: DoubleArray) -> Outputs:
    """What one model said of every biopsy of one fold table.

    Args:
        material: The dataset.
        label: By the cut of the fold that held the biopsy out, shape (biopsies,).
        fold: Which fold held it out, shape (biopsies,).
        probability: Of label 1, shape (biopsies,).
    """
    said = probability[None]
    return Outputs(label[None], material.participant, fold[None], said, said, (said > 0.5).astype(np.int64))


def scores_by_fold(outputs: Outputs, labels: IntArray) -> list[Scores]:
    """The folds of all repeats, with labels of another cut, shape (repeats, biopsies)."""
    return [
        Scores(labels[r, rows], outputs.score[r, rows], outputs.participant[rows], 0.5)
        for r in range(len(outputs.fold))
        for fold in np.unique(outputs.fold[r])
        for rows in (np.flatnonzero(outputs.fold[r] == fold),)
    ]
